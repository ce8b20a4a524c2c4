import Foundation
import Randomness
import Testing

@Suite("Poisson numbers")
struct PoissonTests {
  @Test(
    "mean, variance and third moment are those of the distribution",
    arguments: [0.3, 4, 9.9, 10.1, 45, 2000, 3e6])
  func moments(mean: Double) {
    var generator = SeededGenerator(seed: 5)
    let count = 40_000
    let values = (0..<count).map { _ in generator.nextPoisson(mean: mean) }
    let average = values.reduce(0, +) / Double(count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
    let third = values.reduce(0) { $0 + pow(($1 - mean) / mean.squareRoot(), 3) } / Double(count)
    #expect(abs(average - mean) < 4 * (mean / Double(count)).squareRoot())
    // Var((x − λ)²) = λ + 2 λ²; the skewness is λ^(−1/2).
    let spread = ((mean + 2 * mean * mean) / Double(count)).squareRoot()
    #expect(abs(variance - mean) < 4 * spread)
    #expect(abs(third - 1 / mean.squareRoot()) < 0.15 + 0.3 / mean)
  }

  @Test("frequencies follow the probabilities", arguments: [2.0, 14])
  func frequencies(mean: Double) {
    var generator = SeededGenerator(seed: 6)
    let count = 60_000
    var found = [Double](repeating: 0, count: 60)
    for _ in 0..<count {
      let value = generator.nextPoisson(mean: mean)
      #expect(value >= 0 && value == value.rounded())
      found[min(59, Int(value))] += 1
    }
    for k in 0..<40 {
      let expected = Double(count) * exp(Double(k) * log(mean) - mean - lgamma(Double(k) + 1))
      #expect(abs(found[k] - expected) < 4.5 * expected.squareRoot() + 1, "k = \(k)")
    }
  }

  @Test("a mean of 0 gives 0")
  func zero() {
    var generator = SeededGenerator(seed: 7)
    #expect((0..<100).allSatisfy { _ in generator.nextPoisson(mean: 0) == 0 })
  }
}
