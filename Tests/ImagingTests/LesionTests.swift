import Foundation
import Imaging
import Testing

@Suite("Lesions: simulation, lists, grids")
struct LesionTests {
  /// A brain of one tissue with fluid in the middle, and FLAIR beside T1.
  private static func brain() -> [Volume] {
    let size = GridSize(x: 40, y: 44, z: 36)
    let geometry = Geometry(size: size, spacing: SIMD3(1, 1, 1.5))
    var (t1, flair) = ([Float](), [Float]())
    for z in 0..<size.z {
      for y in 0..<size.y {
        for x in 0..<size.x {
          let p = SIMD3(Double(x) / 19.5 - 1, Double(y) / 21.5 - 1, Double(z) / 17.5 - 1)
          let r = (p * p).sum()
          let value: Float = r > 0.85 ? 0 : r < 0.05 ? 20 : 100
          t1.append(value)
          flair.append(value == 0 ? 0 : value == 20 ? 15 : 80)
        }
      }
    }
    return [t1, flair].map { Volume(voxels: $0, geometry: geometry) }
  }

  @Test("lesions lie in tissue, dark in T1 and bright in FLAIR; the rest and the background stay")
  func simulation() throws {
    let images = Self.brain()
    let simulator = LesionSimulator(counts: 2...2, volumes: 0.4...1.5)
    let result = try simulator.applied(to: images, seed: 5)
    #expect(result == (try simulator.applied(to: images, seed: 5)))
    #expect(result.mask != (try simulator.applied(to: images, seed: 6)).mask)
    let volume = Double(result.mask.count) * 1.5 / 1000
    #expect((0.4...3.1).contains(volume), "\(volume) ml")
    var changedOutside = 0
    for (index, isLesion) in result.mask.voxels.enumerated() {
      let (before, after) = (images[0].voxels[index], result.images[0].voxels[index])
      if before == 0 { #expect(after == 0 && result.images[1].voxels[index] == 0) }
      if isLesion {
        #expect(before == 100 && after < before)
        #expect(result.images[1].voxels[index] > images[1].voxels[index])
      } else if after != before {
        changedOutside += 1
      }
    }
    // A soft border, and no more.
    #expect(changedOutside > 0 && changedOutside < 4 * result.mask.count)
    #expect(ConnectedComponents(of: result.mask).count <= 2)
  }

  @Test("a lesion has its volume to the voxel where tissue allows it")
  func exactVolume() throws {
    let simulator = LesionSimulator(counts: 1...1, volumes: 0.9...0.9)
    let result = try simulator.applied(to: [Self.brain()[0]], seed: 1)
    #expect(result.mask.count == 600)
    #expect(ConnectedComponents(of: result.mask).count == 1)
  }

  @Test("an image without a brain is refused")
  func noBrain() {
    let empty = Volume(
      voxels: [Float](repeating: 0, count: 8), geometry: Geometry(size: GridSize(x: 2, y: 2, z: 2)))
    #expect(throws: ImagingError.noForeground(file: "T1")) {
      try LesionSimulator().applied(to: [empty], seed: 0)
    }
  }

  @Test("a list has volumes in ml, centres in mm and probabilities, largest first")
  func list() {
    let size = GridSize(x: 6, y: 5, z: 4)
    let geometry = Geometry(
      size: size,
      affine: Affine(
        i: SIMD3(-2, 0, 0), j: SIMD3(0, 2, 0), k: SIMD3(0, 0, 5), origin: SIMD3(1, 2, 3)))
    var voxels = [Bool](repeating: false, count: 120)
    voxels[0] = true
    for x in 3...5 { voxels[(3 * 5 + 4) * 6 + x] = true }
    let list = LesionList(
      of: VoxelMask(voxels: voxels, size: size), geometry: geometry,
      probability: voxels.enumerated().map { $0.offset == 0 ? 0.6 : $0.element ? 0.9 : 0.1 })
    #expect(list.lesions.map(\.voxels) == [3, 1])
    #expect(abs(list.lesions[0].volume - 0.06) < 1e-12 && abs(list.volume - 0.08) < 1e-12)
    #expect(list.lesions[0].centre == [-7, 10, 18] && list.lesions[1].centre == [1, 2, 3])
    #expect(abs((list.lesions[0].meanProbability ?? 0) - 0.9) < 1e-6)
    let none = LesionList(
      of: VoxelMask(voxels: voxels.map { _ in false }, size: size), geometry: geometry)
    #expect(none.lesions.isEmpty && none.volume == 0)
  }

