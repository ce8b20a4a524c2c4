import Foundation
import Imaging

/// The folder that the results of a BIDS dataset go to, a dataset of derivatives.
///
/// Several jobs may share it. A participant's page is written last: where it is, nothing is missing.
struct BIDSOutput {
  let path: String
  /// The dataset that is read.
  let dataset: String
  /// Whether the folder held results of this program before the command.
  let wasOwn: Bool

  private var descriptionPath: String { path + "/dataset_description.json" }

  /// Looks at the folder; nothing is written.
  ///
  /// - Parameters:
  ///   - path: Where results go; need not be there.
  ///   - dataset: The dataset that is read.
  /// - Throws: A failure with code 73 if results would go among the raw data or into another program's dataset.
  init(path: String, dataset: String) throws {
    self.path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    self.dataset = dataset
    let description = self.path + "/dataset_description.json"
    try Self.requireApart(self.path, from: dataset)
    wasOwn = try Self.requireOwn(description)
  }

  /// The path of a file that is named from this folder.
  func path(of file: String) -> String { path + "/" + file }

  /// The name of a participant's page.
  static func page(of label: String) -> String { "sub-\(label).html" }

  // MARK: - Whose folder it is

  /// Makes sure that a folder to be written is not among the raw data, whatever links lead to it.
  ///
  /// - Parameters:
  ///   - folder: Need not be there.
  ///   - dataset: The folder of the raw data; `derivatives` in it is for results.
  /// - Throws: A failure with code 73.
  static func requireApart(_ folder: String, from dataset: String) throws(CommandFailure) {
    let (own, raw) = (resolved(folder), resolved(dataset))
    guard own == raw || own.hasPrefix(raw + "/") else { return }
    let rest = own.dropFirst(raw.count + 1)
    guard rest != "derivatives", !rest.hasPrefix("derivatives/") else { return }
    throw CommandFailure(
      code: ExitStatus.cannotCreate, kind: "output-in-dataset",
      what: "refusing to write into the dataset (\(folder))",
      cause: "it lies among the raw data of \(dataset), which are never written",
      advice: "choose a folder elsewhere, or one in \(dataset)/derivatives", file: folder)
  }

  /// A path without links, also if its last folders are not there yet.
  private static func resolved(_ path: String) -> String {
    var url = URL(fileURLWithPath: path).standardizedFileURL
    var rest: [String] = []
    while url.path != "/", !FileManager.default.fileExists(atPath: url.path) {
      rest.insert(url.lastPathComponent, at: 0)
      url.deleteLastPathComponent()
    }
    let base = url.resolvingSymlinksInPath().path
    return ([base == "/" ? "" : base] + rest).joined(separator: "/")
  }

  /// Whether a description is there and names this program.
  ///
  /// - Throws: A failure with code 73 if it names others alone.
  private static func requireOwn(_ description: String) throws(CommandFailure) -> Bool {
    guard FileManager.default.fileExists(atPath: description) else { return false }
    struct Document: Decodable {
      struct Program: Decodable {
        let name: String?
        enum CodingKeys: String, CodingKey { case name = "Name" }
      }
      let programs: [Program]?
      enum CodingKeys: String, CodingKey { case programs = "GeneratedBy" }
    }
    let data = FileManager.default.contents(atPath: description) ?? Data()
    let document = try? JSONDecoder().decode(Document.self, from: data)
    guard document?.programs?.contains(where: { $0.name == "restore" }) == true else {
      throw CommandFailure(
        code: ExitStatus.cannotCreate, kind: "foreign-dataset",
        what: "the folder holds another dataset (\(description))",
        cause: "its description does not name restore in GeneratedBy",
        advice: "choose a folder of its own for the results", file: description)
    }
    return true
  }

  // MARK: - The description

  private struct Description: Encodable {
    struct Program: Encodable {
      let name = "restore"
      let version = programVersion
      enum CodingKeys: String, CodingKey {
        case name = "Name"
        case version = "Version"
      }
    }
    struct Source: Encodable {
      let url: String
      let doi: String?
      enum CodingKeys: String, CodingKey {
        case url = "URL"
        case doi = "DOI"
      }
    }
    let name: String
    let version = "1.9.0"
    let type = "derivative"
    let programs = [Program()]
    let sources: [Source]
    enum CodingKeys: String, CodingKey {
      case name = "Name"
      case version = "BIDSVersion"
      case type = "DatasetType"
      case programs = "GeneratedBy"
      case sources = "SourceDatasets"
    }
  }

  /// Makes the folder with its description, unless another job was faster.
  ///
  /// - Parameters:
  ///   - raw: The description of the raw data; nil if they have none.
  ///   - isFull: Whether the path of the raw data is told, not their name alone.
  /// - Throws: What writing throws; a failure with code 73 if another program was faster.
  func prepare(raw: BIDSFolder.Description?, isFull: Bool) throws {
    try makeFolder(path + "/logs")
    let url = URL(fileURLWithPath: dataset).standardizedFileURL
    let place = (isFull ? "//" + url.path : url.lastPathComponent)
      .addingPercentEncoding(withAllowedCharacters: .urlPathAllowed)
    let description = Description(
      name: "Results of restore for " + (raw?.name ?? url.lastPathComponent),
      sources: [.init(url: "file:" + (place ?? "dataset"), doi: raw?.doi)])
    let data = try Self.json(description)
    if try !Self.requireOwn(descriptionPath) {
      do throws(ImagingError) { try AtomicFile.write(data, to: descriptionPath) } catch {
        guard case .outputExists = error, try Self.requireOwn(descriptionPath) else { throw error }
      }
    }
    if FileManager.default.contents(atPath: descriptionPath) != data {
      Console.shared.info(
        "\(descriptionPath) is from an earlier run, with another version or options, and stays")
    }
  }

  /// A document as all files of the folder have it: keys sorted, trailing newline.
  static func json(_ document: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(document) + Data("\n".utf8)
  }

  /// Makes a folder in this one, and those above it.
  func makeFolder(_ folder: String) throws {
    try Self.requireApart(folder, from: dataset)
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw ImagingError.cannotCreate(file: folder, reason: error.localizedDescription)
    }
  }
}
