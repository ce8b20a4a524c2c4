import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Inference plans")
struct PlanTests {
  /// A small network with a bit of everything: shared inputs, reshapes, sums that can overwrite.
  private struct Network: Sendable {
    let kernel = Tensor.random([6, 4, 3, 3], seed: 1).asParameter(tracked: false)
    let matrix = Tensor.random([6, 6], seed: 2).asParameter(tracked: false)
    let bias = Tensor.random([6], seed: 3).asParameter(tracked: false)

    func callAsFunction(_ x: Tensor) -> Tensor {
      let a = x.convolved(with: kernel, bias: bias, padding: [1, 1])
      let b = (a.sigmoid() + a).reshaped(to: [a.shape[0], a.shape[1] * a.shape[2], 6])
      let c = b.linear(matrix * 0.5, bias: bias).relu()
      return Tensor.concatenate([b, c * b], axis: -1).exponential() + 1
    }
  }

  private let shape: Shape = [1, 9, 7, 4]

  @Test("a plan computes what the operations compute, for one input after the other")
  func equality() throws {
    let network = Network()
    let plan = try InferencePlan(shape) { network($0) }
    for seed in 10..<13 {
      let x = Tensor.random(shape, seed: UInt64(seed))
      #expect(Mismatch(try plan(x), network(x), relative: 1e-6) == nil)
    }
  }

  @Test("a replay gives the same bits and leaves its input alone")
  func repeatable() throws {
    let network = Network()
    let plan = try InferencePlan(shape) { network($0) }
    let x = Tensor.random(shape, seed: 4)
    let (values, first) = (x.values, try plan(x).values)
    #expect(try plan(Tensor.random(shape, seed: 5)).values != first)
    #expect(try plan(x).values == first)
    #expect(x.values == values)
  }

