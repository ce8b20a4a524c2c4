import Foundation
import Randomness
import Testing

@Suite("Distributions")
struct DistributionTests {
  @Test("uniform numbers are the upper bits of the stream, in [0, 1)")
  func uniformBits() {
    var bits = SeededGenerator(seed: 3)
    var single = SeededGenerator(seed: 3)
    var double = SeededGenerator(seed: 3)
    for _ in 0..<1000 {
      let raw = bits.next()
      #expect(single.nextUniform() == Float(raw >> 40) / 16_777_216)
      #expect(double.nextUniformDouble() == Double(raw >> 11) / 9_007_199_254_740_992)
    }
  }

  @Test("normal numbers are the polar method's, to the last bits")
  func knownNormals() {
    let expected = [
      -0.7262191382447857, -0.21119691823195985, 0.22162270150359334, 0.5227716877560146,
      0.46417731016247366, 0.7409788916865562, 1.476249461018415, 0.47075911993601033,
    ]
    var generator = SeededGenerator(seed: 42)
    for value in expected {
      let drawn = generator.nextNormalDouble()
      #expect(abs(drawn - value) <= 8 * value.ulp, "\(drawn) is not \(value)")
    }
  }

  @Test("bits of normal numbers never change")
  func fixedNormalBits() {
    var generator = SeededGenerator(seed: 42)
    var hash: UInt64 = 0
    for _ in 0..<10_000 {
      hash = (hash << 7 | hash >> 57) ^ generator.nextNormalDouble().bitPattern
    }
    #expect(hash == 1_625_535_260_368_710_440)
  }

  @Test("the logarithm is within two units in the last place")
  func logarithm() {
    var generator = SeededGenerator(seed: 8)
    var worst = 0.0
    for index in 0..<20_000 {
      let scale = Double(sign: .plus, exponent: index % 100 - 90, significand: 1)
      let x = (generator.nextUniformDouble() + 0x1p-54) * scale
      let expected = Foundation.log(x)
      worst = max(worst, abs(portableLog(x) - expected) / expected.ulp)
    }
    #expect(worst <= 2, "worst error \(worst) ulp")
    #expect(portableLog(1) == 0)
    #expect(portableLog(0x1p-20) == Foundation.log(0x1p-20))
  }

  @Test("moments of the uniform distribution")
  func uniformMoments() {
    var generator = SeededGenerator(seed: 1)
    let values = (0..<200_000).map { _ in Double(generator.nextUniform()) }
    let (mean, variance) = moments(values)
    #expect(abs(mean - 0.5) < 4 * (1.0 / 12 / 200_000).squareRoot())
    #expect(abs(variance - 1.0 / 12) < 1e-3)
  }

  @Test("moments of the normal distribution up to the fourth")
  func normalMoments() {
    var generator = SeededGenerator(seed: 1)
    let count = 200_000.0
    let values = (0..<Int(count)).map { _ in generator.nextNormalDouble() }
    let (mean, variance) = moments(values)
    let third = values.reduce(0) { $0 + $1 * $1 * $1 } / count
    let fourth = values.reduce(0) { $0 + $1 * $1 * $1 * $1 } / count
    // Standard errors: 1/√n, √(2/n), √(15/n), √(96/n).
    #expect(abs(mean) < 4 * (1 / count).squareRoot())
    #expect(abs(variance - 1) < 4 * (2 / count).squareRoot())
    #expect(abs(third) < 4 * (15 / count).squareRoot())
    #expect(abs(fourth - 3) < 4 * (96 / count).squareRoot())
  }

