import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import Testing

/// A folder with a tiny model bundle, `tiny`, and whatever a test puts there; gone with the object.
final class Workspace {
  let folder: String

  init() throws {
    folder =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("restore-test-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(
      atPath: path("tiny"), withIntermediateDirectories: true)
    for (name, data) in try Self.bundle.get() { try write(data, to: "tiny/\(name)") }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  // MARK: - Files

  func path(_ name: String) -> String { folder + "/" + name }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

  func write(_ data: Data, to name: String) throws {
    try data.write(to: URL(fileURLWithPath: path(name)))
  }

  func write(_ text: String, to name: String) throws { try write(Data(text.utf8), to: name) }

  func data(_ name: String) throws -> Data {
    try #require(FileManager.default.contents(atPath: path(name)), "\(name) is missing")
  }

  func json(_ name: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: data(name)) as? [String: Any])
  }

  /// The names of all files under the folder that a run may have left half done.
  var temporaries: [String] {
    FileManager.default.subpaths(atPath: folder)?.filter { $0.hasSuffix(".tmp") } ?? []
  }

  // MARK: - Images

  /// A wavy image, every axis flipped or permuted against RAS.
  func volume(
    x: Int = 12, y: Int = 10, z: Int = 3, times: Int = 1, seed: UInt64 = 1
  ) -> Volume {
    var generator = SeededGenerator(seed: seed)
    let size = GridSize(x: x, y: y, z: z)
    let affine = Affine(
      i: SIMD3(-1.5, 0, 0), j: SIMD3(0, -1, 0), k: SIMD3(0, 0, 4), origin: SIMD3(5, -4, 7))
    let voxels = (0..<size.count * times).map { index in
      200 + 100 * sin(Float(index) / 3) + 20 * generator.nextUniform()
    }
    return Volume(
      voxels: voxels, geometry: Geometry(size: size, affine: affine), volumeCount: times)
  }

  func image(
    _ name: String, _ volume: Volume? = nil, type: OutputDataType = .float32
  ) throws {
    try NIfTI.write(
      volume ?? self.volume(), to: path(name), options: NIfTIWriteOptions(dataType: type))
  }

  /// The bytes of a float32 NIfTI-1 file of 12 x 10 x 3 voxels, with some of them replaced.
  func patched(_ patches: (Int, [UInt8])...) throws -> Data {
    try image("patched.nii")
    var bytes = try data("patched.nii")
    try FileManager.default.removeItem(atPath: path("patched.nii"))
    for (offset, new) in patches { bytes.replaceSubrange(offset..<offset + new.count, with: new) }
    return bytes
  }

  // MARK: - Runs

  func restore(
    _ arguments: String..., environment: [String: String] = [:], through shell: String? = nil
  ) throws -> RestoreProcess.Outcome {
    try start(arguments, environment: environment, through: shell).finish()
  }

  func start(
    _ arguments: [String], environment: [String: String] = [:], through shell: String? = nil
  ) throws -> RestoreProcess.Running {
    try RestoreProcess.Running(
      arguments, in: folder, environment: environment, through: shell)
  }

  /// Checks that a command heeds the options about descriptions: `--reproducible`, `--provenance` and
  /// `--skull-stripped`.
  ///
  /// - Parameters:
  ///   - arguments: The command without its output.
  ///   - output: The name of what it writes.
  ///   - description: The name of what stands beside that.
  ///   - isStripped: Whether the brain is described as extracted without being told so.
  /// - Throws: What starting the command and reading what it wrote throw.
  func checkDescriptions(
    of arguments: [String], output: String, description: String, isStripped: Bool = false
  ) throws {
    for name in ["once", "twice", "full"] {
      try FileManager.default.createDirectory(
        atPath: path(name), withIntermediateDirectories: true)
      let options =
        name == "full" ? ["--provenance", "full", "--skull-stripped"] : ["--reproducible"]
      let outcome = try start(arguments + ["-o", path("\(name)/\(output)")] + options).finish()
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    #expect(try data("once/\(description)") == data("twice/\(description)"))
    let short = try json("once/\(description)")
    let full = try json("full/\(description)")
    #expect(short["SkullStripped"] as? Bool == isStripped)
    #expect(full["SkullStripped"] as? Bool == true)
    for (document, isTold) in [(short, false), (full, true)] {
      let restore = try #require(document["Restore"] as? [String: Any])
      for key in ["elapsedSeconds", "peakMemoryBytes"] {
        #expect((restore[key] != nil) == isTold, "\(key)")
      }
      let told = try #require(restore["arguments"] as? [String])
      #expect(told.contains(isTold ? path("full/\(output)") : output), "\(told)")
    }
  }

  // MARK: - The bundle

  /// The files of the bundle, made once.
  private static let bundle = Result { try makeBundle() }

  private static func makeBundle() throws -> [String: Data] {
    var configuration = RestoreRWKVConfiguration()
    configuration.channels = 4
    configuration.blocks = [1, 1, 1, 1]
    configuration.refinementBlocks = 1
    var generator = SeededGenerator(seed: 5)
    let model = try RestoreRWKV(configuration, using: &generator)
    var writer = SafetensorsWriter()
    writer.add(stateOf: model)
    let weights = writer.encoded()
    var digest = SHA256()
    digest.update(weights)
    let card = ModelCard(
      name: "tiny", version: "1.2.3", network: ModelDescription(model),
      interface: .restoration(
        modality: "MR", model, normalization: .percentile(low: 0, high: 99.5, of: .positive)),
      sizeMultiple: model.sizeMultiple, trainingData: "None: random weights.",
      intendedUse: "Tests of the program.", limitations: "It restores nothing.", metrics: [:],
      weightsSHA256: digest.hexadecimal(), references: [], license: "Apache-2.0")
    return ["weights.safetensors": weights, "model.json": try card.json()]
  }
}

// MARK: - Bytes

/// A little-endian number.
func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// The checksum of gzip and PNG.
func crc32(_ data: some Sequence<UInt8>) -> UInt32 {
  var crc = UInt32.max
  for byte in data {
    crc ^= UInt32(byte)
    for _ in 0..<8 {
      let isOdd = crc & 1 == 1
      crc >>= 1
      if isOdd { crc ^= 0xEDB8_8320 }
    }
  }
  return ~crc
}

/// A gzip member that holds data as they are.
func gzip(_ data: Data) -> Data {
  var result = Data([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
  var rest = data[...]
  repeat {
    let block = rest.prefix(65_535)
    rest = rest.dropFirst(block.count)
    result.append(rest.isEmpty ? 1 : 0)
    result.append(contentsOf: bytes(UInt16(block.count)) + bytes(~UInt16(block.count)))
    result.append(block)
  } while !rest.isEmpty
  result.append(contentsOf: bytes(crc32(data)) + bytes(UInt32(data.count)))
  return result
}

/// A chunk of a PNG file.
func pngChunk(_ type: String, _ contents: [UInt8]) -> [UInt8] {
  let body = Array(type.utf8) + contents
  return bytes(UInt32(contents.count).byteSwapped) + body + bytes(crc32(body).byteSwapped)
}
