import Foundation
import Imaging
import Testing

@Suite("Intensities at the ends of what numbers hold")
struct IntensityLimitsTests {
  private func volume(_ value: (Int) -> Float) -> Volume {
    let size = GridSize(x: 16, y: 16, z: 2)
    return Volume(
      voxels: (0..<size.count).map(value),
      geometry: Geometry(size: size, spacing: SIMD3(2, 2, 4)))
  }

  @Test("a conversion makes up no voxel size")
  func voxelSize() throws {
    let space = try Workspace()
    for (name, size) in [("zero", Float(0)), ("negative", -2), ("nan", .nan)] {
      let bytes = withUnsafeBytes(of: size.bitPattern.littleEndian, Array.init)
      try space.write(space.patched((80, bytes)), to: "\(name).nii")
      let outcome = try space.restore("convert", "\(name).nii", "out.nii.gz")
      #expect(outcome.status == 65, "\(outcome.errors)")
      #expect(outcome.headline == "invalid voxel size (\(name).nii)" && !space.exists("out.nii.gz"))
    }
  }

  @Test(
    "constant and very faint images become pictures",
    arguments: [Float(0.5), -7, .leastNonzeroMagnitude])
  func constant(value: Float) throws {
    let space = try Workspace()
    try space.image("in.nii", volume { _ in value })
    let outcome = try space.restore("convert", "in.nii", "out")
    #expect(outcome.status == 0 && outcome.errors.contains("constant"), "\(outcome.errors)")
    let picture = try ScanFile.read(space.path("out")).volume
    #expect(picture.voxels.allSatisfy { $0 == 0 } && space.exists("out.json"))
    try space.image("faint.nii", volume { Float($0) * 1000 * .leastNonzeroMagnitude })
    #expect(try space.restore("convert", "faint.nii", "faint").status == 0)
    #expect(try ScanFile.read(space.path("faint")).volume.voxels.max() == 65535)
  }

