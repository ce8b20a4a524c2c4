public import TensorCore

/// How a network computes.
public enum ModelExecution: Equatable, Sendable {
  /// By a plan that was made for the shape.
  case planned
  /// Operation by operation, because the network cannot be planned.
  case eager(PlanError)
}

/// Runs a network for inference: one plan for each shape of its input.
///
/// A network that cannot be planned runs operation by operation; ``execution(for:)`` tells which.
/// Not to be used by several threads at once.
public final class ModelRunner {
  /// The network.
  public let model: any RestorationModel
  /// The precision of the operations that have a choice.
  public let precision: Precision

  private enum Way {
    case plan(InferencePlan)
    case eager(PlanError)
  }

  /// The latest last.
  private var ways: [(shape: Shape, way: Way)] = []

  /// More shapes than the slices and tiles of one volume have.
  private static let capacity = 4

  /// A runner without plans.
  ///
  /// - Parameters:
  ///   - model: A network that records no gradients.
  ///   - precision: Of the operations that have a choice.
  public init(_ model: any RestorationModel, precision: Precision = .float32) {
    self.model = model
    self.precision = precision
  }

  /// How images of a shape are restored; makes the plan if there is none.
  ///
  /// - Parameter shape: `[N, H, W, inChannels]`.
  /// - Returns: Planned, or why not.
  public func execution(for shape: Shape) -> ModelExecution {
    switch way(for: shape) {
    case .plan: .planned
    case .eager(let error): .eager(error)
    }
  }

  /// Bytes that restoring images of a shape takes beyond the model's parameters.
  ///
  /// Known without running anything.
  ///
  /// - Parameter shape: `[N, H, W, inChannels]`.
  /// - Returns: ``InferencePlan/memoryBytes``; nil without a plan.
  public func memoryBytes(for shape: Shape) -> Int? {
    guard case .plan(let plan) = way(for: shape) else { return nil }
    return plan.memoryBytes
  }

  /// Restores images.
  ///
  /// - Parameter x: `[N, H, W, inChannels]`.
  /// - Returns: `[N, H, W, outChannels]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard case .plan(let plan) = way(for: x.shape) else { return model(x) }
    do throws(PlanError) { return try plan(x) } catch {
      // Parameters changed so that the network now looks at values.
      ways.removeAll { $0.shape == x.shape }
      ways.append((x.shape, .eager(error)))
      return model(x)
    }
  }

  private func way(for shape: Shape) -> Way {
    if let index = ways.firstIndex(where: { $0.shape == shape }) {
      let found = ways.remove(at: index)
      ways.append(found)
      return found.way
    }
    // Before the new one is made: there may not be memory for another.
    if ways.count >= Self.capacity { ways.removeFirst() }
    let way: Way
    do throws(PlanError) {
      way = .plan(try model.plan(for: shape, precision: precision))
    } catch { way = .eager(error) }
    ways.append((shape, way))
    return way
  }
}
