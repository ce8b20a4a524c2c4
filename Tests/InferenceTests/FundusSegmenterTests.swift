import Imaging
import Inference
import Layers
import Models
import Randomness
import Testing

@Suite("Segmenter of photographs")
struct FundusSegmenterTests {
  private static func segmenter() throws -> FundusSegmenter {
    var generator = SeededGenerator(seed: 3)
    var configuration = TVConvNetConfiguration.light
    configuration.imageSize = 32
    let network = try TVConvNet(configuration, using: &generator)
    network.setTraining(false)
    network.setRequiresGradient(false)
    return FundusSegmenter(network, normalization: .window(low: 0, high: 255, clips: true))
  }

  private static func picture(height: Int, width: Int) -> PNGPixels {
    PNGImage(
      samples: [UInt16](repeating: 128, count: height * width * 3), height: height, width: width,
      colour: .rgb, bitDepth: 8
    ).pixels()
  }

  @Test("a picture whose square takes more memory than there is is refused before it is taken")
  func squares() throws {
    let segmenter = try Self.segmenter()
    let small = Self.picture(height: 20, width: 24)
    #expect(try segmenter.segment(small).labels.count == 20 * 24)
    let long = Self.picture(height: 20, width: 60_000)
    let far = FundusRegion(x: 0, y: 0, side: 1 << 40)
    for (picture, region) in [(long, nil), (small, far)] as [(PNGPixels, FundusRegion?)] {
      let error = try #require(throws: ImagingError.self) {
        try segmenter.segment(picture, region: region, file: "eye.png")
      }
      guard case .pngTooLarge("eye.png", picture.width, picture.height, _, _) = error else {
        Issue.record("\(error)")
        continue
      }
      #expect(error.code == 71)
    }
  }
}
