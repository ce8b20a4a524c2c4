public import TensorCore

/// A part of a network: what it owns, under the names that the weight files of its authors use.
///
/// A module states its members by hand, in the order of the state dictionary. That table is the one
/// place where names live; counting, loading, saving, optimising and switching modes follow from it.
public protocol Module: AnyObject, Sendable {
  /// Parameters, buffers, derived entries and sub-modules in the order of the state dictionary.
  var members: [Member] { get }

  /// Tells the module itself (not its sub-modules) that training begins or ends.
  ///
  /// Does nothing unless the module behaves differently then, as batch norm and dropout do.
  func modeChanged(isTraining: Bool)

  /// The number of values that a deployed copy needs: after everything that can be folded is folded.
  var deployedCount: Int { get }
}

/// One line of a module's table.
public enum Member: Sendable {
  /// A tensor that training changes.
  case parameter(String, Parameter)
  /// A tensor that is stored but not trained, such as a running mean.
  case buffer(String, Parameter)
  /// A tensor that follows from the parameters.
  ///
  /// Files may hold it, because the authors' programs store it; what they hold is ignored. It is
  /// computed anew when a file is written.
  case derived(String, Shape, @Sendable () -> Tensor)
  /// A part, whose members' names get this name and a dot in front.
  case module(String, any Module)

  /// A list of parts, each named by its position behind a dot, as in `encoder.0`.
  public static func modules(_ name: String, _ modules: [any Module]) -> [Member] {
    modules.enumerated().map { .module("\(name).\($0)", $1) }
  }
}

/// One line of a state dictionary.
public struct StateEntry: Sendable {
  /// What stands behind the name.
  public enum Content: Sendable {
    /// A tensor that training changes.
    case parameter(Parameter)
    /// A tensor that is stored but not trained.
    case buffer(Parameter)
    /// A tensor that is computed from parameters when asked for.
    case derived(@Sendable () -> Tensor)
  }

  /// The full name, parts joined by dots.
  public let name: String
  /// The shape, in the layout of the weight file.
  public let shape: Shape
  /// What stands behind the name.
  public let content: Content

  /// The present values, without history.
  public var tensor: Tensor {
    switch content {
    case .parameter(let parameter), .buffer(let parameter): parameter.tensor.detached()
    case .derived(let compute): compute().detached()
    }
  }
}

/// Which values ``Module/parameterCount(_:)`` counts.
public enum ParameterScope: Sendable {
  /// Everything in the state dictionary, buffers and derived entries included.
  case stored
  /// What training changes.
  case trained
  /// What a deployed copy needs, see ``Module/deployedCount``.
  case deployed
}

extension Module {
  /// Does nothing.
  public func modeChanged(isTraining: Bool) {}

  /// The sum over parameters, buffers and parts.
  public var deployedCount: Int {
    members.reduce(0) { sum, member in
      switch member {
      case .parameter(_, let parameter), .buffer(_, let parameter): sum + parameter.count
      case .derived: sum
      case .module(_, let module): sum + module.deployedCount
      }
    }
  }

  /// The state dictionary: every stored tensor under its full name, in order.
  public var state: [StateEntry] {
    var entries: [StateEntry] = []
    appendState(to: &entries, prefix: "")
    return entries
  }

  /// The parameters under their full names, in the order of the state dictionary.
  public var parameters: [(name: String, parameter: Parameter)] {
    state.compactMap { entry in
      guard case .parameter(let parameter) = entry.content else { return nil }
      return (entry.name, parameter)
    }
  }

  /// The number of values within a scope.
  public func parameterCount(_ scope: ParameterScope) -> Int {
    switch scope {
    case .stored: state.reduce(0) { $0 + $1.shape.count }
    case .trained: parameters.reduce(0) { $0 + $1.parameter.count }
    case .deployed: deployedCount
    }
  }

  /// Tells this module and all its parts that training begins or ends.
  public func setTraining(_ isTraining: Bool) {
    modeChanged(isTraining: isTraining)
    for case .module(_, let module) in members { module.setTraining(isTraining) }
  }

  /// Says for all parameters whether computations remember how they depend on them.
  ///
  /// Without it a forward pass keeps nothing for backward, and frees what it no longer needs.
  public func setRequiresGradient(_ requiresGradient: Bool) {
    for (_, parameter) in parameters { parameter.requiresGradient = requiresGradient }
  }

  private func appendState(to entries: inout [StateEntry], prefix: String) {
    for member in members {
      switch member {
      case .parameter(let name, let parameter):
        entries.append(
          StateEntry(name: prefix + name, shape: parameter.shape, content: .parameter(parameter)))
      case .buffer(let name, let parameter):
        entries.append(
          StateEntry(name: prefix + name, shape: parameter.shape, content: .buffer(parameter)))
      case .derived(let name, let shape, let compute):
        entries.append(StateEntry(name: prefix + name, shape: shape, content: .derived(compute)))
      case .module(let name, let module):
        module.appendState(to: &entries, prefix: prefix + name + ".")
      }
    }
  }
}
