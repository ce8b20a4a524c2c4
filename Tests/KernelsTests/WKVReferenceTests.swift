import Randomness
import TestSupport
import Testing

@Suite("Reference of the bidirectional WKV")
struct WKVReferenceTests {
  @Test("its gradients are those of its output, by central differences")
  func gradients() {
    for (seed, regime) in WKVRegime.all.prefix(3).enumerated() {
      let problem = WKVProblem(
        height: 3, width: 4, channels: 2, regime: regime, seed: UInt64(seed))
      let upstream = problem.upstream.map(Double.init)
      let reference = problem.reference
      let gradients = reference.gradients(upstream: upstream)
      var generator = SeededGenerator(seed: 77)
      for _ in 0..<3 {
        func direction(_ count: Int) -> [Double] {
          (0..<count).map { _ in generator.nextNormalDouble() }
        }
        let (w, u) = (direction(reference.w.count), direction(reference.u.count))
        let (k, v) = (direction(reference.k.count), direction(reference.v.count))
        let step = 1e-5
        func loss(_ distance: Double) -> Double {
          var moved = reference
          moved.w = zip(moved.w, w).map { $0 + distance * $1 }
          moved.u = zip(moved.u, u).map { $0 + distance * $1 }
          moved.k = zip(moved.k, k).map { $0 + distance * $1 }
          moved.v = zip(moved.v, v).map { $0 + distance * $1 }
          return dot(moved.output(), upstream)
        }
        let numeric = (loss(step) - loss(-step)) / (2 * step)
        let analytic =
          dot(gradients.w, w) + dot(gradients.u, u) + dot(gradients.k, k) + dot(gradients.v, v)
        #expect(abs(numeric - analytic) <= 1e-6 * max(1, abs(analytic)), "\(regime.name)")
      }
    }
  }

  @Test("equal keys and no decay give the mean, a large bonus the own value")
  func knownOutputs() {
    let values = [1.0, 2, 6]
    var reference = ReferenceWKV(
      batch: 1, tokens: 3, channels: 1, w: [0], u: [0], k: [4, 4, 4], v: values)
    for y in reference.output() { #expect(abs(y - 3) < 1e-12) }
    reference.u = [80]
    for (y, value) in zip(reference.output(), values) { #expect(abs(y - value) < 1e-12) }
    // Distance 0 to the neighbour, 1 to the one after it.
    reference.u = [-200]
    reference.w = [1]
    let far = 0.36787944117144233
    #expect(abs(reference.output()[0] - (2 + far * 6) / (1 + far)) < 1e-12)
  }

  private func dot(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
  }
}
