import Foundation
import Imaging

/// Whose images files are: by a split, else by BIDS names, else each file its own subject.
struct SubjectNames {
  private var byName: [String: String] = [:]

  private struct Split: Decodable {
    struct Subject: Decodable {
      let subject: String
      let files: [String]
    }
    let train: [Subject]?
    let validation: [Subject]?
    let test: [Subject]?
  }

  init(split: String?) throws {
    guard let split else { return }
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: split)) } catch {
      throw ImagingError.noSuchFile(file: split, reason: "the split cannot be read")
    }
    guard let document = try? JSONDecoder().decode(Split.self, from: data) else {
      throw CommandFailure(
        code: ExitStatus.data, kind: "malformed", what: "not a split (\(split))",
        cause: "it has no lists of subjects with files",
        advice: "docs/training.md describes the form",
        file: split)
    }
    for subject in [document.train, document.validation, document.test].compactMap(\.self).joined()
    {
      for file in subject.files { byName[ImageFormat.stem(of: file)] = subject.subject }
    }
  }

  /// The subject of a case; of several files of a split whose names begin it, the longest counts.
  func subject(of name: String) -> String {
    let matches = byName.keys.filter { name == $0 || name.hasPrefix($0 + "_") }
    if let match = matches.max(by: { $0.count < $1.count }), let subject = byName[match] {
      return subject
    }
    return BIDSName.subject(of: name) ?? name
  }
}