  @Test("stored numbers that single precision cannot give back are told of, others come back")
  func scaled() throws {
    let space = try Workspace()
    // Of int16 with a slope and an intercept.
    func write(_ name: String, _ slope: Float, _ intercept: Float) throws {
      try space.image("plain.nii", volume { Float($0 * 37 % 20_000) }, type: .int16)
      var bytes = try space.data("plain.nii")
      for (offset, value) in [(112, slope), (116, intercept)] {
        bytes.replaceSubrange(
          offset..<offset + 4, with: withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init))
      }
      try FileManager.default.removeItem(atPath: space.path("plain.nii"))
      try space.write(bytes, to: name)
    }
    try write("fine.nii", 0.001, 32768)
    let fine = try space.restore("convert", "fine.nii", "fine-out.nii")
    #expect(fine.status == 0 && fine.errors.contains("digits beyond the seventh"))
    try write("coarse.nii", 0.5, -1024)
    let coarse = try space.restore("convert", "coarse.nii", "coarse-out.nii")
    #expect(coarse.status == 0 && !coarse.errors.contains("digits"), "\(coarse.errors)")
    #expect(
      try space.data("coarse.nii").dropFirst(352) == space.data("coarse-out.nii").dropFirst(352))
  }

  @Test("the 0 that stands for NaN is no intensity: not of the range, the clip or the picture")
  func placeholders() throws {
    let space = try Workspace()
    try space.image("in.nii", volume { $0 == 5 ? .nan : 1000.5 + Float($0 % 11) })
    let outcome = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--clip-to-input-range")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let restored = try ScanFile.read(space.path("out.nii"))
    #expect(restored.range[0] >= 1000.5 && restored.range[1] <= 1010.5, "\(restored.range)")
    let told = try #require(try space.json("out.json")["Restore"] as? [String: Any])
    #expect(told["inputRange"] as? [Double] == [1000.5, 1010.5])
    let converted = try space.restore("convert", "in.nii", "pictures")
    #expect(converted.status == 0 && converted.errors.contains("0 stands for 1000.5"))
  }

  @Test("pictures of less than 8 bits come out as bright as they went in")
  func shallow() throws {
    let space = try Workspace()
    // A PNG of 4 bits: 16 x 1 pixels, 0 to 15.
    try space.write(Self.shallowPicture(), to: "in.png")
    let outcome = try space.restore(
      "simulate", "rician", "-i", "in.png", "-o", "out.png", "--percent", "0")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let picture = try ScanFile.read(space.path("out.png")).volume
    #expect(picture.voxels[..<16].elementsEqual((0..<16).map { Float($0 * 17) }))
    let told = try #require(try space.json("out.json")["Restore"] as? [String: Any])
    #expect(told["outputRange"] as? [Int] == [0, 255], "as it is stored")
  }

  /// A 4-bit PNG of 16 x 16 pixels whose rows are 0 to 15, its data stored without compression.
  private static func shallowPicture() -> Data {
    func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
      ~bytes.reduce(UInt32.max) { value, byte in
        (0..<8).reduce(value ^ UInt32(byte)) { step, _ in
          step >> 1 ^ (step & 1 == 1 ? 0xedb8_8320 : 0)
        }
      }
    }
    func big(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian, Array.init) }
    func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
      let body = Array(name.utf8) + data
      return big(UInt32(data.count)) + body + big(checksum(body[...]))
    }
    // Two pixels a byte, after the byte that says that a row is stored as it is.
    let row: [UInt8] = [0, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]
    let raw: [UInt8] = (0..<16).flatMap { _ in row }
    var (a, b) = (UInt32(1), UInt32(0))
    for byte in raw { (a, b) = ((a + UInt32(byte)) % 65521, (b + a + UInt32(byte)) % 65521) }
    let length = withUnsafeBytes(of: UInt16(raw.count).littleEndian, Array.init)
    var stored: [UInt8] = [0x78, 0x01, 1]
    stored += length + length.map { ~$0 } + raw + big(b << 16 | a)
    var file: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
    file += chunk("IHDR", big(16) + big(16) + [4, 0, 0, 0, 0])
    file += chunk("IDAT", stored) + chunk("IEND", [])
    return Data(file)
  }

  @Test("numbers beyond single precision are refused, faint activity is counted")
  func ends() throws {
    let space = try Workspace()
    try space.image("huge.nii", volume { $0 % 3 == 0 ? 3.3e38 : Float($0) * 1e35 })
    for simulator in [["rician", "--percent", "50"], ["bias-field"], ["mri-7t"]] {
      let outcome = try space.start(
        ["simulate"] + simulator + ["-i", "huge.nii", "-o", "out.nii"]
      ).finish()
      #expect(outcome.status == 65 && !space.exists("out.nii"), "\(simulator) \(outcome.errors)")
    }
    try space.image("faint.nii", volume { Float($0 % 16) * 1e-37 })
    let faint = try space.restore("simulate", "pet-lowcount", "-i", "faint.nii", "-o", "pet.nii")
    #expect(faint.status == 0, "\(faint.errors)")
  }

  @Test("a picture has one volume, and labels are no type to choose")
  func options() throws {
    let space = try Workspace()
    let (image, _) = PNGImage.rounding(
      (0..<256).map(Float.init), height: 16, width: 16, colour: .grey, bitDepth: 8)
    try image.write(to: space.path("in.png"))
    let volume = try space.restore(
      "run", "-i", "in.png", "-o", "out.png", "-m", "./tiny", "--volume", "7")
    #expect(volume.status == 64 && volume.headline == "no volume 7 (in.png)", "\(volume.errors)")
    let type = try space.restore(
      "run", "-i", "in.png", "-o", "out.png", "-m", "./tiny", "--dtype", "float32")
    #expect(type.status == 0 && type.errors.contains("the picture keeps 8 bits"), "\(type.errors)")
    try space.image("in.nii")
    let labels = try space.restore(
      "run", "-i", "in.nii", "-o", "out.nii", "-m", "./tiny", "--dtype", "labels")
    #expect(labels.status == 64, "\(labels.errors)")
  }
}
