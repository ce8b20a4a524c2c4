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

  private struct Task: Equatable {
    let shape: Shape
    let bandRows: Int?
  }

  /// The latest last.
  private var ways: [(task: Task, way: Way)] = []

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
  /// - Parameters:
  ///   - shape: `[N, H, W, inChannels]`.
  ///   - bandRows: Rows of a band for a ``BandedModel``; nil for all at once, and for other networks.
  /// - Returns: Planned, or why not.
  public func execution(for shape: Shape, bandRows: Int? = nil) -> ModelExecution {
    switch way(for: Task(shape: shape, bandRows: bandRows)) {
    case .plan: .planned
    case .eager(let error): .eager(error)
    }
  }

  /// Bytes that restoring images of a shape takes beyond the model's parameters.
  ///
  /// Known without running anything.
  ///
  /// - Parameters:
  ///   - shape: `[N, H, W, inChannels]`.
  ///   - bandRows: Rows of a band for a ``BandedModel``; nil for all at once, and for other networks.
  /// - Returns: ``InferencePlan/memoryBytes``; nil without a plan.
  public func memoryBytes(for shape: Shape, bandRows: Int? = nil) -> Int? {
    guard case .plan(let plan) = way(for: Task(shape: shape, bandRows: bandRows)) else {
      return nil
    }
    return plan.memoryBytes
  }

  /// Restores images.
  ///
  /// - Parameters:
  ///   - x: `[N, H, W, inChannels]`.
  ///   - bandRows: Rows of a band for a ``BandedModel``; nil for all at once, and for other networks.
  /// - Returns: `[N, H, W, outChannels]`.
  public func callAsFunction(_ x: Tensor, bandRows: Int? = nil) -> Tensor {
    let task = Task(shape: x.shape, bandRows: bandRows)
    guard case .plan(let plan) = way(for: task) else { return eager(x, bandRows) }
    do throws(PlanError) { return try plan(x) } catch {
      // Parameters changed so that the network now looks at values.
      ways.removeAll { $0.task == task }
      ways.append((task, .eager(error)))
      return eager(x, bandRows)
    }
  }

  private func eager(_ x: Tensor, _ bandRows: Int?) -> Tensor {
    guard let bandRows, let banded = model as? any BandedModel else { return model(x) }
    return banded.restoredInBands(of: bandRows, x)
  }

  private func way(for task: Task) -> Way {
    if let index = ways.firstIndex(where: { $0.task == task }) {
      let found = ways.remove(at: index)
      ways.append(found)
      return found.way
    }
    // Before the new one is made: there may not be memory for another.
    if ways.count >= Self.capacity { ways.removeFirst() }
    let way: Way
    do throws(PlanError) { way = .plan(try plan(for: task)) } catch { way = .eager(error) }
    ways.append((task, way))
    return way
  }

  private func plan(for task: Task) throws(PlanError) -> InferencePlan {
    guard let rows = task.bandRows, let banded = model as? any BandedModel else {
      return try model.plan(for: task.shape, precision: precision)
    }
    return try banded.planInBands(of: rows, for: task.shape, precision: precision)
  }
}
