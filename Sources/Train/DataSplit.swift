import Foundation

/// Which subjects train, validate and test; a subject is in one part only.
public struct DataSplit: Sendable, Equatable {
  /// One person (or phantom) and all files that show them.
  public struct Subject: Codable, Sendable, Equatable {
    /// A name without meaning beyond identity.
    public let subject: String
    /// Paths of NIfTI or PNG files, absolute after reading; or phantoms, see ``ScanSource``.
    public var files: [String]
  }

  private struct Document: Codable {
    var train: [Subject]
    var validation: [Subject]
    var test: [Subject]?
  }

  /// Subjects to learn from.
  public let train: [Subject]
  /// Subjects by which a checkpoint is chosen.
  public let validation: [Subject]
  /// Subjects that only the final figures see.
  public let test: [Subject]

  /// Reads a split: an object with `train`, `validation` and optionally `test`, each a list of
  /// `{"subject": NAME, "files": [PATH, …]}` with paths relative to the split's folder.
  ///
  /// - Parameter path: A JSON file.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` if it is malformed, or if a subject or a
  ///   file stands in two places.
  public init(contentsOf path: String) throws(TrainingError) {
    let document: Document
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      document = try JSONDecoder().decode(Document.self, from: data)
    } catch {
      throw .invalidSplit(file: path, reason: "it is not a readable split: \(error)")
    }
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
    func resolved(_ subjects: [Subject]) -> [Subject] {
      subjects.map { subject in
        var subject = subject
        subject.files = subject.files.map {
          $0.hasPrefix(ScanSource.phantomPrefix)
            ? $0 : URL(fileURLWithPath: $0, relativeTo: folder).standardizedFileURL.path
        }
        return subject
      }
    }
    train = resolved(document.train)
    validation = resolved(document.validation)
    test = resolved(document.test ?? [])
    let all = train + validation + test
    for (what, values) in [("subject", all.map(\.subject)), ("file", all.flatMap(\.files))] {
      var seen = Set<String>()
      for value in values where !seen.insert(value).inserted {
        throw .invalidSplit(file: path, reason: "the \(what) \(value) stands in it twice")
      }
    }
    if train.isEmpty { throw .invalidSplit(file: path, reason: "nobody is in `train`") }
  }
}
