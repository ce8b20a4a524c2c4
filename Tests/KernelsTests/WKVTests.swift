import Foundation
import Kernels
import Randomness
import TestSupport
import Testing

/// Serialized, because the instruction set is chosen for the whole process.
@Suite("Bidirectional WKV", .serialized)
struct WKVTests {
  /// Heights and widths: one token, two, one row, several rows per chunk, several chunks per column.
  static let sizes = [(1, 1), (2, 1), (5, 7), (1, 35), (20, 15), (3, 100), (150, 2)]

  // MARK: - Against the definition

  @Test(
    "every form, order and level agrees with the definition, gradients too",
    arguments: WKVRegime.all, [1, 6, 8, 12, 16, 48])
  func agreesWithDefinition(regime: WKVRegime, channels: Int) {
    // The naive sums take T² exponentials per channel.
    for (height, width) in Self.sizes where height * width * channels <= 2400 {
      let problem = WKVProblem(
        height: height, width: width, channels: channels, regime: regime,
        seed: UInt64(1000 * height + width))
      let expected = problem.reference.gradients(upstream: problem.upstream.map(Double.init))
      atEachLevel { level in
        for order in WKVOrder.allCases {
          for form in problem.isFastSafe ? [K_WKV_SAFE, K_WKV_FAST] : [K_WKV_SAFE] {
            let result = WKVRunner(form: form, order: order)(problem)
            let context: Comment = "\(level), \(order), form \(form.rawValue), \(height)×\(width)"
            expectClose(result, expected, context)
          }
        }
      }
    }
  }

  @Test("weights kept from one order serve the other")
  func fromWeights() {
    for regime in WKVRegime.all.prefix(4) {
      let problem = WKVProblem(height: 15, width: 11, channels: 12, regime: regime, seed: 5)
      let expected = problem.reference.gradients(upstream: problem.upstream.map(Double.init))
      atEachLevel { level in
        let first = WKVRunner(form: K_WKV_FAST, order: .rows).forward(problem)
        let second = WKVRunner(form: K_WKV_FROM_WEIGHTS, order: .columns, keys: first.weights)
        expectClose(second(problem), expected, "\(level), \(regime.name)")
      }
    }
  }

  @Test("one token: y = v exactly, and only v has a gradient")
  func oneToken() {
    for regime in WKVRegime.all {
      let problem = WKVProblem(height: 1, width: 1, channels: 19, regime: regime, seed: 6)
      #expect(!problem.isFastSafe)
      atEachLevel { level in
        let result = WKVRunner(form: K_WKV_SAFE)(problem)
        #expect(result.y == problem.v, "\(level)")
        expectClose(result.gv, problem.upstream.map(Double.init), tolerance: 1e-6, "\(level)")
        #expect((result.gk + result.gw + result.gu).allSatisfy { $0 == 0 }, "\(level)")
      }
    }
  }

  @Test("far tokens keep their weight over a long sequence")
  func longSequence() {
    // A ramp of values, so that a decay that is off by one rounding per step moves the mean.
    let regime = WKVRegime(name: "long", keyDeviation: 1, decay: 3, bonus: 1)
    var problem = WKVProblem(height: 16_384, width: 1, channels: 4, regime: regime, seed: 7)
    problem.batch = 1
    let count = problem.tokens * problem.channels
    problem.k = Array(problem.k.prefix(count)).map { 5 + $0 }
    problem.v = (0..<count).map { Float($0 / problem.channels) / Float(problem.tokens) }
    problem.upstream = Array(problem.upstream.prefix(count))
    let expected = scannedInDouble(problem)
    atEachLevel { level in
      for form in [K_WKV_SAFE, K_WKV_FAST] {
        let y = WKVRunner(form: form).forward(problem).y
        expectClose(y, expected, scale: 1, tolerance: 2e-6, "\(level), form \(form.rawValue)")
      }
    }
  }

  // MARK: - Properties

  @Test(
    "columns that share places of the cache, and results written past it",
    arguments: [(40, 64, 32), (9, 128, 64), (33, 512, 12), (20, 256, 48), (66, 128, 128)])
  func largeImages(height: Int, width: Int, channels: Int) {
    let regime = WKVRegime(name: "large", keyDeviation: 1, decay: 3, bonus: 1)
    var problem = WKVProblem(
      height: height, width: width, channels: channels, regime: regime, seed: 8)
    problem.batch = 1
    let count = problem.tokens * channels
    problem.k = Array(problem.k.prefix(count))
    problem.v = Array(problem.v.prefix(count))
    let expected = scannedInDouble(problem)
    atEachLevel { level in
      for order in WKVOrder.allCases {
        for (form, inPlace) in [(K_WKV_SAFE, false), (K_WKV_FAST, false), (K_WKV_FAST, true)] {
          let first = WKVRunner(form: form, order: order, inPlace: inPlace).forward(problem)
          let context: Comment = "\(level), \(order), form \(form.rawValue), in place \(inPlace)"
          expectClose(first.y, expected, tolerance: 1e-5, context)
          guard form == K_WKV_FAST else { continue }
          let second = WKVRunner(
            form: K_WKV_FROM_WEIGHTS, order: order, inPlace: inPlace, keys: first.weights)
          expectClose(second.forward(problem).y, expected, tolerance: 1e-5, "weights, \(context)")
        }
      }
    }
  }

