import Kernels
import Randomness
import TestSupport
import Testing

/// How large keys, decay and bonus of a test problem are.
struct WKVRegime: CustomTestStringConvertible {
  var name: String
  /// Keys are normal with this deviation around `keyOffset`.
  var keyDeviation: Float
  var keyOffset: Float = 0
  /// |w|·T is uniform up to this, with either sign.
  var decay: Float
  /// |u| likewise.
  var bonus: Float

  var testDescription: String { name }

  static let all = [
    WKVRegime(name: "moderate", keyDeviation: 1, decay: 2, bonus: 1),
    WKVRegime(name: "keys hundreds apart", keyDeviation: 300, decay: 20, bonus: 20),
    WKVRegime(name: "keys far from zero", keyDeviation: 1, keyOffset: 300, decay: 25, bonus: 1),
    WKVRegime(name: "limit of the fast form", keyDeviation: 1, decay: 29.9, bonus: 29.9),
    WKVRegime(name: "large decay and bonus", keyDeviation: 1, decay: 300, bonus: 40),
    WKVRegime(name: "everything large", keyDeviation: 200, decay: 1000, bonus: 95),
  ]
}

/// The order in which the tokens of an image follow each other.
enum WKVOrder: CaseIterable {
  case rows, columns
}

/// Inputs for an image of `height` × `width` tokens, in the order of the sequence.
struct WKVProblem {
  var batch = 2
  var height: Int
  var width: Int
  var channels: Int
  var w: [Float]
  var u: [Float]
  var k: [Float]
  var v: [Float]
  var upstream: [Float]

  var tokens: Int { height * width }

  init(height: Int, width: Int, channels: Int, regime: WKVRegime, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    self.height = height
    self.width = width
    self.channels = channels
    let count = batch * height * width * channels
    let perToken = 1 / Float(height * width)
    w = (0..<channels).map { _ in
      (2 * generator.nextUniform() - 1) * regime.decay * perToken
    }
    u = (0..<channels).map { _ in (2 * generator.nextUniform() - 1) * regime.bonus }
    k = (0..<count).map { _ in regime.keyOffset + regime.keyDeviation * generator.nextNormal() }
    v = (0..<count).map { _ in generator.nextNormal() }
    upstream = (0..<count).map { _ in generator.nextNormal() }
  }

  var reference: ReferenceWKV {
    ReferenceWKV(
      batch: batch, tokens: tokens, channels: channels, w: w.map(Double.init),
      u: u.map(Double.init), k: k.map(Double.init), v: v.map(Double.init))
  }

  var isFastSafe: Bool { k_wkv_fast_is_safe(w, u, tokens, channels) }
}

/// What the kernels make of a problem, in the order of the sequence.
struct WKVResult: Equatable {
  var y: [Float]
  /// The weights e that the fast form hands out; empty from the other forms.
  var weights: [Float] = []
  var gk: [Float] = []
  var gv: [Float] = []
  var gw: [Float] = []
  var gu: [Float] = []
}

/// Runs all passes of the kernels on a problem.
struct WKVRunner {
  var form: k_wkv_form
  var order = WKVOrder.rows
  /// Whether the calls of each pass run last to first.
  var reversed = false
  /// Whether y is written over v and the weights over k.
  var inPlace = false
  /// What the gradients' buffers hold before, and are added to where the kernels can add.
  var gradientsBefore: Float = 0
  /// Whether the backward's scan reads weights that its first pass writes (fast form).
  var handsOverWeights = false
  /// Keys to use instead of the problem's: weights for `K_WKV_FROM_WEIGHTS`.
  var keys: [Float]?

  func plan(_ problem: WKVProblem) -> k_wkv_plan {
    let (height, width, channels) = (problem.height, problem.width, problem.channels)
    return switch order {
    case .rows:
      k_wkv_make_plan(
        form, problem.batch, height, width, channels, channels, width * channels)
    case .columns:
      k_wkv_make_plan(
        form, problem.batch, width, height, channels, width * channels, channels)
    }
  }

  /// Forward alone.
  func forward(_ problem: WKVProblem) -> WKVResult {
    run(problem, backward: false)
  }

  /// Forward and backward.
  func callAsFunction(_ problem: WKVProblem) -> WKVResult {
    run(problem, backward: true)
  }

