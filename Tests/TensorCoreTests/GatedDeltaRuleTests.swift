import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("GatedDeltaRule")
struct GatedDeltaRuleTests {
  private struct Problem {
    let q: Tensor
    let k: Tensor
    let v: Tensor
    let alpha: Tensor
    let beta: Tensor
    let state: Tensor

    init(tokens: Int, heads: Int = 3, key: Int = 24, value: Int = 70) {
      let rows: Shape = [2, heads, tokens]
      q = .random([2, heads, tokens, key], seed: 1)
      let raw = Tensor.random([2, heads, tokens, key], seed: 2)
      k = raw / (raw * raw).sum(axes: [3], keepingAxes: true).squareRoot()
      v = .random([2, heads, tokens, value], seed: 3)
      alpha = .random(rows, .uniform(0.6..<1), seed: 4)
      beta = .random(rows, .uniform(0.05..<0.95), seed: 5)
      state = .random([2, heads, key, value], seed: 6)
    }

    func run(
      _ form: GatedDeltaForm, _ tokens: Range<Int>? = nil, from state: Tensor? = nil
    ) -> (output: Tensor, state: Tensor) {
      func part(_ x: Tensor) -> Tensor { tokens.map { x.sliced(axis: 2, $0) } ?? x }
      return Tensor.gatedDeltaRule(
        query: part(q), key: part(k), value: part(v), alpha: part(alpha), beta: part(beta),
        state: state ?? self.state, form: form)
    }
  }

  @Test("chunked equals recurrent to 1e-5", arguments: [1, 31, 32, 33, 200])
  func forms(tokens: Int) {
    let problem = Problem(tokens: tokens)
    let (a, b) = (problem.run(.recurrent), problem.run(.chunked))
    #expect(Mismatch(b.output, a.output, relative: 1e-5) == nil)
    #expect(Mismatch(b.state, a.state, relative: 1e-5) == nil)
  }

  @Test("a stream in pieces of any length is the whole", arguments: GatedDeltaForm.allCases)
  func stream(form: GatedDeltaForm) {
    let problem = Problem(tokens: 90)
    let whole = problem.run(.recurrent)
    var outputs: [Tensor] = []
    var state: Tensor?
    for range in [0..<1, 1..<2, 2..<35, 35..<67, 67..<90] {
      let piece = problem.run(form, range, from: state)
      outputs.append(piece.output)
      state = piece.state
    }
    #expect(Mismatch(.concatenate(outputs, axis: 2), whole.output, relative: 1e-5) == nil)
    #expect(Mismatch(state ?? Tensor(0), whole.state, relative: 1e-5) == nil)
  }

  @Test("results do not depend on the number of threads", arguments: GatedDeltaForm.allCases)
  func threads(form: GatedDeltaForm) {
    let problem = Problem(tokens: 70)
    let threads = Engine.shared.threads
    defer { Engine.shared.threads = threads }
    let results = [1, 2, 3].map { count in
      Engine.shared.threads = count
      return problem.run(form).output.values
    }
    #expect(results[0] == results[1] && results[0] == results[2])
  }

  @Test("without memory or writing, nothing is read")
  func empty() {
    let problem = Problem(tokens: 40)
    let zero = Tensor.zeros([2, 3, 40])
    for form in GatedDeltaForm.allCases {
      let result = Tensor.gatedDeltaRule(
        query: problem.q, key: problem.k, value: problem.v, alpha: problem.alpha, beta: zero,
        form: form)
      #expect(result.output.values.allSatisfy { $0 == 0 })
    }
  }

  @Test("what is written with β = 1 under a unit key is read back", arguments: [1, 32, 33])
  func association(tokens: Int) {
    // The last token's own key: S k = S̃ k + k (v − S̃ᵀk) · |k|² = v.
    let problem = Problem(tokens: tokens)
    for form in GatedDeltaForm.allCases {
      let result = Tensor.gatedDeltaRule(
        query: problem.k, key: problem.k, value: problem.v, alpha: problem.alpha,
        beta: .ones([2, 3, tokens]), state: problem.state, form: form)
      #expect(Mismatch(result.output, problem.v, relative: 2e-5) == nil)
    }
  }
}

@Suite("PointSample")
struct PointSampleTests {
  private let image = Tensor([1, 2, 3, 1], [0, 1, 2, 10, 11, 12])

  @Test(
    "pixel centres are exact, borders fade to 0",
    arguments: [
      ((Float(0.5), Float(0.25)), Float(1)), ((1 / 6, 0.75), 10), ((0.5, 0.5), 6),
      ((0, 0.25), 0), ((1, 0.75), 6), ((1, 1), 3), ((2, 0.5), 0), ((.nan, 0.5), 0),
    ])
  func values(point: (Float, Float), expected: Float) {
    let y = image.sampled(at: Tensor([1, 1, 2], [point.0, point.1]))
    #expect(abs(y.scalar - expected) < 1e-5)
  }
}

@Suite("ForegroundMask")
struct ForegroundMaskTests {
  @Test("half of the queries sees the object, half the rest")
  func halves() {
    let mask = Tensor([1, 1, 4], [2, -1, 0, -3]).foregroundMask(queries: 2)
    #expect(mask.shape == [1, 1, 2, 4])
    #expect(mask.values.map { $0 == 0 } == [true, false, true, false, false, true, false, true])
  }

  @Test("a query that could see nothing sees everything")
  func open() {
    let nothing = Tensor([1, 1, 2], [-1, -2]).foregroundMask(queries: 2)
    #expect(nothing.values == [0, 0, 0, 0])
    let all = Tensor([1, 1, 2], [1, 2]).foregroundMask(queries: 2)
    #expect(all.values == [0, 0, 0, 0])
  }

  @Test("with several objects the most probable one owns a pixel, or the background")
  func objects() {
    // Pixel 0: object 0; pixel 1: object 1; pixel 2: both below their common background.
    let logits = Tensor([1, 2, 3], [2, 0.5, -1, 1, 3, -1])
    let mask = logits.foregroundMask(queries: 2).reshaped(to: [2, 2, 3])
    #expect(
      mask.values.map { $0 == 0 } == [
        true, false, false, false, true, true, false, true, false, true, false, true,
      ])
  }

  @Test("has no gradient, and leaves its input without one")
  func gradient() {
    let logits = Tensor([1, 1, 2], [1, -1]).tracked()
    #expect(!logits.foregroundMask(queries: 2).isTracked)
  }
}
