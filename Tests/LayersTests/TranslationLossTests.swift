import Foundation
import Layers
import TensorCore
import TestSupport
import Testing

@Suite("Losses of image translation")
struct TranslationLossTests {
  @Test("equal images have similarity 1 and loss 0")
  func equal() {
    let x = Tensor.random([2, 16, 20, 2], .uniform(0..<1), seed: 1)
    let terms = TranslationLoss().terms(x, x)
    #expect(terms.smoothL1.scalar == 0)
    #expect(terms.edge.scalar == 0)
    #expect(abs(terms.similarity.scalar - 1) < 1e-6)
    #expect(abs(TranslationLoss()(x, x).scalar) < 1e-6)
  }

  @Test("the smooth L1 norm is square below its bound and linear above")
  func smoothL1() {
    let target = Tensor.zeros([1, 12, 12, 1])
    for (difference, beta) in [(0.5, 1.0), (3.0, 1.0), (0.5, 0.25), (-2.0, 0.5)] as [(Float, Float)]
    {
      var loss = TranslationLoss()
      loss.smoothBeta = beta
      let size = abs(difference)
      let expected = size < beta ? size * size / (2 * beta) : size - beta / 2
      let value = loss.terms(target + difference, target).smoothL1.scalar
      #expect(abs(value - expected) < 1e-6)
    }
  }

  @Test("similarity follows the formula at every pixel, with reflected borders")
  func similarity() {
    let (height, width) = (13, 9)
    let x = Tensor.random([1, height, width, 1], .uniform(0..<1), seed: 2)
    let t = Tensor.random([1, height, width, 1], .uniform(0..<1), seed: 3)
    var similarity = WindowedSimilarity()
    similarity.window = 5
    similarity.sigma = 1.2
    similarity.crop = 2
    let line = (-2...2).map { exp(-Double($0 * $0) / (2 * 1.44)) }
    let total = line.reduce(0, +)
    func reflected(_ index: Int, _ count: Int) -> Int {
      index < 0 ? -index : index < count ? index : 2 * (count - 1) - index
    }
    var sum = 0.0
    for row in 0..<height {
      for column in 0..<width {
        var moments = [Double](repeating: 0, count: 5)
        for i in -2...2 {
          for j in -2...2 {
            let at = reflected(row + i, height) * width + reflected(column + j, width)
            let (a, b) = (Double(x.values[at]), Double(t.values[at]))
            let weight = line[i + 2] * line[j + 2] / (total * total)
            for (index, value) in [a, b, a * a, b * b, a * b].enumerated() {
              moments[index] += weight * value
            }
          }
        }
        let product = moments[0] * moments[1]
        let squares = moments[0] * moments[0] + moments[1] * moments[1]
        sum +=
          (2 * product + 1e-4) * (2 * (moments[4] - product) + 9e-4)
          / ((squares + 1e-4) * (moments[2] + moments[3] - squares + 9e-4))
      }
    }
    let value = similarity(x, t).scalar
    #expect(abs(Double(value) - sum / Double(height * width)) < 1e-5)
  }

  @Test("gradients agree with central differences")
  func gradient() {
    let target = Tensor.random([1, 12, 14, 1], .uniform(0..<1), seed: 4)
    let x = Tensor.random([1, 12, 14, 1], .uniform(0..<1), seed: 5)
    var check = GradientCheck()
    check.step = 2e-3
    check.tolerance = 1e-2
    let failures = check.failures(at: [x]) { TranslationLoss()($0[0], target) }
    #expect(failures.isEmpty, "\(failures)")
  }
}
