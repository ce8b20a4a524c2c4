import Imaging
import Testing

@Suite("Summaries over cases")
struct MetricSummaryTests {
  @Test("mean, sample deviation and median of finite values")
  func figures() {
    let summary = Summary(of: [1, 2, 4, 9])
    #expect(summary.count == 4)
    #expect(summary.mean == 4)
    #expect(summary.median == 3)
    #expect(summary.standardDeviation == (38.0 / 3).squareRoot())
  }

  @Test("infinite and undefined values are counted, not averaged")
  func infinite() {
    let summary = Summary(of: [.infinity, 2, .nan, 4, -.infinity])
    #expect(summary.count == 5 && summary.infiniteCount == 2 && summary.undefinedCount == 1)
    #expect(summary.mean == 3 && summary.median == 3)
  }

  @Test("few values have no spread, none no mean")
  func few() {
    let one = Summary(of: [7])
    #expect(one.mean == 7 && one.median == 7)
    #expect(one.standardDeviation == nil && one.interval == nil)
    let none = Summary(of: [.infinity])
    #expect(none.mean == nil && none.median == nil && none.infiniteCount == 1)
  }

  @Test("the interval has the width of the normal approximation and depends on the seed alone")
  func interval() throws {
    let values = (0..<100).map { Double($0 % 10) }
    let interval = try #require(Summary(of: values, seed: 4).interval)
    // The deviation of the mean of 100 values is sqrt(8.25 / 100) = 0.287.
    #expect(abs(interval.lowerBound - (4.5 - 1.96 * 0.287)) < 0.05)
    #expect(abs(interval.upperBound - (4.5 + 1.96 * 0.287)) < 0.05)
    #expect(Summary(of: values, seed: 4).interval == interval)
    #expect(Summary(of: values, seed: 5).interval != interval)
  }
}

@Suite("Comparison of volumes")
struct ImageComparisonTests {
  private func volume(z: Int, times: Int = 1, offset: Float = 0) -> Volume {
    let size = GridSize(x: 12, y: 13, z: z)
    return Volume(
      voxels: (0..<size.count * times).map { Float($0 * 37 % 101) + offset * Float($0 % 3) },
      geometry: Geometry(size: size), volumeCount: times)
  }

  @Test("the window is 3D from 11 slices on, and the two have different names")
  func kinds() throws {
    let thin = try ImageComparison(of: volume(z: 10, offset: 1), against: volume(z: 10))
    let thick = try ImageComparison(of: volume(z: 11, offset: 1), against: volume(z: 11))
    #expect(thin.similarityKind == .slices && thick.similarityKind == .volume)
    let (clean, other) = (volume(z: 10), volume(z: 10, offset: 1))
    let slices = try StructuralSimilarity.gaussian.meanOfSlices(
      of: other.voxels, against: clean.voxels, shape: clean.size.shape, dataRange: 100)
    #expect(abs(thin.similarity - slices) < 1e-12)
    let whole = try StructuralSimilarity.gaussian.score(
      of: volume(z: 11, offset: 1).voxels, against: volume(z: 11).voxels,
      shape: [11, 13, 12], dataRange: 100)
    #expect(abs(thick.similarity - whole) < 1e-12)
  }

  @Test("a series has the mean similarity of its volumes and the error of all voxels")
  func series() throws {
    let (clean, other) = (volume(z: 3, times: 2), volume(z: 3, times: 2, offset: 2))
    let both = try ImageComparison(of: other, against: clean, dataRange: 50)
    let parts = try (0..<2).map { index in
      try ImageComparison(
        of: other.volume(at: index), against: clean.volume(at: index), dataRange: 50)
    }
    #expect(abs(both.similarity - (parts[0].similarity + parts[1].similarity) / 2) < 1e-12)
    #expect(both.fidelity == Fidelity(of: other.voxels, against: clean.voxels))
    #expect(both.psnr == both.fidelity.peakSignalToNoiseRatio(dataRange: 50))
  }

  @Test("the authors' protocol leaves out and counts slices without range")
  func authors() {
    var label = volume(z: 3)
    for index in 0..<12 * 13 { label.voxels[index] = 5 }
    var prediction = label
    prediction.voxels = prediction.voxels.map { $0 + 1 }
    let measure = RestoreRWKVProtocol(modality: .mri)
    let (mean, leftOut) = measure.score(of: prediction, against: label)
    #expect(leftOut == 1)
    #expect(abs(mean.rmse - 1) < 1e-6)
    #expect(abs(mean.psnr - 40) < 1e-4)
  }
}
