public import Foundation
import Models
import Yams

/// Which subjects train, validate and test; a subject is in one part only.
public struct DataSplit: Sendable, Equatable {
  /// One person (or phantom) and all files that show them.
  public struct Subject: Codable, Sendable, Equatable {
    /// A name without meaning beyond identity.
    public let subject: String
    /// Paths of NIfTI or PNG files, absolute after reading; or phantoms, see ``ScanSource``.
    public var files: [String]
    /// For the simulator `paired`: the degraded image of each file, on the same grid.
    public var inputs: [String]?

    private enum CodingKeys: String, CodingKey, CaseIterable {
      case subject, files, inputs
    }

    /// A subject.
    ///
    /// - Parameters:
    ///   - subject: The name.
    ///   - files: The images as they should be.
    ///   - inputs: The degraded ones, if they exist.
    public init(subject: String, files: [String], inputs: [String]? = nil) {
      self.subject = subject
      self.files = files
      self.inputs = inputs
    }

    /// Reads a subject; unknown keys are errors.
    public init(from decoder: any Decoder) throws {
      try decoder.requireKeys(among: CodingKeys.self)
      let container = try decoder.container(keyedBy: CodingKeys.self)
      subject = try container.decode(String.self, forKey: .subject)
      files = try container.decode([String].self, forKey: .files)
      inputs = try container.decodeIfPresent([String].self, forKey: .inputs)
    }
  }

  private struct Document: Codable {
    var train: [Subject]
    var validation: [Subject]
    var test: [Subject]?

    private enum CodingKeys: String, CodingKey, CaseIterable {
      case train, validation, test
    }

    init(train: [Subject], validation: [Subject], test: [Subject]?) {
      (self.train, self.validation, self.test) = (train, validation, test)
    }

    init(from decoder: any Decoder) throws {
      try decoder.requireKeys(among: CodingKeys.self)
      let container = try decoder.container(keyedBy: CodingKeys.self)
      train = try container.decode([Subject].self, forKey: .train)
      validation = try container.decode([Subject].self, forKey: .validation)
      test = try container.decodeIfPresent([Subject].self, forKey: .test)
    }
  }

  /// Subjects to learn from.
  public let train: [Subject]
  /// Subjects by which a checkpoint is chosen.
  public let validation: [Subject]
  /// Subjects that only the final figures see.
  public let test: [Subject]

  /// Reads a split file or finds one in a folder.
  ///
  /// A folder may be an nnU-Net raw folder, a BIDS folder or the authors' layout; see
  /// ``DatasetFolder``.
  ///
  /// - Parameters:
  ///   - path: A split file or a folder.
  ///   - section: How a folder is divided.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)``.
  public init(
    contentsOf path: String, _ section: TrainingConfiguration.DataSection
  ) throws(TrainingError) {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
      let parts = try DatasetFolder(path, section).parts()
      try self.init(train: parts.train, validation: parts.validation, test: parts.test, path)
    } else {
      try self.init(contentsOf: path)
    }
    if section.kind != .paired,
      let pair = (train + validation + test).first(where: { $0.inputs != nil })
    {
      throw .invalidSplit(
        file: path,
        reason:
          "\(pair.subject) has degraded images (inputs), which only the simulator `paired` takes")
    }
    if section.kind == .paired,
      let lone = (train + validation + test).first(where: { $0.inputs?.count != $0.files.count })
    {
      throw .invalidSplit(
        file: path, reason: "\(lone.subject) has not one input for each file, which `paired` needs")
    }
  }

  /// Reads a split: an object with `train`, `validation` and optionally `test`, each a list of
  /// `{"subject": NAME, "files": [PATH, …]}` with paths relative to the split's folder.
  ///
  /// - Parameter path: A JSON file.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` if it is malformed, or if a subject or a
  ///   file stands in two places.
  public init(contentsOf path: String) throws(TrainingError) {
    let document: Document
    guard FileManager.default.fileExists(atPath: path) else {
      throw .noSuchSplit(file: path)
    }
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      let isYAML = [".yaml", ".yml"].contains(where: path.lowercased().hasSuffix)
      document =
        isYAML
        ? try YAMLDecoder().decode(Document.self, from: data)
        : try JSONDecoder().decode(Document.self, from: data)
    } catch {
      throw .invalidSplit(
        file: path,
        reason: "it is not a readable split: "
          + ((error as? DecodingError)?.reason ?? error.localizedDescription))
    }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    func resolved(_ path: String) throws(TrainingError) -> String {
      if path.hasPrefix(ScanSource.phantomPrefix) { return path }
      if let named = try ScanSource.CTLikeName(path) {
        return ScanSource.CTLikeName(seed: named.seed, path: try resolved(named.path)).text
      }
      return URL(fileURLWithPath: path, relativeTo: folder).standardizedFileURL.path
    }
    func resolved(_ subjects: [Subject]) throws(TrainingError) -> [Subject] {
      var result = subjects
      for (index, subject) in subjects.enumerated() {
        result[index].files = []
        for file in subject.files { result[index].files.append(try resolved(file)) }
        guard let inputs = subject.inputs else { continue }
        var paths: [String] = []
        for input in inputs { paths.append(try resolved(input)) }
        result[index].inputs = paths
      }
      return result
    }
    try self.init(
      train: resolved(document.train), validation: resolved(document.validation),
      test: resolved(document.test ?? []), path)
  }

  /// Checks that nobody and nothing stands in two places.
  private init(
    train: [Subject], validation: [Subject], test: [Subject], _ path: String
  ) throws(TrainingError) {
    self.train = train
    self.validation = validation
    self.test = test
    let all = train + validation + test
    for (what, values) in [("subject", all.map(\.subject)), ("file", all.flatMap(\.files))] {
      var seen = Set<String>()
      for value in values where !seen.insert(value).inserted {
        throw .invalidSplit(file: path, reason: "the \(what) \(value) stands in it twice")
      }
    }
    var parts: [String: Int] = [:]
    try note(&parts) { source in
      .invalidSplit(file: path, reason: "the file \(source) stands in two parts of it")
    }
    if train.isEmpty { throw .invalidSplit(file: path, reason: "nobody is in `train`") }
    if let empty = all.first(where: \.files.isEmpty) {
      throw .invalidSplit(file: path, reason: "\(empty.subject) has no files")
    }
  }

  /// Notes which part each file is in, and throws if it is in another one already.
  func note(
    _ parts: inout [String: Int], _ error: (_ source: String) -> TrainingError
  ) throws(TrainingError) {
    for (part, subjects) in [train, validation, test].enumerated() {
      for file in subjects.flatMap({ $0.files + ($0.inputs ?? []) }) {
        let source = try ScanSource.origin(of: file)
        guard parts.updateValue(part, forKey: source.identity) ?? part == part else {
          throw error(source.text)
        }
      }
    }
  }

  /// The split as JSON, for the folder of a run.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(Document(train: train, validation: validation, test: test))
      + Data("\n".utf8)
  }
}

extension Decoder {
  /// Refuses keys that `keys` does not list: under a misspelt one stands what nobody heeds.
  fileprivate func requireKeys<Key: CodingKey & CaseIterable>(among keys: Key.Type) throws {
    let known = keys.allCases.map(\.stringValue)
    let found = try container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    for key in found.sorted() where !known.contains(key) {
      let nearest = nearestName(to: key, among: known).map { "; did you mean `\($0)`?" } ?? ""
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: codingPath, debugDescription: "unknown key `\(key)`" + nearest))
    }
  }
}

/// Any key, to see which there are.
struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}
