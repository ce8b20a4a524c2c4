import TensorCore

/// How the tensors of a file compare with the state dictionary of a module, by names and shapes.
///
/// All lists are in order of name.
public struct StateComparison: Equatable, Sendable {
  /// The names that both have, with equal shapes.
  public let matched: [String]
  /// The names that the file lacks and should have.
  public let missing: [String]
  /// The names that the module does not know.
  public let surplus: [String]
  /// The tensors whose shapes differ.
  public let misshapen: [ShapeMismatch]

  /// Compares without reading any values.
  ///
  /// - Parameters:
  ///   - shapes: The shapes in the file, by name.
  ///   - state: The module's state dictionary.
  init(of shapes: [String: Shape], with state: [StateEntry]) {
    let known = Set(state.map(\.name))
    matched = state.filter { shapes[$0.name] == $0.shape }.map(\.name).sorted()
    missing = state.filter { shapes[$0.name] == nil && !$0.mayBeAbsent }.map(\.name).sorted()
    surplus = shapes.keys.filter { !known.contains($0) }.sorted()
    misshapen = state.compactMap { entry -> ShapeMismatch? in
      guard let found = shapes[entry.name], found != entry.shape else { return nil }
      return ShapeMismatch(name: entry.name, expected: entry.shape, found: found)
    }.sorted { $0.name < $1.name }
  }
}

extension StateEntry {
  /// Whether a file may lack this entry: what follows from others, and counters that nothing reads.
  fileprivate var mayBeAbsent: Bool {
    if case .derived = content { return true }
    return name == "num_batches_tracked" || name.hasSuffix(".num_batches_tracked")
  }
}