  private func run(_ problem: WKVProblem, backward: Bool) -> WKVResult {
    var plan = plan(problem)
    let scratch = FloatBuffer(
      count: backward ? plan.backward_scratch : plan.forward_scratch, filledWith: .nan)
    let k = FloatBuffer(inMemoryOrder(keys ?? problem.k, problem))
    let v = FloatBuffer(inMemoryOrder(problem.v, problem))
    let y = inPlace ? v : FloatBuffer(count: v.count, filledWith: .nan)
    let e = inPlace ? k : FloatBuffer(count: v.count, filledWith: .nan)
    k_wkv_prepare(scratch.pointer, problem.w, problem.u, &plan)
    for index in calls(plan.items) {
      k_wkv_sums(scratch.pointer, k.pointer, v.pointer, &plan, index)
    }
    for index in calls(plan.carries) { k_wkv_carry(scratch.pointer, &plan, index) }
    for index in calls(plan.items) {
      k_wkv_forward_scan(
        y.pointer, form == K_WKV_FAST ? e.pointer : nil, scratch.pointer, k.pointer, v.pointer,
        &plan, index)
    }
    var result = WKVResult(y: inSequenceOrder(y.array, problem))
    if form == K_WKV_FAST { result.weights = inSequenceOrder(e.array, problem) }
    guard backward else { return result }

    let gy = FloatBuffer(inMemoryOrder(problem.upstream, problem))
    let gk = FloatBuffer(count: v.count, filledWith: gradientsBefore)
    let gv = FloatBuffer(count: v.count, filledWith: .nan)
    let gw = FloatBuffer(count: problem.channels, filledWith: gradientsBefore)
    let gu = FloatBuffer(count: problem.channels, filledWith: gradientsBefore)
    let weights = FloatBuffer(count: v.count, filledWith: .nan)
    if handsOverWeights {
      // A scratch that only ever saw denominators is all that the fast backward needs.
      for index in 0..<scratch.count { scratch.pointer[index] = .nan }
      k_wkv_prepare(scratch.pointer, problem.w, problem.u, &plan)
      for index in calls(plan.items) {
        k_wkv_sums(scratch.pointer, k.pointer, nil, &plan, index)
      }
      for index in calls(plan.carries) { k_wkv_carry(scratch.pointer, &plan, index) }
    }
    for index in calls(plan.items) {
      k_wkv_backward_sums(
        handsOverWeights ? weights.pointer : nil, scratch.pointer, k.pointer, v.pointer, y.pointer,
        gy.pointer, &plan, index)
    }
    for index in calls(plan.carries) { k_wkv_backward_carry(scratch.pointer, &plan, index) }
    if handsOverWeights { plan.form = K_WKV_FROM_WEIGHTS }
    for index in calls(plan.items) {
      k_wkv_backward_scan(
        gk.pointer, gv.pointer, gradientsBefore != 0, scratch.pointer,
        handsOverWeights ? weights.pointer : k.pointer, v.pointer, y.pointer, &plan, index)
    }
    k_wkv_backward_finish(gw.pointer, gu.pointer, scratch.pointer, &plan)
    result.gk = inSequenceOrder(gk.array, problem)
    result.gv = inSequenceOrder(gv.array, problem)
    result.gw = gw.array
    result.gu = gu.array
    return result
  }

  private func calls(_ count: Int) -> [Int] {
    reversed ? (0..<count).reversed() : Array(0..<count)
  }

  // MARK: - Sequence and memory

  /// Where a token of the sequence lies in an image of the problem's size.
  private func position(_ token: Int, _ problem: WKVProblem) -> Int {
    switch order {
    case .rows: token
    case .columns: token % problem.height * problem.width + token / problem.height
    }
  }

  private func inMemoryOrder(_ values: [Float], _ problem: WKVProblem) -> [Float] {
    var moved = values
    forEachToken(problem) { sequence, memory in
      moved.replaceSubrange(memory, with: values[sequence])
    }
    return moved
  }

  private func inSequenceOrder(_ values: [Float], _ problem: WKVProblem) -> [Float] {
    var moved = values
    forEachToken(problem) { sequence, memory in
      moved.replaceSubrange(sequence, with: values[memory])
    }
    return moved
  }

  private func forEachToken(
    _ problem: WKVProblem, _ body: (_ sequence: Range<Int>, _ memory: Range<Int>) -> Void
  ) {
    for item in 0..<problem.batch {
      for token in 0..<problem.tokens {
        let from = (item * problem.tokens + token) * problem.channels
        let to = (item * problem.tokens + position(token, problem)) * problem.channels
        body(from..<from + problem.channels, to..<to + problem.channels)
      }
    }
  }
}

/// Floats aligned as the kernels want their scratch.
private final class FloatBuffer {
  let count: Int
  let pointer: UnsafeMutablePointer<Float>

  init(count: Int, filledWith value: Float) {
    self.count = count
    pointer = UnsafeMutableRawPointer.allocate(
      byteCount: count * MemoryLayout<Float>.stride, alignment: 64
    ).bindMemory(to: Float.self, capacity: count)
    pointer.initialize(repeating: value, count: count)
  }

  convenience init(_ values: [Float]) {
    self.init(count: values.count, filledWith: 0)
    for (index, value) in values.enumerated() { pointer[index] = value }
  }

  var array: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  deinit { UnsafeMutableRawPointer(pointer).deallocate() }
}
