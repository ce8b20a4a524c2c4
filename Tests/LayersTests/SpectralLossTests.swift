import Foundation
import Layers
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Spectral loss")
struct SpectralLossTests {
  private func image(_ seed: UInt64, _ shape: Shape) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor(shape) { generator.fillNormal($0) }
  }

  @Test("it is the mean of |Re| and |Im| of the unitary transform, sum by sum")
  func definition() {
    let (height, width) = (5, 6)
    let (x, t) = (image(1, [2, height, width, 3]), image(2, [2, height, width, 3]))
    let d = zip(x.values, t.values).map { Double($0) - Double($1) }
    var sum = 0.0
    for n in 0..<2 {
      for c in 0..<3 {
        for k in 0..<height {
          for l in 0..<width {
            var (re, im) = (0.0, 0.0)
            for h in 0..<height {
              for w in 0..<width {
                let angle =
                  2 * Double.pi * (Double(k * h) / Double(height) + Double(l * w) / Double(width))
                let value = d[((n * height + h) * width + w) * 3 + c]
                re += value * cos(angle)
                im += value * sin(angle)
              }
            }
            sum += abs(re) + abs(im)
          }
        }
      }
    }
    let count = Double(2 * 3 * height * width)
    let expected = sum / (2 * count) / Double(height * width).squareRoot()
    #expect(abs(Double(SpectralLoss()(x, t).scalar) - expected) < 1e-5 * expected)
    #expect(SpectralLoss()(x, x).scalar == 0)
  }

  @Test("the gradient is that of differences")
  func gradient() {
    let (start, t) = (image(3, [1, 4, 6, 1]), image(4, [1, 4, 6, 1]))
    let direction = image(5, [1, 4, 6, 1])
    let x = start.tracked()
    let gradient = SpectralLoss()(x, t).gradients()[x]
    let slope = zip(gradient?.values ?? [], direction.values).reduce(0.0) {
      $0 + Double($1.0) * Double($1.1)
    }
    let step: Float = 1e-3
    let ahead = SpectralLoss()(start + direction * step, t).scalar
    let behind = SpectralLoss()(start - direction * step, t).scalar
    let difference = Double(ahead - behind) / (2 * Double(step))
    #expect(abs(slope - difference) < 5e-3 * max(1, abs(difference)))
    #expect(abs(slope) > 1e-2)
  }
}
