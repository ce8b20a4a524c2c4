import Kernels
import TestSupport
import Testing

/// One sequence for the gated delta rule.
struct GatedDeltaProblem: Sendable, CustomTestStringConvertible {
  var tokens: Int
  var key: Int
  var value: Int
  /// α is uniform from here to 1, but for every fifth token if `hasForgetting`.
  var leastAlpha: Float = 0.7
  /// Whether every fifth token forgets nearly everything, α = 10⁻⁴.
  var hasForgetting = false

  var testDescription: String {
    "T \(tokens), K \(key), V \(value)\(hasForgetting ? ", forgetting" : "")"
  }

  static let all = [
    GatedDeltaProblem(tokens: 1, key: 4, value: 3),
    GatedDeltaProblem(tokens: 31, key: 8, value: 6),
    GatedDeltaProblem(tokens: 32, key: 16, value: 16),
    GatedDeltaProblem(tokens: 33, key: 20, value: 70),
    GatedDeltaProblem(tokens: 100, key: 64, value: 40),
    GatedDeltaProblem(tokens: 40, key: 130, value: 9),
    GatedDeltaProblem(tokens: 70, key: 12, value: 33, leastAlpha: 0.001, hasForgetting: true),
  ]

  var sizes: k_gated_delta_sizes {
    k_gated_delta_sizes(tokens: tokens, key_dim: key, value_dim: value)
  }

  var q: [Float] { normals(tokens * key, seed: 1) }
  var v: [Float] { normals(tokens * value, seed: 2) }
  var state: [Float] { normals(key * value, seed: 3) }
  var dy: [Float] { normals(tokens * value, seed: 4) }
  var dstate: [Float] { normals(key * value, seed: 5) }
  /// Of unit length.
  var k: [Float] {
    var k = normals(tokens * key, seed: 6)
    for t in 0..<tokens {
      let row = t * key..<(t + 1) * key
      let length = k[row].reduce(0) { $0 + $1 * $1 }.squareRoot()
      for index in row { k[index] /= length }
    }
    return k
  }
  /// In (0, 1), by a rule that is no distribution.
  private func fractions(_ factor: Float) -> [Float] {
    (0..<tokens).map { t in
      let x = Float(t + 1) * factor
      return 0.02 + 0.96 * (x - x.rounded(.down))
    }
  }
  var alpha: [Float] {
    fractions(0.618).enumerated().map { t, f in
      hasForgetting && t % 5 == 2 ? 1e-4 : leastAlpha + (1 - leastAlpha) * f
    }
  }
  var beta: [Float] { fractions(0.414) }

  var reference: ReferenceGatedDelta {
    ReferenceGatedDelta(
      tokens: tokens, key: key, value: value, q: q, k: k, v: v, alpha: alpha, beta: beta,
      state: state)
  }

  /// What a form leaves: y, the final state, u and the states before the chunks.
  struct Result: Equatable {
    var y: [Float]
    var state: [Float]
    var u: [Float]
    var states: [Float]
  }

  /// Runs a form, columns cut in two at `cut`.
  func run(chunked: Bool, cut: Int = 0) -> Result {
    var sizes = sizes
    let chunks = (tokens + K_GATED_DELTA_CHUNK - 1) / K_GATED_DELTA_CHUNK
    let (q, k, v, alpha, beta) = (q, k, v, alpha, beta)
    var result = Result(y: [], state: state, u: [], states: [])
    result.y = written(tokens * value) { y in
      result.state = written(over: result.state) { state in
        result.u = written(tokens * value) { u in
          result.states = written(chunks * key * value) { states in
            let columns = [(0, cut), (cut, value - cut)].filter { $0.1 > 0 }
            if chunked {
              let count = k_gated_delta_prepared_count(key)
              var prepared = [Float](repeating: 777, count: chunks * count)
              for chunk in (0..<chunks).reversed() {
                prepared.withUnsafeMutableBufferPointer {
                  guard let base = $0.baseAddress else { return }
                  k_gated_delta_prepare(
                    u, base + chunk * count, q, k, v, alpha, beta, &sizes, chunk)
                }
              }
              for (first, count) in columns.reversed() {
                k_gated_delta_scan(y, state, u, states, prepared, q, k, &sizes, first, count)
              }
            } else {
              for (first, count) in columns.reversed() {
                k_gated_delta_recurrent(
                  y, state, u, states, q, k, v, alpha, beta, &sizes, first, count)
              }
            }
          }
        }
      }
    }
    return result
  }
}

@Suite("Gated delta kernels")
struct GatedDeltaTests {
  private func agrees(_ actual: [Float], _ expected: [Double]) -> Bool {
    Mismatch(actual, expected.map(Float.init), relative: 1e-5) == nil
  }

