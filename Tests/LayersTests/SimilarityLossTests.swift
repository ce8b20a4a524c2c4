import Foundation
import Layers
import Randomness
import TensorCore
import Testing

@Suite("Similarity loss")
struct SimilarityLossTests {
  private func image(_ seed: UInt64, _ shape: Shape) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor(shape) { generator.fillUniform($0) }
  }

  /// The mean of SSIM and of its contrast part, by plain loops in double precision.
  private func plain(
    _ x: [Double], _ t: [Double], _ height: Int, _ width: Int
  ) -> (whole: Double, contrast: Double) {
    let taps = (-5...5).map { exp(-Double($0 * $0) / 4.5) }
    let norm = taps.reduce(0, +)
    var (whole, contrast, count) = (0.0, 0.0, 0.0)
    for y in 5..<height - 5 {
      for c in 5..<width - 5 {
        var (mx, mt, xx, tt, xt) = (0.0, 0.0, 0.0, 0.0, 0.0)
        for i in 0..<11 {
          for j in 0..<11 {
            let w = taps[i] * taps[j] / (norm * norm)
            let (a, b) = (x[(y + i - 5) * width + c + j - 5], t[(y + i - 5) * width + c + j - 5])
            mx += w * a
            mt += w * b
            xx += w * a * a
            tt += w * b * b
            xt += w * a * b
          }
        }
        let cs = (2 * (xt - mx * mt) + 9e-4) / (xx - mx * mx + tt - mt * mt + 9e-4)
        whole += cs * (2 * mx * mt + 1e-4) / (mx * mx + mt * mt + 1e-4)
        contrast += cs
        count += 1
      }
    }
    return (whole / count, contrast / count)
  }

  private func halved(_ x: [Double], _ height: Int, _ width: Int) -> [Double] {
    (0..<height / 2 * (width / 2)).map { index in
      let (y, c) = (index / (width / 2) * 2, index % (width / 2) * 2)
      return
        (x[y * width + c] + x[y * width + c + 1] + x[(y + 1) * width + c]
        + x[(y + 1) * width + c + 1]) / 4
    }
  }

  @Test("one and two scales are the formulas'")
  func formulas() {
    let (height, width) = (24, 22)
    let t = image(1, [1, height, width, 1])
    let x = t * 0.8 + image(2, [1, height, width, 1]) * 0.2
    let (a, b) = (x.values.map(Double.init), t.values.map(Double.init))
    let fine = plain(a, b, height, width)
    #expect(abs(Double(SimilarityLoss()(x, t).scalar) - (1 - fine.whole)) < 1e-4)
    let coarse = plain(halved(a, height, width), halved(b, height, width), 12, 11)
    let (w1, w2) = (0.0448 / 0.3304, 0.2856 / 0.3304)
    let expected = 1 - pow(fine.contrast, w1) * pow(coarse.whole, w2)
    #expect(abs(Double(SimilarityLoss(scales: 2)(x, t).scalar) - expected) < 1e-4)
    #expect(abs(SimilarityLoss(scales: 2)(t, t).scalar) < 1e-5)
  }

  @Test("the gradient is that of differences", arguments: [1, 2])
  func gradient(scales: Int) {
    let shape: Shape = [2, 22, 23, 1]
    let (t, noise, direction) = (image(3, shape), image(4, shape), image(5, shape) + (-0.5))
    let start = t * 0.7 + noise * 0.3
    let loss = SimilarityLoss(scales: scales)
    let x = start.tracked()
    let gradient = loss(x, t).gradients()[x]?.values ?? []
    let slope = zip(gradient, direction.values).reduce(0.0) {
      $0 + Double($1.0) * Double($1.1)
    }
    let step: Float = 1e-2
    let ahead = loss(start + direction * step, t).scalar
    let behind = loss(start - direction * step, t).scalar
    let difference = Double(ahead - behind) / (2 * Double(step))
    // Variances as differences of moments leave about 1e-6 in the loss, 1e-4 in its slope.
    #expect(abs(slope - difference) < 3e-2 * abs(difference) + 3e-4)
    #expect(abs(slope) > 1e-3)
  }
}
