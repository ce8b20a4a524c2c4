import Foundation
import Imaging
import Randomness
import Testing

@Suite("Intensity normalisation")
struct IntensityTests {
  private static let kinds: [IntensityNormalization] = [
    .window(low: -1024, high: 3072), .percentile(low: 0.5, high: 99.5),
    .percentile(low: 0, high: 99.5, of: .positive), .zScore(), .zScore(of: .positive),
    .percentile(low: 0, high: 99.5, from: 0),
  ]

  private let image: [Float] = {
    var generator = SeededGenerator(seed: 2)
    return (0..<3000).map { _ in max(0, 400 * generator.nextNormal() + 200) }
  }()

  @Test("a window and percentiles map their ends to 0 and 1")
  func ends() throws {
    let window = try IntensityNormalization.window(low: -100, high: 300).map(for: image)
    #expect(window.normalized([-100, 100, 300, 700]) == [0, 0.5, 1, 2])
    let statistics = OrderStatistics(of: image, selection: .positive)
    let map = try IntensityNormalization.percentile(low: 1, high: 99, of: .positive).map(for: image)
    #expect(map.shift == statistics.percentile(1))
    #expect(map.shift + map.scale == statistics.percentile(99))
  }

  @Test("the z-score has mean 0 and deviation 1 over the voxels that count")
  func zScore() throws {
    for selection in OrderStatistics.Selection.allCases {
      let counted = image.filter { selection == .all || $0 > 0 }
      let map = try IntensityNormalization.zScore(of: selection).map(for: image)
      let values = map.normalized(counted).map(Double.init)
      let mean = values.reduce(0, +) / Double(values.count)
      let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
      #expect(abs(mean) < 1e-6)
      #expect(abs(variance - 1) < 1e-6)
    }
  }

  @Test("restoring undoes normalising", arguments: kinds)
  func inverse(kind: IntensityNormalization) throws {
    let map = try kind.map(for: image)
    let again = map.restored(map.normalized(image))
    for (value, expected) in zip(again, image) {
      // A float32 between the two maps keeps 24 bits of the distance from the shift.
      let bound = abs(Double(expected) - map.shift) * 0x1p-24 + Double(expected.ulp)
      #expect(abs(Double(value) - Double(expected)) <= bound)
    }
  }

  @Test(
    "a constant image becomes 0 and comes back exactly, whatever a network adds", arguments: kinds)
  func constantImage(kind: IntensityNormalization) throws {
    for value in [0, 7, -0.3] as [Float] {
      let constant = [Float](repeating: value, count: 20)
      let map = try kind.map(for: constant)
      let normalized = map.normalized(constant)
      #expect(normalized.allSatisfy { $0.isFinite })
      if case .window = kind { continue }
      #expect(normalized == [Float](repeating: 0, count: 20))
      #expect(map.restored(normalized.map { $0 + 0.37 }) == constant)
    }
  }

  @Test("intensities above 0 keep their distance from it where training measured from 0")
  func origin() throws {
    let raised = (0..<201).map { Float($0) + 100 }
    let positive = IntensityNormalization.percentile(low: 0, high: 100, of: .positive)
    let from = IntensityNormalization.percentile(low: 0, high: 100, from: 0)
    for kind in [positive, from] {
      let map = try kind.map(for: raised)
      #expect(map.shift == 0 && map.scale == 300)
      #expect(try kind.map(for: [7, 7, 7]).scale == 0)
    }
    #expect(try IntensityNormalization.percentile(low: 0, high: 100).map(for: raised).shift == 100)
    // Below 0 the percentile counts, or the positive voxels alone.
    let lowered = raised.map { $0 - 150 }
    #expect(try from.map(for: lowered).shift == -50)
    #expect(try positive.map(for: lowered).shift == 0)
    // Without a voxel above 0 there is still a range.
    let negative = raised.map { $0 - 1000 }
    for kind in [positive, from] { #expect(try kind.map(for: negative).scale > 0) }
  }

  @Test("clipping holds both ways")
  func clipping() throws {
    let map = try IntensityNormalization.window(low: 0, high: 20, clips: true).map(for: image)
    #expect(map.normalized([-5, 10, 25]) == [0, 0.5, 1])
    #expect(map.restored([-0.5, 0.5, 1.5]) == [0, 10, 20])
  }

  @Test("selections without spread fall back to all voxels, coinciding percentiles to the range")
  func fallbacks() throws {
    let labels: [Float] = [0, 0, 0, 0, 5, 5]
    let positive = try IntensityNormalization.percentile(low: 1, high: 99, of: .positive)
      .map(for: labels)
    #expect(positive.shift == 0)
    let sparse = [Float](repeating: 0, count: 999) + [1000]
    let map = try IntensityNormalization.percentile(low: 1, high: 90).map(for: sparse)
    #expect(map == IntensityMap(shift: 0, scale: 1000))
    let negative: [Float] = [-3, -2, -1]
    #expect(
      try IntensityNormalization.zScore(of: .positive).map(for: negative)
        == IntensityNormalization.zScore().map(for: negative))
  }

  @Test("NaN and infinities do not take part; without any other voxel there is no map")
  func nonFinite() throws {
    let dirty = image + [.nan, .infinity, -.infinity]
    for kind in Self.kinds {
      #expect(try kind.map(for: dirty) == kind.map(for: image))
    }
    for kind in Self.kinds.dropFirst() {
      #expect(throws: ImagingError.noFiniteVoxel(file: "a.nii")) {
        try kind.map(for: [.nan, .infinity], file: "a.nii")
      }
    }
  }

  @Test("JSON has the documented form and a round trip", arguments: kinds)
  func json(kind: IntensityNormalization) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let data = try encoder.encode(kind)
    #expect(try JSONDecoder().decode(IntensityNormalization.self, from: data) == kind)
    if kind == .percentile(low: 0, high: 99.5, of: .positive) {
      #expect(
        String(decoding: data, as: UTF8.self)
          == #"{"clip":false,"high":99.5,"kind":"percentile","low":0,"voxels":"positive"}"#)
    }
    let map = try kind.map(for: image)
    let mapData = try JSONEncoder().encode(map)
    #expect(try JSONDecoder().decode(IntensityMap.self, from: mapData) == map)
  }

  @Test("defaults may be left out")
  func jsonDefaults() throws {
    let text = #"{"kind": "z-score"}"#
    #expect(
      try JSONDecoder().decode(IntensityNormalization.self, from: Data(text.utf8)) == .zScore())
  }

  @Test(
    "wrong JSON is refused",
    arguments: [
      #"{"kind": "log"}"#, #"{"low": 0, "high": 1}"#, #"{"kind": "window", "low": 0}"#,
      #"{"kind": "window", "low": 1, "high": 1}"#,
      #"{"kind": "percentile", "low": 0, "high": 101}"#,
      #"{"kind": "percentile", "low": 0, "high": 99, "voxels": "negative"}"#,
      #"{"kind": "window", "low": 0, "high": 1, "voxels": "all"}"#,
      #"{"kind": "z-score", "clipp": true}"#,
    ])
  func wrongJSON(text: String) {
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(IntensityNormalization.self, from: Data(text.utf8))
    }
  }

  @Test("an empty window or percentile range is an error")
  func emptyRanges() {
    for kind in [
      IntensityNormalization.window(low: 1, high: 1), .window(low: .nan, high: 1),
      .percentile(low: 50, high: 50), .percentile(low: -1, high: 50),
    ] {
      let error = #expect(throws: ImagingError.self) { try kind.map(for: image) }
      #expect(error?.kind == "parameter")
    }
  }
}
