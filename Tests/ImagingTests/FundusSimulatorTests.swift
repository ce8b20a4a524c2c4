import Foundation
import Imaging
import Testing

@Suite("Simulated photographs of optic discs")
struct FundusSimulatorTests {
  @Test("a seed decides everything", arguments: FundusSimulator.View.allCases)
  func seeds(view: FundusSimulator.View) {
    let first = FundusSimulator(seed: 3).phantom(view, side: 64)
    let second = FundusSimulator(seed: 3).phantom(view, side: 64)
    #expect(first.image == second.image && first.labels == second.labels)
    #expect(FundusSimulator(seed: 4).phantom(view, side: 64).image != first.image)
  }

  @Test("the cup lies in the disc with a rim around it, and sizes vary as eyes do")
  func anatomy() throws {
    var ratios: [Double] = []
    for seed in UInt64(0)..<24 {
      let phantom = FundusSimulator(seed: seed).phantom(.disc, side: 96)
      let side = phantom.side
      for pixel in phantom.labels.indices where phantom.labels[pixel] == 2 {
        // The thinnest rim is thinner than a pixel, so only the corners of a cup pixel may touch.
        for neighbour in [pixel - 1, pixel + 1, pixel - side, pixel + side] {
          #expect(phantom.labels[neighbour] > 0)
        }
      }
      let measures = OpticDiscMeasures(labels: phantom.labels, width: side)
      let share = Double(measures.discHeight) / Double(side)
      #expect((0.3...0.7).contains(share), "seed \(seed): \(share)")
      ratios.append(try #require(measures.verticalRatio))
    }
    #expect((ratios.min() ?? 1) < 0.4 && (ratios.max() ?? 0) > 0.7)
    #expect(ratios.allSatisfy { $0 > 0.1 && $0 < 0.95 })
  }

  @Test("the disc is brighter than the retina, the cup brighter than the rim, vessels are dark")
  func brightness() {
    var means = [0.0, 0.0, 0.0]
    for seed in UInt64(0)..<12 {
      let phantom = FundusSimulator(seed: seed).phantom(.disc, side: 64)
      var sums = [0.0, 0.0, 0.0]
      var counts = sums
      for (pixel, label) in phantom.labels.enumerated() {
        sums[Int(label)] += Double(phantom.image.samples[3 * pixel + 1])
        counts[Int(label)] += 1
      }
      for label in 0..<3 { means[label] += sums[label] / counts[label] / 12 }
    }
    #expect(means[1] > 1.2 * means[0] && means[2] > means[1])
  }

  @Test("one eye looks the same at two sizes: labels scale")
  func scale() throws {
    let simulator = FundusSimulator(seed: 9)
    let (small, large) = (
      OpticDiscMeasures(labels: simulator.phantom(.disc, side: 64).labels, width: 64),
      OpticDiscMeasures(labels: simulator.phantom(.disc, side: 256).labels, width: 256)
    )
    #expect(abs(Double(large.discArea) / 16 / Double(small.discArea) - 1) < 0.03)
    let ratios = (try #require(small.verticalRatio), try #require(large.verticalRatio))
    #expect(abs(ratios.0 - ratios.1) < 0.06)
  }

  @Test("outside of the field all is black")
  func field() {
    let phantom = FundusSimulator(seed: 5).phantom(.field, side: 96)
    for corner in [0, 95, 95 * 96, 96 * 96 - 1] {
      #expect(phantom.image.samples[3 * corner..<3 * corner + 3].allSatisfy { $0 == 0 })
    }
    #expect(OpticDiscLocator.showsWholeField(phantom.image.pixels()))
    let disc = FundusSimulator(seed: 5).phantom(.disc, side: 96)
    #expect(!OpticDiscLocator.showsWholeField(disc.image.pixels()))
  }
}

@Suite("Sizes and places of optic discs")
struct OpticDiscTests {
  @Test("heights, widths and areas of disc and cup")
  func measures() {
    // Rows of 5: a disc of 4 rows and 3 columns whose cup is 2 rows of 1.
    let labels: [UInt8] = [
      0, 1, 1, 0, 0,  //
      0, 1, 2, 1, 0,  //
      0, 1, 2, 1, 0,  //
      0, 0, 1, 0, 0,
    ]
    let measures = OpticDiscMeasures(labels: labels, width: 5)
    #expect(measures.discArea == 9 && measures.cupArea == 2 && measures.rimArea == 7)
    #expect((measures.discHeight, measures.discWidth) == (4, 3))
    #expect((measures.cupHeight, measures.cupWidth) == (2, 1))
    #expect(measures.verticalRatio == 0.5 && measures.horizontalRatio == 1.0 / 3)
    let none = OpticDiscMeasures(labels: [0, 0, 0, 0], width: 2)
    #expect(none.verticalRatio == nil && none.discArea == 0)
  }

  @Test("a region lies around the disc and may reach beyond the picture")
  func region() throws {
    var labels = [UInt8](repeating: 0, count: 100 * 80)
    for row in 0..<20 { for column in 40..<60 { labels[row * 80 + column] = 1 } }
    let region = try #require(FundusRegion(around: labels, width: 80))
    #expect(region.side == 44 && region.x == 28 && region.y == -12)
    let cut = region.cut(labels, height: 100, width: 80, channels: 1)
    #expect(cut.count == 44 * 44)
    // Beyond the upper edge its row is repeated.
    #expect(cut[12 * 44 + 12] == 1 && cut[5 * 44 + 12] == 1 && cut[12 * 44 + 11] == 0)
    #expect(FundusRegion(around: [0, 0], width: 2) == nil)
  }

  @Test("the disc is among the likeliest places of nearly all photographs")
  func locator() throws {
    var found = 0
    for seed in UInt64(0)..<12 {
      let phantom = FundusSimulator(seed: seed).phantom(.field, side: 240)
      let measures = OpticDiscMeasures(labels: phantom.labels, width: 240)
      let region = try #require(FundusRegion(around: phantom.labels, width: 240))
      let middle = (
        Double(region.x) + Double(region.side) / 2, Double(region.y) + Double(region.side) / 2
      )
      let places = OpticDiscLocator.candidates(in: phantom.image.pixels(), count: 4)
      #expect(places.count <= 4)
      let reach = Double(measures.discHeight) / 2
      if places.contains(where: { hypot($0.x - middle.0, $0.y - middle.1) < reach }) { found += 1 }
    }
    #expect(found >= 11, "\(found) of 12")
  }

  @Test("outlines lie inside of structures, a dotted one leaves gaps")
  func overlay() {
    var labels = [Int32](repeating: 0, count: 12 * 12)
    for row in 3..<9 { for column in 3..<9 { labels[row * 12 + column] = 1 } }
    let grey = [Float](repeating: 100, count: 144)
    func coloured(_ style: LabelOverlay.Style) -> [Int] {
      var overlay = LabelOverlay(grey, height: 12, width: 12)
      overlay.outline(labels, style: style)
      let samples = overlay.image.samples
      return (0..<144).filter { samples[3 * $0] != samples[3 * $0 + 2] }
    }
    let solid = coloured(.solid)
    #expect(solid.count == 20 && solid.allSatisfy { labels[$0] == 1 })
    let dotted = coloured(.dotted)
    #expect((6...14).contains(dotted.count) && Set(dotted).isSubset(of: Set(solid)))
  }
}