  @Test("the order of calls within a pass does not change a bit")
  func callOrder() {
    let problem = WKVProblem(
      height: 70, width: 40, channels: 24, regime: WKVRegime.all[0], seed: 8)
    atEachLevel { level in
      for order in WKVOrder.allCases {
        for form in [K_WKV_SAFE, K_WKV_FAST] {
          var runner = WKVRunner(form: form, order: order)
          #expect(runner.plan(problem).items > 2)
          let forwards = runner(problem)
          runner.reversed = true
          #expect(runner(problem) == forwards, "\(level), \(order), form \(form.rawValue)")
        }
      }
    }
  }

  @Test("a batch of two is two batches of one")
  func batch() {
    let problem = WKVProblem(
      height: 9, width: 33, channels: 20, regime: WKVRegime.all[1], seed: 9)
    let half = problem.k.count / 2
    atEachLevel { level in
      for form in [K_WKV_SAFE, K_WKV_FAST] {
        let runner = WKVRunner(form: form, order: .columns)
        let both = runner(problem)
        for item in 0..<2 {
          var one = problem
          one.batch = 1
          let range = item * half..<(item + 1) * half
          (one.k, one.v) = (Array(problem.k[range]), Array(problem.v[range]))
          one.upstream = Array(problem.upstream[range])
          let alone = runner(one)
          #expect(alone.y == Array(both.y[range]), "\(level)")
          #expect(alone.gk == Array(both.gk[range]), "\(level)")
          #expect(alone.gv == Array(both.gv[range]), "\(level)")
        }
      }
    }
  }

  @Test("y may be v, and the weights may be k")
  func inPlace() {
    let problem = WKVProblem(
      height: 21, width: 13, channels: 12, regime: WKVRegime.all[0], seed: 10)
    atEachLevel { level in
      for form in [K_WKV_SAFE, K_WKV_FAST] {
        var runner = WKVRunner(form: form, order: .columns)
        let apart = runner.forward(problem)
        runner.inPlace = true
        #expect(runner.forward(problem) == apart, "\(level), form \(form.rawValue)")
      }
    }
  }

  @Test("the backward from denominators alone and from handed-over weights gives the same bits")
  func handedOverWeights() {
    for (height, width, channels) in [(4, 9, 5), (20, 15, 18), (70, 3, 48)] {
      let problem = WKVProblem(
        height: height, width: width, channels: channels, regime: WKVRegime.all[0], seed: 21)
      atEachLevel { level in
        for order in [WKVOrder.rows, .columns] {
          var runner = WKVRunner(form: K_WKV_FAST, order: order)
          let plain = runner(problem)
          runner.handsOverWeights = true
          #expect(runner(problem) == plain, "\(level), \(order), \(height) x \(width)")
        }
      }
    }
  }

  @Test("gradients are added to what their buffers hold; that of v is written")
  func addsGradients() {
    let problem = WKVProblem(height: 4, width: 9, channels: 5, regime: WKVRegime.all[0], seed: 11)
    for form in [K_WKV_SAFE, K_WKV_FAST] {
      var runner = WKVRunner(form: form)
      let plain = runner(problem)
      runner.gradientsBefore = 2
      let added = runner(problem)
      #expect(added.gk == plain.gk.map { 2 + $0 })
      #expect(added.gv == plain.gv)
      #expect(added.gw == plain.gw.map { 2 + $0 })
      #expect(added.gu == plain.gu.map { 2 + $0 })
    }
  }

  // MARK: - What is not finite