  @Test("the memory of a plan is known before it runs, and a replay takes none")
  func memory() throws {
    let network = Network()
    var plan: InferencePlan?
    let input = [Float](repeating: 0.5, count: shape.count)
    var output = [Float](repeating: 0, count: 9 * 7 * 12)
    func run() {
      input.withUnsafeBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
          #expect(throws: Never.self) { try plan?.run([input], into: [output]) }
        }
      }
    }
    var announced = 0
    let all = BufferPool.shared.measuringTakes {
      plan = try? InferencePlan(shape) { network($0) }
      announced = plan?.memoryBytes ?? -1
      run()
    }
    #expect(all.bytes == announced)
    let replay = BufferPool.shared.measuringTakes {
      run()
      run()
    }
    #expect(replay.takes == 0 && replay.bytes == 0)
    plan = nil
  }

  @Test("results live in less memory than their sum")
  func arena() throws {
    let plan = try InferencePlan([1, 1 << 16]) { x in
      var y = x
      for _ in 0..<8 { y = y.softmax() }
      return y
    }
    // Two of them at a time; an operation cannot write its own input here.
    #expect(plan.arenaBytes <= 2 * (4 << 16) + 4096)
    let inPlace = try InferencePlan([1, 1 << 16], rewrites: false) {
      $0.sigmoid().exponential().sigmoid()
    }
    #expect(inPlace.arenaBytes <= 4 << 16 + 4096)
  }

  @Test("parts of a tensor, and tensors joined to one, take no memory of their own")
  func views() throws {
    let half = 1 << 15
    let plan = try InferencePlan([2, half]) { x in
      let parts = x.split(axis: 0, sizes: [1, 1])
      return .concatenate([parts[1].softmax(), parts[0].softmax()], axis: 0)
    }
    #expect(plan.arenaBytes <= 4 * 4 * half + 4096)
    let x = Tensor.random([2, half], seed: 12)
    let softmax = x.softmax()
    let expected = softmax.sliced(axis: 0, 1..<2).values + softmax.sliced(axis: 0, 0..<1).values
    #expect(try plan(x).values == expected)
  }

  /// Doubles, or triples in lower precision.
  private struct Doubling: NonDifferentiableOperation {
    var factor: Float = 2

    var kind: OperationKind { .affine }
    func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }
    func forward(_ pass: ForwardPass) {
      for index in 0..<pass.output.count {
        pass.output.pointer[index] = factor * pass.inputs[0].pointer[index]
      }
    }
    func lowered(to precision: Precision) -> (any Operation)? {
      precision == .bfloat16 ? Doubling(factor: 3) : nil
    }
  }

  @Test("lower precision replaces the operations that know how, and no others")
  func precision() throws {
    for (precision, expected) in [(Precision.float32, 2.5 as Float), (.bfloat16, 3.5)] {
      let plan = try InferencePlan([3], precision: precision) { x in
        Tensor.apply(Doubling(), [x]).scaled(by: 1, adding: 0.5)
      }
      #expect(try plan(Tensor([3], repeating: 1)).values == [expected, expected, expected])
      #expect(plan.precision == precision)
    }
    #expect(Precision.float32.isSupported)
  }

  @Test("changed parameters are noticed, used directly or folded")
  func changes() throws {
    let network = Network()
    let plan = try InferencePlan(shape) { network($0) }
    let x = Tensor.random(shape, seed: 6)
    for parameter in [network.matrix, network.bias, network.kernel] {
      let before = try plan(x)
      #expect(plan.isCurrent)
      parameter.update { for index in $0.indices { $0[index] *= 0.5 } }
      #expect(!plan.isCurrent)
      let after = try plan(x)
      #expect(plan.isCurrent)
      #expect(after.values != before.values)
      #expect(Mismatch(after, network(x), relative: 1e-6) == nil)
    }
  }

  @Test("parameters behind results that a layer keeps are noticed if they are named")
  func keptResults() throws {
    let parameter = Tensor([3], repeating: 2).asParameter(tracked: false)
    let kept = parameter.squared().asParameter(tracked: false)
    let plan = try InferencePlan([2, 3], parameters: [parameter]) { $0 * kept }
    _ = try plan(Tensor([2, 3], repeating: 1))
    #expect(plan.isCurrent)
    parameter.update { $0[0] = 1 }
    #expect(!plan.isCurrent)
  }

  @Test("several inputs and results")
  func several() throws {
    let plan = try InferencePlan([[2, 3], [3]]) { inputs in
      let sum = inputs[0] + inputs[1]
      return [sum, inputs[0], sum.sigmoid(), sum.reshaped(to: [6])]
    }
    let (a, b) = (Tensor.random([2, 3], seed: 7), Tensor.random([3], seed: 8))
    let results = try plan([a, b])
    #expect(results.map(\.shape) == [[2, 3], [2, 3], [2, 3], [6]])
    #expect(results[0].values == (a + b).values)
    #expect(results[1].values == a.values)
    #expect(results[2].values == (a + b).sigmoid().values)
    #expect(results[3].values == (a + b).values)
  }

  @Test("a computation that looks at values has no plan, and the error says after what")
  func readsValues() {
    #expect(throws: PlanError.readsValues(after: .unary(.sigmoid))) {
      _ = try InferencePlan([4]) { x in
        let y = x.sigmoid()
        return y.values[0] > 0.5 ? y : x.relu()
      }
    }
    #expect(throws: PlanError.readsValues(after: .batchNorm)) {
      _ = try InferencePlan([4, 2]) { x in
        let (y, mean, _) = x.batchNormalized(weight: nil, bias: nil)
        return y + mean
      }
    }
    #expect(throws: PlanError.constantOutput) {
      _ = try InferencePlan([4]) { _ in Tensor([4], repeating: 1) }
    }
  }

  @Test("a kept tensor of a plan is no tensor for others' plans: operations on constants just run")
  func constantsRun() throws {
    let constant = Tensor.random([5], seed: 9)
    let plan = try InferencePlan([2, 5]) { x in x + constant.exponential().sigmoid() }
    #expect(plan.kinds == [.binary(.add)])
  }
}

