import Foundation
import Layers
import TensorCore
import TestSupport
import Testing

@Suite("Cross-entropy and Dice over a batch")
struct SegmentationLossTests {
  @Test("the value is that of the formula")
  func value() {
    let logits = Tensor.random([2, 3, 2, 3], seed: 1)
    let target = Tensor([2, 3, 2], [0, 1, 2, 2, 1, 0, 0, 0, 0, 1, 1, 1]).oneHot(classes: 3)
    let x: [Double] = logits.values.map(Double.init)
    let y: [Double] = target.values.map(Double.init)
    var entropy = 0.0
    var (both, sizes) = ([0.0, 0, 0], [0.0, 0, 0])
    for position in 0..<12 {
      let row: [Double] = (0..<3).map { c in exp(x[3 * position + c]) }
      let sum = row[0] + row[1] + row[2]
      for c in 0..<3 {
        let p: Double = row[c] / sum
        let truth: Double = y[3 * position + c]
        entropy -= truth * log(p) / 12
        both[c] += p * truth
        sizes[c] += p + truth
      }
    }
    var dice = 0.0
    for c in 1...2 { dice += (2 * both[c] + 1) / (sizes[c] + 1) / 2 }
    #expect(abs(Double(logits.crossEntropy(target: target).scalar) - entropy) < 1e-5)
    #expect(
      abs(Double(logits.segmentationLoss(target: target).scalar) - (entropy + 1 - dice)) < 1e-5)
  }

  @Test("the gradient is that of differences")
  func gradient() throws {
    let target = Tensor([1, 2, 2], [0, 1, 2, 1]).oneHot(classes: 3)
    let parameter = Parameter([1, 2, 2, 3]) { values in
      for index in values.indices { values[index] = Float((index * 7) % 5) / 3 - 0.5 }
    }
    let gradients = parameter.tensor.segmentationLoss(target: target).gradients()
    let gradient = try #require(parameter.gradient(in: gradients)).values
    let start = parameter.tensor.values
    func loss(_ values: [Float]) -> Double {
      Double(Tensor([1, 2, 2, 3], values).segmentationLoss(target: target).scalar)
    }
    for index in start.indices {
      var (up, down) = (start, start)
      up[index] += 0.01
      down[index] -= 0.01
      #expect(abs((loss(up) - loss(down)) / 0.02 - Double(gradient[index])) < 2e-3)
    }
  }

  @Test("a perfect answer costs nothing, a structure in one sample alone counts for the batch")
  func perfect() {
    let target = Tensor([2, 4], [0, 1, 1, 0, 0, 0, 0, 0]).oneHot(classes: 2)
    let right = target.reshaped(to: [2, 2, 2, 2]) * 60 + (-30)
    #expect(right.segmentationLoss(target: target.reshaped(to: [2, 2, 2, 2])).scalar < 1e-4)
  }
}