  @Test("every orientation goes to the same array and back without a change")
  func grids() {
    let steps = [SIMD3<Double>(1, 0, 0), SIMD3(0, 2, 0), SIMD3(0, 0, 3)]
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      for flips in 0..<8 {
        let sizes = order.map { [3, 4, 5][$0] }
        let axes = order.enumerated().map { index, axis in
          flips >> index & 1 == 1 ? -steps[axis] : steps[axis]
        }
        let geometry = Geometry(
          size: GridSize(x: sizes[0], y: sizes[1], z: sizes[2]),
          affine: Affine(i: axes[0], j: axes[1], k: axes[2]))
        let grid = AnatomicalGrid(geometry)
        #expect(grid.size == [5, 4, 3] && grid.spacing == [3, 2, 1])
        let voxels = (0..<60).map { index -> Int in
          // World positions relative to the lowest corner, as a number.
          let (first, area) = (sizes[0], sizes[0] * sizes[1])
          let place = [index % first, index / first % sizes[1], index / area]
          var world = [0, 0, 0]
          for (axis, at) in place.enumerated() {
            world[order[axis]] = flips >> axis & 1 == 1 ? sizes[axis] - 1 - at : at
          }
          return (world[2] * 4 + world[1]) * 3 + world[0]
        }
        #expect(grid.array(of: voxels) == Array(0..<60))
        #expect(grid.voxels(of: grid.array(of: voxels)) == voxels)
      }
    }
  }

  @Test("resampling keeps constants, ramps inside and means")
  func resampling() {
    let constant = GridResampling.resampled(
      [Float](repeating: 3, count: 24), size: [2, 3, 4], to: [5, 2, 9])
    #expect(constant.count == 90 && constant.allSatisfy { abs($0 - 3) < 1e-6 })
    let ramp = GridResampling.resampled(
      [0, 1, 2, 3], size: [1, 1, 4], to: [1, 1, 8])
    let expected: [Float] = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    #expect(zip(ramp, expected).allSatisfy { abs($0 - $1) < 1e-6 })
    // Alternating values lie above the new limit of detail: what is left inside is their mean.
    let fine = (0..<16).map { Float($0 % 2) }
    let coarse = GridResampling.resampled(fine, size: [1, 16, 1], to: [1, 4, 1])
    #expect(coarse.count == 4 && coarse[1...2].allSatisfy { abs($0 - 0.5) < 1e-6 })
    #expect(GridResampling.resampled(fine, size: [4, 2, 2], to: [4, 2, 2]) == fine)
  }

  // MARK: - Folders

  private static func folder(_ files: [String], text: [String: String] = [:]) throws -> String {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("lesion-folder-\(UUID().uuidString)").path
    let volume = Volume(voxels: [1, 0], geometry: Geometry(size: GridSize(x: 2, y: 1, z: 1)))
    for file in files {
      let path = folder + "/" + file
      try FileManager.default.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
      try NIfTI.write(volume, to: path)
    }
    for (name, content) in text {
      try content.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
    }
    return folder
  }

  @Test("ATLAS R2.0: T1 with the mask beside it, test subjects left out")
  func atlas() throws {
    let base = "Training/R001/sub-r001s001/ses-1/anat/sub-r001s001_ses-1_space-MNI152NLin2009aSym"
    let folder = try Self.folder([
      base + "_T1w.nii.gz", base + "_label-L_desc-T1lesion_mask.nii.gz",
      "Testing/R003/sub-r003s001/ses-1/anat/sub-r003s001_ses-1_space-MNI152NLin2009aSym_T1w.nii.gz",
    ])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let found = try LesionFolder(path: folder)
    #expect(found.layout == .atlas)
    #expect(
      found.cases == [
        LesionCase(
          name: "sub-r001s001_ses-1", subject: "sub-r001s001",
          images: ["\(folder)/\(base)_T1w.nii.gz"],
          mask: "\(folder)/\(base)_label-L_desc-T1lesion_mask.nii.gz")
      ])
  }

  @Test("ISLES 2022: diffusion images with masks among the derivatives")
  func isles2022() throws {
    let name = "sub-strokecase0001_ses-0001"
    let folder = try Self.folder([
      "sub-strokecase0001/ses-0001/dwi/\(name)_dwi.nii.gz",
      "sub-strokecase0001/ses-0001/dwi/\(name)_adc.nii.gz",
      "sub-strokecase0001/ses-0001/anat/\(name)_FLAIR.nii.gz",
      "derivatives/sub-strokecase0001/ses-0001/\(name)_msk.nii.gz",
    ])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let found = try LesionFolder(path: folder)
    #expect(found.layout == .isles2022 && found.cases.count == 1)
    #expect(found.cases[0].name == name && found.cases[0].subject == "sub-strokecase0001")
    #expect(found.cases[0].images.map { $0.hasSuffix("_dwi.nii.gz") } == [true, false])
    #expect(found.cases[0].mask.hasSuffix("_msk.nii.gz"))
  }

  @Test("ISLES 2015: T1 and FLAIR with the truth of each case")
  func isles2015() throws {
    func files(_ number: Int, _ kinds: [String]) -> [String] {
      kinds.map { kind in
        let name = "VSD.Brain.XX.O.\(kind).7\(number)"
        return "SISS/\(number)/\(name)/\(name).nii"
      }
    }
    let folder = try Self.folder(
      files(1, ["MR_T1", "MR_Flair", "MR_DWI", "OT"]) + files(2, ["MR_T1", "MR_Flair"]))
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let found = try LesionFolder(path: folder)
    #expect(found.layout == .isles2015 && found.cases.map(\.name) == ["SISS/1"])
    #expect(found.cases[0].images.count == 2 && found.cases[0].images[1].contains("MR_Flair"))
  }

  @Test("nnU-Net raw: as many channels as dataset.json names, or the missing file by name")
  func nnUNet() throws {
    let description = """
      {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "lesion": 1},
       "numTraining": 1, "file_ending": ".nii.gz"}
      """
    let folder = try Self.folder(
      ["imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"],
      text: ["dataset.json": description])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let found = try LesionFolder(path: folder)
    #expect(found.layout == .nnUNet && found.cases.map(\.name) == ["a"])
    let names = found.cases[0].images.map { ($0 as NSString).lastPathComponent }
    #expect(names == ["a_0000.nii.gz", "a_0001.nii.gz"])
    try FileManager.default.removeItem(atPath: folder + "/imagesTr/a_0001.nii.gz")
    #expect(
      throws: ImagingError.noSuchFile(
        file: folder + "/imagesTr/a_0001.nii.gz",
        reason: "dataset.json names 2 channels for each case")
    ) { try LesionFolder(path: folder) }
    try "{}".write(toFile: folder + "/dataset.json", atomically: true, encoding: .utf8)
    #expect(throws: ImagingError.self) { try LesionFolder(path: folder) }
  }

  @Test("a folder of anything else, or none, is refused")
  func otherFolders() throws {
    let folder = try Self.folder(["a.nii.gz"])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    #expect {
      try LesionFolder(path: folder)
    } throws: { error in
      guard case ImagingError.unsupportedFormat(let file, _) = error else { return false }
      return file == folder
    }
    #expect(throws: ImagingError.self) { try LesionFolder(path: folder + "/none") }
  }
}
