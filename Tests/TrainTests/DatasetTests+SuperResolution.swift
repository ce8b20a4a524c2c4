import Foundation
import Imaging
import TensorCore
import Testing
import Train

/// Samples of super-resolution: what scanners measured, and on which grid.
extension DatasetTests {
  /// Truncated k-space without noise, nothing else drawn, of a BIDS folder of two.
  private func truncation(
    of root: String, _ change: (inout TrainingConfiguration.DataSection) -> Void
  ) -> TrainingConfiguration {
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.split = root
      $0.simulator = "mri-sr"
      $0.noisePercent = [0, 0]
      $0.gamma = [1, 1]
      $0.intensityScale = [1, 1]
      $0.validationShare = 0.5
      change(&$0)
    }
    return configuration
  }

  @Test("half of the samples fill part of k-space; with no more than is left nothing is lost")
  func acquiredPart() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try write("\(root)/sub-1/sub-1_T1w.nii")
    try write("\(root)/sub-2/sub-2_T1w.nii")
    var configuration = truncation(of: root) { _ in }
    let batch = 32
    let plain = try SliceDataset(configuration).batch(step: 0, batch: batch)
    #expect(plain.clean.values != plain.noisy.values)
    configuration.data.acquiredPart = [0.45, 0.45]
    let filled = try SliceDataset(configuration).batch(step: 0, batch: batch)
    func distances(_ samples: (noisy: Tensor, clean: Tensor)) -> [Float] {
      let area = samples.clean.count / batch
      return (0..<batch).map { sample in
        (sample * area..<(sample + 1) * area).reduce(0) {
          $0 + abs(samples.clean.values[$1] - samples.noisy.values[$1]) / Float(area)
        }
      }
    }
    let far = try #require(distances(plain).min())
    let unchanged = distances(filled).count { $0 < 1e-3 * far }
    #expect((8...24).contains(unchanged), "\(unchanged) of \(batch)")
    try configuration.validate()
    configuration.data.simulator = "rician"
    #expect(throws: TrainingError.self) { try configuration.validate() }
  }

  @Test("half of the samples lie on a coarser grid, and are degraded there")
  func gridPart() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    // Waves of 24 pixels, so that a coarser grid shortens them and a crop tells which it was.
    let size = GridSize(x: 96, y: 96, z: 2)
    let voxels = (0..<size.count).map { 300 + 100 * cos(Float($0 % 96) * 2 * .pi / 24) }
    for subject in ["sub-1", "sub-2"] {
      try FileManager.default.createDirectory(
        atPath: "\(root)/\(subject)", withIntermediateDirectories: true)
      try NIfTI.write(
        Volume(voxels: voxels, geometry: Geometry(size: size, spacing: SIMD3(1, 1, 4))),
        to: "\(root)/\(subject)/\(subject)_T1w.nii",
        options: NIfTIWriteOptions(dataType: .float32))
    }
    var configuration = truncation(of: root) {
      $0.flips = false
      $0.gridPart = [0.5, 0.5]
    }
    let batch = 32
    let samples = try SliceDataset(configuration).batch(step: 0, batch: batch)
    let (clean, noisy) = (samples.clean.values, samples.noisy.values)
    // The degradation leaves such slow waves alone, on either grid.
    #expect(zip(clean, noisy).allSatisfy { abs($0 - $1) < 1e-3 })
    let coarse = (0..<batch).count { sample in
      // Half a wave on: a trough where there was a crest.
      let row = clean[sample * 256..<sample * 256 + 16].map { $0 }
      let middle = (clean.max() ?? 0) / 2 + (clean.min() ?? 0) / 2
      return (0..<10).allSatisfy { abs(row[$0] + row[$0 + 6] - 2 * middle) < 1e-3 }
    }
    #expect((8...24).contains(coarse), "\(coarse) of \(batch)")
    try configuration.validate()
    configuration.data.simulator = "rician"
    #expect(throws: TrainingError.self) { try configuration.validate() }
  }
}
