import Foundation
import Imaging
import Testing

@Suite("Curve plots")
struct CurvePlotTests {
  private func isDrawn(_ image: PNGImage, _ x: Int, _ y: Int) -> Bool {
    let at = (y * image.width + x) * 3
    return image.samples[at] == 27 && image.samples[at + 1] == 79 && image.samples[at + 2] == 138
  }

  @Test("a falling line runs from the top left to the bottom right of its panel")
  func line() {
    let falling = CurvePlot.Panel(title: "loss", points: [SIMD2(0, 3), SIMD2(100, 1)])
    let flat = CurvePlot.Panel(title: "PSNR (dB)", points: [SIMD2(0, 2), SIMD2(50, .nan)])
    let image = CurvePlot(panels: [falling, flat]).image()
    #expect(image.width == 640 && image.height == 400)
    #expect(isDrawn(image, 84, 24) && isDrawn(image, 623, 173))
    #expect(!isDrawn(image, 84, 173) && !isDrawn(image, 623, 24))
    // The second panel has the one finite point at its top.
    #expect(isDrawn(image, 84, 224) && !isDrawn(image, 300, 224))
  }

  @Test("nothing to draw is a picture with empty panels")
  func empty() {
    let image = CurvePlot(panels: [CurvePlot.Panel(title: "x", points: [])]).image()
    #expect(image.height == 200)
  }

  @Test("halving takes means of four pixels and leaves an odd edge out")
  func halving() {
    let image = PNGImage(
      samples: [0, 4, 9, 8, 4, 9, 7, 7, 7], height: 3, width: 3, colour: .grey, bitDepth: 8)
    let half = image.halved()
    #expect(half.height == 1 && half.width == 1 && half.samples == [4])
    let line = PNGImage(samples: [1, 2, 3], height: 1, width: 3, colour: .grey, bitDepth: 8)
    #expect(line.halved() == line)
    let colour = PNGImage(
      samples: [1, 10, 100, 3, 20, 200, 5, 30, 100, 7, 40, 200], height: 2, width: 2, colour: .rgb,
      bitDepth: 8)
    #expect(colour.halved().samples == [4, 25, 150])
  }
}
