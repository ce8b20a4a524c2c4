import Foundation
import Imaging
import Testing
import Train

extension SegmentationTrainerTests {
  @Test("voxels that are no numbers are told of, each file once")
  func notFinite() throws {
    let folder = try Self.dataset(cases: 3, size: [3, 24, 24], spacing: [4, 1, 1])
    defer { for end in ["", "-run"] { try? FileManager.default.removeItem(atPath: folder + end) } }
    let path = folder + "/imagesTr/c1_0000.nii.gz"
    var broken = try ScanFile.read(path).volume
    for voxel in [3, 8] { broken.voxels[voxel] = .nan }
    try NIfTI.write(
      broken, to: path, options: NIfTIWriteOptions(dataType: .float32, overwrite: true))
    let trainer = try SegmentationTrainer(
      Self.configuration(folder, steps: 1), folder: folder + "-run")
    #expect(
      trainer.warnings.filter { $0.contains("NaN") } == [
        "\(path): 2 voxels are NaN or infinite; replaced by 0"
      ])
  }

  @Test("a label map of several volumes is refused, and no folder is made")
  func series() throws {
    let folder = try Self.dataset(cases: 3, size: [3, 24, 24], spacing: [4, 1, 1])
    defer { for end in ["", "-run"] { try? FileManager.default.removeItem(atPath: folder + end) } }
    let path = folder + "/labelsTr/c1.nii.gz"
    let one = try ScanFile.read(path).volume
    try NIfTI.write(
      Volume(voxels: one.voxels + one.voxels, geometry: one.geometry, volumeCount: 2), to: path,
      options: NIfTIWriteOptions(dataType: .labels, overwrite: true))
    #expect(
      throws: TrainingError.invalidSplit(
        file: path, reason: "it is a series of 2 volumes, not one volume")
    ) {
      try SegmentationTrainer(Self.configuration(folder, steps: 1), folder: folder + "-run")
    }
    #expect(!FileManager.default.fileExists(atPath: folder + "-run"))
  }
}
