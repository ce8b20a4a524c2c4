import Foundation
import Imaging
import Testing

@Suite("restore convert")
struct ConvertCommandTests {
  @Test("a volume of whole numbers survives the way to PNG files and back")
  func roundTrip() throws {
    let space = try Workspace()
    let size = GridSize(x: 7, y: 5, z: 12)
    let volume = Volume(
      voxels: (0..<size.count).map { Float($0 * 131 % 60000) }, geometry: Geometry(size: size))
    try space.image("v.nii.gz", volume)
    #expect(try space.restore("convert", "v.nii.gz", "stack").status == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: space.path("stack")).sorted()
    #expect(names.count == 12 && names.first == "0000.png")
    let back = try space.restore("convert", "stack", "back.nii.gz", "--spacing", "0.5,0.6,3")
    #expect(back.status == 0, "\(back.errors)")
    let read = try ScanFile.read(space.path("back.nii.gz")).volume
    #expect(read.voxels == volume.voxels)
    #expect((read.spacing - SIMD3(0.5, 0.6, 3)).max() < 1e-6)
    #expect(try space.restore("convert", "stack", "back.nii.gz").status == 73)
  }

  @Test("other intensities are spread over 16 bits, or a window is")
  func window() throws {
    let space = try Workspace()
    let size = GridSize(x: 4, y: 1, z: 1)
    let volume = Volume(voxels: [-1000, 0, 1000, 4000], geometry: Geometry(size: size))
    try space.image("v.nii", volume)
    #expect(
      try space.restore("convert", "v.nii", "w", "--window=-1000,1000").status == 0)
    #expect(
      try ScanFile.read(space.path("w/0000.png")).volume.voxels == [0, 32768, 65535, 65535])
    let bad = try space.restore("convert", "v.nii", "x", "--window", "5,1")
    #expect(bad.status == 64)
  }

  @Test("a checkpoint that is none, or without an architecture, is refused")
  func refusals() throws {
    let space = try Workspace()
    try space.write("not a checkpoint", to: "m.pth")
    let none = try space.restore("convert", "m.pth", "b")
    #expect(none.status == 64 && none.errors.contains("no architecture"))
    let text = try space.restore("convert", "m.pth", "b", "--arch", "restore-rwkv")
    #expect(text.status == 65 && text.errors.contains("not a PyTorch checkpoint (m.pth)"))
    let missing = try space.restore("convert", "absent.pth", "b", "--arch", "restore-rwkv")
    #expect(missing.status == 66)
    #expect(!space.exists("b/model.json"))
  }
}