  @Test("Both forms follow the rule", arguments: Level.all, GatedDeltaProblem.all)
  func forward(level: Level, problem: GatedDeltaProblem) {
    let expected = problem.reference.forward()
    level.run {
      for chunked in [false, true] {
        let result = problem.run(chunked: chunked)
        #expect(agrees(result.y, expected.y), "chunked: \(chunked)")
        #expect(agrees(result.state, expected.state), "chunked: \(chunked)")
        for chunk in 0..<result.states.count / (problem.key * problem.value) {
          let count = problem.key * problem.value
          let states = Array(result.states[chunk * count..<(chunk + 1) * count])
          let before = expected.before[chunk * Int(K_GATED_DELTA_CHUNK)]
          #expect(agrees(states, before), "chunked: \(chunked), chunk \(chunk)")
        }
      }
    }
  }

  @Test("Columns are independent", arguments: Level.all, [3, 16, 35])
  func columns(level: Level, cut: Int) {
    let problem = GatedDeltaProblem(tokens: 50, key: 24, value: 70)
    level.run {
      for chunked in [false, true] {
        let whole = problem.run(chunked: chunked)
        let parts = problem.run(chunked: chunked, cut: cut)
        #expect(Mismatch(parts.y, whole.y, relative: 1e-6) == nil)
        #expect(Mismatch(parts.state, whole.state, relative: 1e-6) == nil)
        #expect(Mismatch(parts.u, whole.u, relative: 1e-6) == nil)
      }
    }
  }

  @Test("The recurrent form needs no record")
  func withoutRecord() {
    let problem = GatedDeltaProblem(tokens: 40, key: 10, value: 21)
    var sizes = problem.sizes
    var state = problem.state
    let y = written(problem.tokens * problem.value) { y in
      state = written(over: state) {
        k_gated_delta_recurrent(
          y, $0, nil, nil, problem.q, problem.k, problem.v, problem.alpha, problem.beta, &sizes,
          0, problem.value)
      }
    }
    let expected = problem.run(chunked: false)
    #expect(y == expected.y)
    #expect(state == expected.state)
  }

  @Test("Gradients are those of the rule", arguments: Level.all, GatedDeltaProblem.all)
  func backward(level: Level, problem: GatedDeltaProblem) {
    let expected = problem.reference.gradients(dy: problem.dy, dstate: problem.dstate)
    level.run {
      for chunked in [false, true] {
        let record = problem.run(chunked: chunked)
        var sizes = problem.sizes
        var scratch = [Float](repeating: 777, count: k_gated_delta_scratch_count(&sizes))
        let (keys, values) = (problem.tokens * problem.key, problem.tokens * problem.value)
        var (dk, dv, dalpha, dbeta): ([Float], [Float], [Float], [Float]) = ([], [], [], [])
        var dstate = problem.dstate
        let dq = written(keys) { dq in
          dk = written(keys) { dk in
            dv = written(values) { dv in
              dalpha = written(problem.tokens) { dalpha in
                dbeta = written(problem.tokens) { dbeta in
                  dstate = written(over: dstate) {
                    k_gated_delta_backward(
                      dq, dk, dv, dalpha, dbeta, $0, &scratch, problem.dy, problem.q, problem.k,
                      problem.v, problem.alpha, problem.beta, record.u, record.states, &sizes)
                  }
                }
              }
            }
          }
        }
        #expect(Mismatch(dq, expected.q.map(Float.init), relative: 1e-5) == nil)
        #expect(Mismatch(dk, expected.k.map(Float.init), relative: 1e-5) == nil)
        #expect(Mismatch(dv, expected.v.map(Float.init), relative: 1e-5) == nil)
        #expect(Mismatch(dalpha, expected.alpha.map(Float.init), relative: 1e-5) == nil)
        #expect(Mismatch(dbeta, expected.beta.map(Float.init), relative: 1e-5) == nil)
        #expect(Mismatch(dstate, expected.state.map(Float.init), relative: 1e-5) == nil)
      }
    }
  }

  @Test("The reference's gradients are those of its own forward pass")
  func reference() {
    let problem = GatedDeltaProblem(tokens: 6, key: 3, value: 4)
    let reference = problem.reference
    let gradients = reference.gradients(dy: problem.dy, dstate: problem.dstate)
    func loss(_ r: ReferenceGatedDelta) -> Double {
      let (y, state, _) = r.forward()
      return zip(y, problem.dy).reduce(0) { $0 + $1.0 * Double($1.1) }
        + zip(state, problem.dstate).reduce(0) { $0 + $1.0 * Double($1.1) }
    }
    func check(
      _ path: WritableKeyPath<ReferenceGatedDelta, [Double]>, _ gradient: [Double]
    ) {
      for index in gradient.indices {
        var (up, down) = (reference, reference)
        up[keyPath: path][index] += 1e-5
        down[keyPath: path][index] -= 1e-5
        #expect(abs((loss(up) - loss(down)) / 2e-5 - gradient[index]) < 1e-6)
      }
    }
    check(\.q, gradients.q)
    check(\.k, gradients.k)
    check(\.v, gradients.v)
    check(\.alpha, gradients.alpha)
    check(\.beta, gradients.beta)
    check(\.state, gradients.state)
  }
}
