import TensorCore
import TestSupport
import Testing

// Tensors that are joined along channels: computed at their places in the whole.
extension PlanRewriteTests {
  /// A level of a network: a block, down and up again, and the block's result beside that.
  private struct SkipNetwork: Sendable {
    let shift: Tensor?
    let matrices: [Tensor]
    let down: Tensor
    let up: Tensor

    init(channels c: Int, isShifted: Bool) {
      shift = isShifted ? .random([c, 1, 5, 5], .uniform(-0.2..<0.2), seed: 70) : nil
      matrices = (0..<3).map { Tensor.random([c, c], .uniform(-0.2..<0.2), seed: 71 + $0) }
      down = .random([c / 2, c, 3, 3], .uniform(-0.2..<0.2), seed: 74)
      up = .random([4 * c, 2 * c, 3, 3], .uniform(-0.2..<0.2), seed: 75)
    }

    func block(_ x: Tensor) -> Tensor {
      (shift.map { x.depthwiseConvolved(with: $0) } ?? x).feedForward(
        key: matrices[0], receptance: matrices[1], value: matrices[2], residual: x)
    }

    func below(_ skip: Tensor) -> Tensor {
      let low = skip.convolved(with: down, padding: [1, 1]).pixelUnshuffled(by: 2).sigmoid()
      return low.convolved(with: up, padding: [1, 1]).pixelShuffled(by: 2)
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      let skip = block(x)
      return Tensor.concatenate([below(skip), skip], axis: -1).softmax()
    }
  }

  /// The kinds of operations that a plan computes, which are fewer than those that it has.
  private func computed(_ plan: InferencePlan, _ x: Tensor) throws -> Set<OperationKind> {
    let (_, profile) = try Engine.shared.profiling { try plan(x) }
    return Set(profile.entries.filter { $0.phase == .forward }.map(\.kind))
  }

  @Test(
    "tensors that are joined along channels are computed there, others' readers included",
    arguments: [([2, 10, 6, 6], false), ([1, 128, 130, 48], true)])
  func skipConnection(_ dimensions: [Int], isShifted: Bool) throws {
    let shape = Shape(dimensions)
    let network = SkipNetwork(channels: dimensions[3], isShifted: isShifted)
    let block = isShifted ? OperationKind.shiftedProducts : .feedForward
    try check(
      shape,
      kinds: [block, .convolution, .unary(.sigmoid), .convolution, .concatenate, .softmax]
    ) { network($0) }
    let plan = try InferencePlan(shape) { network($0) }
    let x = Tensor.random(shape, seed: 78)
    #expect(try computed(plan, x) == [block, .convolution, .unary(.sigmoid), .softmax])
    // A reader that needs dense rows, a part that is a result, and a part twice: joined by copies.
    let bodies: [@Sendable (Tensor) -> [Tensor]] = [
      {
        let skip = network.block($0)
        return [.concatenate([network.below(skip), skip], axis: -1), skip.softmax()]
      },
      {
        let skip = network.block($0)
        return [.concatenate([network.below(skip), skip], axis: -1).softmax(), skip]
      },
      {
        let skip = network.block($0)
        return [.concatenate([skip, skip], axis: -1), network.below(skip)]
      },
      {
        let (skip, other) = (network.block($0), $0.softmax())
        return [.concatenate([skip, other], axis: -1), network.below(skip)]
      },
    ]
    for body in bodies {
      let plan = try InferencePlan([shape]) { body($0[0]) }
      let (found, profile) = try Engine.shared.profiling { try plan([x]) }
      #expect(profile.entries.contains { $0.kind == .concatenate })
      for (found, expected) in zip(found, body(x)) {
        #expect(Mismatch(found, expected, relative: 1e-5) == nil)
      }
    }
  }

  @Test("functions of two tensors are computed where they are joined")
  func joinedFunctions() throws {
    let shape = Shape([2, 10, 6, 5])
    let body: @Sendable (Tensor) -> Tensor = {
      Tensor.concatenate([$0.relu(), $0.exponential()], axis: -1).softmax()
    }
    let plan = try InferencePlan(shape) { body($0) }
    let x = Tensor.random(shape, seed: 80)
    #expect(try computed(plan, x) == [.unary(.relu), .unary(.exp), .softmax])
    #expect(Mismatch(try plan(x), body(x), relative: 1e-6) == nil)
  }

  @Test("nothing of that happens where gradients are asked for")
  func skipConnectionInTraining() {
    let network = SkipNetwork(channels: 6, isShifted: false)
    let x = Tensor.random([1, 4, 6, 6], seed: 79).tracked()
    let (_, profile) = Engine.shared.profiling { network(x).sum().gradients() }
    for kind in [OperationKind.concatenate, .pixelShuffle, .pixelUnshuffle] {
      for phase in [OperationProfile.Phase.forward, .backward] {
        #expect(profile.entries.contains { $0.kind == kind && $0.phase == phase })
      }
    }
  }
}
