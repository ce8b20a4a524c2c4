import Foundation
import Imaging
import Inference
import SourceRevision

/// The `.json` beside an output: where it came from and how it was made.
struct Sidecar: Encodable {
  /// The program's own part.
  struct Provenance: Encodable {
    var version = programVersion
    var sourceRevision = String(cString: source_revision())
    var arguments: [String]
    /// Of an image that was simulated: the subcommand.
    var simulator: String?
    /// Of an image that was simulated: whether it is what a perfect restoration gives.
    var isReference: Bool?
    /// Of an image that a model made, as are the next two.
    var model: String?
    var modelVersion: String?
    var weightsSHA256: String?
    /// Nil where nothing was read.
    var inputSHA256: Checksums?
    /// Nil where nothing is random.
    var seed: UInt64?
    var threads: Int
    var plane: String?
    var tile: [Int]?
    var overlap: Double?
    var backEnd: String?
    var inputRange: [Float]?
    var outputRange: [Float]
    var nonFiniteVoxels: Int
    /// Of a restored image: what was done to its voxels; nil for labels.
    var change: IntensityChange?
    var warnings: [String]
    var elapsedSeconds: Double?
    var peakMemoryBytes: UInt64?
    var researchUseOnly = true
  }

  /// SHA-256 of what was read: of one file as text, of several by their names.
  enum Checksums: Encodable {
    case one(String)
    case several([String: String])

    func encode(to encoder: any Encoder) throws {
      var value = encoder.singleValueContainer()
      switch self {
      case .one(let digest): try value.encode(digest)
      case .several(let digests): try value.encode(digests)
      }
    }
  }

  /// The checksums of the files of inputs, as those of a pair (.hdr and .img) or of a folder of PNG slices.
  ///
  /// - Throws: What reading a file throws.
  static func checksums(of files: [String]) throws -> Checksums {
    if files.count == 1 { return .one(try SHA256.hexadecimal(ofFile: files[0])) }
    // Files of one name in several folders are told apart by their order: folders name people.
    var counts: [String: Int] = [:]
    var names: [String] = []
    for name in files.map(withoutFolders) {
      let place = counts[name, default: 0] + 1
      counts[name] = place
      names.append(place == 1 ? name : "\(name) (\(place))")
    }
    return .several(
      try Dictionary(
        zip(names, files).map { ($0, try SHA256.hexadecimal(ofFile: $1)) },
        uniquingKeysWith: { first, _ in first }))
  }

  var sources: [String]
  var skullStripped: Bool
  var resolution: String
  var restore: Provenance
  /// Of a brain that was segmented.
  var lesions: StrokeReport.Lesions?
  /// Of an image whose structures were segmented.
  var structures: [SegmentedStructure]?

  enum CodingKeys: String, CodingKey {
    case sources = "Sources"
    case skullStripped = "SkullStripped"
    case resolution = "Resolution"
    case restore = "Restore"
    case lesions = "Lesions"
    case structures = "Structures"
  }

  /// The path of the sidecar of an output.
  static func path(besides output: String) -> String {
    // A folder may be named with a slash at its end, or as `.` and `..` are.
    var output = output
    while output.count > 1, output.hasSuffix("/") { output.removeLast() }
    if [".", ".."].contains(withoutFolders(output)) {
      output = URL(fileURLWithPath: output).standardizedFileURL.path
    }
    let folder = output.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    return (folder + [Substring(ImageFormat.stem(of: output) + ".json")]).joined(separator: "/")
  }

  /// Makes sure that the sidecar of an output replaces nothing that this program did not write, and no
  /// description of another image.
  ///
  /// - Parameters:
  ///   - output: The path to be written.
  ///   - overwrite: Whether what is there may be replaced.
  /// - Throws: A failure with code 73.
  static func requireWritable(besides output: String, overwrite: Bool) throws(CommandFailure) {
    let sidecar = path(besides: output)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: sidecar, isDirectory: &isFolder) else { return }
    var cause = "the output's description would replace a file that this program did not write"
    if isFolder.boolValue {
      cause = "the output's description goes there, and a folder of that name is there"
    } else if overwrite {
      return
    } else if !isForeign(sidecar) {
      guard let other = images(describedBy: sidecar).first(where: { $0 != output }) else { return }
      cause = "the output's description would replace that of \(other)"
    }
    throw CommandFailure(
      code: ExitStatus.cannotCreate, kind: "output-exists", what: "output exists (\(sidecar))",
      cause: cause,
      advice: "choose another output name, or --no-sidecar"
        + (isFolder.boolValue ? "" : ", or --overwrite"), file: sidecar)
  }

  /// The images that a sidecar may describe: those of its name, and a folder of slices.
  private static func images(describedBy sidecar: String) -> [String] {
    let stem = String(sidecar.dropLast(".json".count))
    return (ImageFormat.allCases.flatMap(\.endings).map { stem + $0 } + [stem])
      .filter { FileManager.default.fileExists(atPath: $0) }
  }

  /// Whether a file is there that is not a sidecar of this program, as the JSON file that describes
  /// a scan in a BIDS folder.
  private static func isForeign(_ path: String) -> Bool {
    guard let data = FileManager.default.contents(atPath: path) else { return false }
    let document = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
    return document?[CodingKeys.restore.rawValue] == nil
  }

  /// A path without the folders above it, which name people and machines.
  static func withoutFolders(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  /// The arguments, paths without their folders unless they are told in full.
  static func arguments(full: Bool) -> [String] {
    let arguments = CommandLine.arguments
    return full ? arguments : ["restore"] + arguments.dropFirst().map(argumentWithoutFolders)
  }

  /// An argument whose path, if it is or has one, is cut to its last component.
  ///
  /// Whatever has a slash is a path: no option takes a number or a name with one. `./name` names no folder
  /// and stays, as it says that no model of this name was looked up.
  private static func argumentWithoutFolders(_ argument: String) -> String {
    guard let slash = argument.firstIndex(of: "/") else { return argument }
    // `--input=a/b`; a path alone may have the sign in the name of a folder.
    var start = argument.startIndex
    if argument.hasPrefix("-"), let sign = argument.firstIndex(of: "="), sign < slash {
      start = argument.index(after: sign)
    }
    let (option, path) = (String(argument[..<start]), String(argument[start...]))
    let name = withoutFolders(path)
    return option + (path == "./" + name ? path : name)
  }

  /// Writes the sidecar: keys sorted, trailing newline.
  func write(to path: String) throws {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .useDefaultKeys
    // No number may cost the image that it is about.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let data = try encoder.encode(self) + Data("\n".utf8)
    try AtomicFile.write([UInt8](data), to: path, overwrite: true)
  }
}