@Suite("Arena layouts")
struct ArenaLayoutTests {
  @Test("blocks alive at the same time never share memory", arguments: 0..<40)
  func disjoint(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let blocks = (0..<60).map { _ in
      let first = Int(generator.next() % 50)
      return ArenaLayout.Block(
        count: Int(generator.next() % 300), lifetime: first...first + Int(generator.next() % 12))
    }
    let layout = ArenaLayout(blocks)
    for a in blocks.indices where blocks[a].count > 0 {
      #expect(layout.offsets[a] % ArenaLayout.alignment == 0)
      #expect(layout.offsets[a] + blocks[a].count <= layout.count)
      for b in 0..<a where blocks[b].count > 0 && blocks[a].lifetime.overlaps(blocks[b].lifetime) {
        let first = layout.offsets[a]..<layout.offsets[a] + blocks[a].count
        let second = layout.offsets[b]..<layout.offsets[b] + blocks[b].count
        #expect(!first.overlaps(second), "blocks \(a) and \(b)")
      }
    }
  }

  @Test("memory is used again")
  func reuse() {
    let chain = (0..<10).map { ArenaLayout.Block(count: 100, lifetime: $0...$0 + 1) }
    #expect(ArenaLayout(chain).count == 2 * 112)
    #expect(ArenaLayout([]).count == 0)
  }
}

@Suite("Plans of random graphs")
struct RandomPlanTests {
  /// A computation drawn by lot: each step takes earlier tensors, and several of them are results.
  private static func compute(_ x: Tensor, seed: UInt64) -> [Tensor] {
    var generator = SeededGenerator(seed: seed)
    var tensors = [x]
    func draw(_ generator: inout SeededGenerator) -> Tensor {
      // Mostly recent ones, so that others die.
      let back = Int(generator.next() % UInt64(min(4, tensors.count)))
      return tensors[generator.next() % 8 == 0 ? 0 : tensors.count - 1 - back]
    }
    for step in 0..<30 {
      let (a, b) = (draw(&generator), draw(&generator))
      let next: Tensor
      switch generator.next() % 12 {
      case 0: next = a.sigmoid()
      case 1: next = (a + b.reshaped(to: a.shape)).hyperbolicTangent()
      case 2: next = a * b.reshaped(to: a.shape)
      case 3: next = a - b.reshaped(to: a.shape)
      case 4: next = a.reshaped(to: a.shape == [4, 16] ? [8, 8] : [4, 16])
      case 5:
        let width = a.shape.channels
        next = a.linear(
          Tensor.random([width, width], .uniform(-0.4..<0.4), seed: UInt64(step)),
          bias: Tensor.random([width], seed: seed))
      case 6: next = a.softmax()
      case 7:
        let halves = a.split(axis: 0, sizes: [a.shape[0] / 2, a.shape[0] / 2])
        next = .concatenate([halves[1], halves[0]], axis: 0)
      case 11:
        // Parts at their places in the whole, computed from parts of another whole.
        let halves = a.split(axis: 0, sizes: [a.shape[0] / 2, a.shape[0] / 2])
        next = .concatenate([halves[1].sigmoid(), halves[0] - halves[1].softmax()], axis: 0)
      case 8: next = a.scaled(by: 0.7, adding: 0.1)
      case 9: next = a.matmul(transposing: b.reshaped(to: a.shape)).matmul(a) * 0.05
      default: next = Tensor.maximum(a, Tensor.random(a.shape, seed: UInt64(step)))
      }
      tensors.append(next)
    }
    return [tensors[30], tensors[20], tensors[30].reshaped(to: [64]), tensors[29]]
  }

  @Test("give what the operations give", arguments: 0..<60)
  func equality(seed: UInt64) throws {
    let x = Tensor.random([4, 16], seed: seed)
    let plan = try InferencePlan([[4, 16]]) { Self.compute($0[0], seed: seed) }
    for _ in 0..<2 {
      for (found, expected) in zip(try plan([x]), Self.compute(x, seed: seed)) {
        #expect(Mismatch(found, expected, absolute: 1e-6, relative: 1e-5) == nil)
      }
    }
  }
}