  @Test(
    "a key that is not finite makes its channel of the batch item NaN, and nothing else",
    arguments: [Float.nan, .infinity, -.infinity], [0, 100, 299])
  func keyNotFinite(key: Float, token: Int) {
    var problem = WKVProblem(
      height: 20, width: 15, channels: 18, regime: WKVRegime.all[0], seed: 12)
    let (item, channel) = (1, 7)
    problem.k[(item * problem.tokens + token) * problem.channels + channel] = key
    atEachLevel { level in
      for form in [K_WKV_SAFE, K_WKV_FAST] {
        let result = WKVRunner(form: form, order: .columns)(problem)
        for values in [result.y, result.gk, result.gv] {
          for (index, value) in values.enumerated() {
            let hit =
              index % problem.channels == channel
              && index / problem.channels / problem.tokens == item
            guard value.isNaN != hit else { continue }
            Issue.record("\(level), form \(form.rawValue): \(value) at \(index)")
            return
          }
        }
        #expect(result.gw.indices.allSatisfy { result.gw[$0].isNaN == ($0 == channel) })
        #expect(result.gu.indices.allSatisfy { result.gu[$0].isNaN == ($0 == channel) })
      }
    }
  }

  @Test("the fast form is refused where it could leave the range of single precision")
  func fastIsSafe() {
    func isSafe(_ w: Float, _ u: Float, _ tokens: Int) -> Bool {
      k_wkv_fast_is_safe([0, w], [0, u], tokens, 2)
    }
    #expect(isSafe(0.1, 0, 300))
    #expect(isSafe(-0.1, 30, 300))
    #expect(!isSafe(0.1, 0, 301))
    #expect(!isSafe(-0.1, 0, 301))
    #expect(!isSafe(0, 30.1, 10))
    #expect(!isSafe(0, -30.1, 10))
    #expect(!isSafe(.nan, 0, 10))
    #expect(!isSafe(0, .nan, 10))
    #expect(!isSafe(-.infinity, 0, 10))
    #expect(!isSafe(0, .infinity, 10))
    #expect(!isSafe(0, 0, 1))
  }

  // MARK: - Helpers

  /// Runs a body at each level of this CPU; other suites' kernels stay correct at any of them.
  private func atEachLevel(_ body: (_ level: String) -> Void) {
    for isa in [K_ISA_BASE, K_ISA_AVX2, K_ISA_AVX512] where k_select_isa(isa) {
      body(String(cString: k_isa_name(isa)))
    }
    _ = k_select_isa(k_best_isa())
  }

  private func expectClose(
    _ result: WKVResult, _ expected: ReferenceWKV.Gradients, _ context: Comment
  ) {
    expectClose(result.y, expected.output, tolerance: 1e-5, "y: \(context)")
    // Exponents of several hundred are themselves only known to a few 1e-5.
    expectClose(result.gv, expected.v, tolerance: 1e-4, "gv: \(context)")
    expectClose(result.gk, expected.k, scale: expected.kScale, tolerance: 1e-5, "gk: \(context)")
    expectClose(result.gw, expected.w, scale: expected.wScale, tolerance: 1e-6, "gw: \(context)")
    expectClose(result.gu, expected.u, scale: expected.uScale, tolerance: 1e-5, "gu: \(context)")
  }

  private func expectClose(
    _ actual: [Float], _ expected: [Double], scale: Double? = nil, tolerance: Double,
    _ context: Comment
  ) {
    let scale = scale ?? expected.map(abs).max() ?? 0
    var worst = 0.0
    for (a, b) in zip(actual, expected) {
      let difference = abs(Double(a) - b)
      worst = difference.isNaN ? .infinity : max(worst, difference)
    }
    // What float32 cannot hold beside numbers of ordinary size may vanish.
    #expect(actual.count == expected.count && worst <= tolerance * scale + 1e-30, context)
  }

  /// The output by the textbook recurrence in double precision, for sequences too long for T² sums.
  private func scannedInDouble(_ problem: WKVProblem) -> [Double] {
    let (tokens, channels) = (problem.tokens, problem.channels)
    var y = [Double](repeating: 0, count: tokens * channels)
    for channel in 0..<channels {
      let decay = exp(-Double(problem.w[channel]))
      func weight(_ token: Int) -> Double { exp(Double(problem.k[token * channels + channel])) }
      func value(_ token: Int) -> Double { Double(problem.v[token * channels + channel]) }
      var behind = [(n: Double, d: Double)](repeating: (0, 0), count: tokens + 1)
      for token in (0..<tokens).reversed() where token + 1 < tokens {
        let next = behind[token + 1]
        behind[token] = (
          next.n * decay + weight(token + 1) * value(token + 1), next.d * decay + weight(token + 1)
        )
      }
      var (n, d) = (0.0, 0.0)
      for token in 0..<tokens {
        let own = weight(token) * exp(Double(problem.u[channel]))
        y[token * channels + channel] =
          (n + behind[token].n + own * value(token)) / (d + behind[token].d + own)
        n = n * decay + weight(token) * value(token)
        d = d * decay + weight(token)
      }
    }
    return y
  }
}
