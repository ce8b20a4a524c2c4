import Foundation
import Imaging
import Testing
import Train

extension StrokeTrainerTests {
  @Test("voxels that are no numbers are told of when their image is read")
  func notFinite() throws {
    let folder = try Self.dataset()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for brain in 0..<5 {
      let path = "\(folder)/data/imagesTr/b\(brain)_0001.nii.gz"
      var broken = try ScanFile.read(path).volume
      broken.voxels[7] = .nan
      try NIfTI.write(
        broken, to: path, options: NIfTIWriteOptions(dataType: .float32, overwrite: true))
    }
    let data = try StrokeDataset(Self.configuration(folder))
    #expect(data.warnings.isEmpty)
    let item = try data.load(.test, 0)
    #expect(
      data.warnings == [
        "\(folder)/data/imagesTr/\(item.name)_0001.nii.gz: 1 voxels are NaN or infinite; replaced by 0"
      ])
  }

  @Test("a series of volumes is neither a brain nor a mask", arguments: ["image", "mask"])
  func series(part: String) throws {
    let folder = try Self.dataset()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let isMask = part == "mask"
    let paths = (0..<5).map {
      isMask
        ? "\(folder)/data/labelsTr/b\($0).nii.gz" : "\(folder)/data/imagesTr/b\($0)_0000.nii.gz"
    }
    for path in paths {
      let one = try ScanFile.read(path).volume
      try NIfTI.write(
        Volume(voxels: one.voxels + one.voxels, geometry: one.geometry, volumeCount: 2), to: path,
        options: NIfTIWriteOptions(dataType: isMask ? .labels : .float32, overwrite: true))
    }
    let data = try StrokeDataset(Self.configuration(folder))
    let error = try #require(throws: TrainingError.self) { try data.load(.test, 0) }
    guard case .invalidSplit(let file, let reason) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(paths.contains(file) && reason == "it is a series of 2 volumes, not one volume")
  }
}