  @Test("the largest gap to the exact distribution is as small as chance allows")
  func kolmogorovSmirnov() {
    var generator = SeededGenerator(seed: 77)
    let count = 50_000
    let uniform = (0..<count).map { _ in generator.nextUniformDouble() }
    let normal = (0..<count).map { _ in generator.nextNormalDouble() }
    // 1.95/√n is exceeded by chance once in a thousand.
    let limit = 1.95 / Double(count).squareRoot()
    #expect(largestGap(uniform) { $0 } < limit)
    #expect(largestGap(normal) { 0.5 * erfc(-$0 / 2.0.squareRoot()) } < limit)
    // The test itself notices a distribution that is off by 2 %.
    #expect(largestGap(normal.map { $0 * 1.05 }) { 0.5 * erfc(-$0 / 2.0.squareRoot()) } > limit)
  }

  @Test("a filled buffer holds what single calls return")
  func fillsEqualSingleCalls() {
    var filling = SeededGenerator(seed: 4)
    var single = SeededGenerator(seed: 4)
    var buffer = [Float](repeating: .nan, count: 101)
    buffer.withUnsafeMutableBufferPointer { filling.fillUniform($0, low: -2, high: 6) }
    #expect(buffer == (0..<101).map { _ in -2 + 8 * single.nextUniform() })
    buffer.withUnsafeMutableBufferPointer { filling.fillNormal($0, mean: 3, standardDeviation: 2) }
    #expect(buffer == (0..<101).map { _ in Float(3 + 2 * single.nextNormalDouble()) })
    #expect(filling == single)
  }

  @Test("indices are the unbiased method's and cover the range evenly")
  func indices() {
    var generator = SeededGenerator(seed: 42)
    let drawn = (0..<16).map { _ in generator.nextInt(below: 10) }
    #expect(drawn == [0, 3, 6, 9, 9, 7, 7, 8, 7, 5, 6, 2, 8, 3, 7, 8])

    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[generator.nextInt(below: 7)] += 1 }
    let chiSquared = counts.reduce(0.0) { $0 + pow(Double($1) - 10_000, 2) / 10_000 }
    // 6 degrees of freedom, one in a thousand.
    #expect(chiSquared < 22.5)
    #expect(generator.nextInt(below: 1) == 0)
  }

  @Test("a bound near the top of the range rejects the surplus")
  func largeBound() {
    var generator = SeededGenerator(seed: 6)
    let bound = Int.max / 3 * 2
    var lower = 0
    for _ in 0..<20_000 where generator.nextInt(below: bound) < bound / 2 { lower += 1 }
    // A plain remainder would put two thirds of the draws into one half.
    #expect(abs(lower - 10_000) < 300)
  }

  @Test("an order is a permutation, the shuffle's and fixed")
  func permutations() {
    var generator = SeededGenerator(seed: 42)
    #expect(generator.permutation(10) == [9, 1, 4, 2, 8, 7, 6, 5, 3, 0])
    #expect(generator.permutation(1000).sorted() == Array(0..<1000))
    #expect(generator.permutation(0) == [])
    #expect(generator.permutation(1) == [0])
  }

  @Test("every order of three comes up equally often")
  func shuffleIsFair() {
    var generator = SeededGenerator(seed: 2)
    var counts: [[Int]: Int] = [:]
    for _ in 0..<60_000 {
      var elements = [0, 1, 2]
      generator.shuffle(&elements)
      counts[elements, default: 0] += 1
    }
    #expect(counts.count == 6)
    let chiSquared = counts.values.reduce(0.0) { $0 + pow(Double($1) - 10_000, 2) / 10_000 }
    #expect(chiSquared < 20.5)
  }

  private func moments(_ values: [Double]) -> (mean: Double, variance: Double) {
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, squares / Double(values.count))
  }

  /// Largest distance between the distribution of a sample and an exact one.
  private func largestGap(_ sample: [Double], to cumulative: (Double) -> Double) -> Double {
    let count = Double(sample.count)
    return sample.sorted().enumerated().reduce(0) { gap, entry in
      let exact = cumulative(entry.element)
      let below = exact - Double(entry.offset) / count
      let above = Double(entry.offset + 1) / count - exact
      return max(gap, below, above)
    }
  }
}
