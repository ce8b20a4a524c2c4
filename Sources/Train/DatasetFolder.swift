import Foundation
import Imaging
import Randomness

/// Finds subjects in the folders that other programs use.
///
/// - nnU-Net raw: `dataset.json`, `imagesTr/CASE_0000.nii.gz`, optionally `imagesTs`. Clean images are
///   those of channel 0; with `paired`, channel 0 is the input and channel 1 the target. A case is a
///   subject, cases whose names begin alike in the form of BIDS (`sub-01_…`) are one; cases of `imagesTs` are for
///   testing.
/// - BIDS: `sub-…/[ses-…/]*/*_SUFFIX.nii.gz` with the suffix that the configuration names. All sessions
///   of a subject stay together.
/// - The authors': `{train,validation,test}/{LQ,HQ}` in the folder, or in its folders `PET`, `CT`,
///   `MRI`; always `paired` by file name. Training images may be pickled tensors (`.bin`).
/// - Lists of pairs, as FS-RWKV's program reads them: `train.txt`, `validation.txt` (or `val.txt`),
///   `test.txt`, or `.csv`; each line `INPUT,TARGET`, relative to the list; always `paired`. A pair is
///   a subject. Without a list for validation the training pairs are divided.
///
/// The first two are divided by a shuffle of the sorted subjects that depends on the split seed alone.
public struct DatasetFolder {
  /// Subjects by part.
  public typealias Parts = (
    train: [DataSplit.Subject], validation: [DataSplit.Subject], test: [DataSplit.Subject]
  )

  private let path: String
  private let section: TrainingConfiguration.DataSection

  /// A folder to look into.
  ///
  /// - Parameters:
  ///   - path: The folder.
  ///   - section: Simulator, suffix and how to divide.
  public init(_ path: String, _ section: TrainingConfiguration.DataSection) {
    self.path = path
    self.section = section
  }

  /// The subjects, divided.
  ///
  /// - Returns: Paths are absolute if the folder's is.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` if the folder has none of the forms.
  public func parts() throws(TrainingError) -> Parts {
    if exists("dataset.json"), exists("imagesTr") { return try nnUNet() }
    let roots = ["", "PET/", "CT/", "MRI/"].filter { exists($0 + "train/HQ") }
    if !roots.isEmpty {
      // Ranges of intensities belong to a modality.
      if roots.count > 1, ["mri", "ct", "pet"].contains(section.normalization) {
        throw .invalidSplit(
          file: path,
          reason: "it has \(roots.joined(separator: ", ")) and data.normalization is "
            + "`\(section.normalization)`: name each folder in a task of its own (`tasks`)")
      }
      return try authors(roots)
    }
    if let train = list(["train"]) {
      return try pairs(train, list(["validation", "val"]), list(["test"]))
    }
    let subjects = names("").filter { $0.hasPrefix("sub-") }
    if !subjects.isEmpty { return try bids(subjects) }
    throw .invalidSplit(
      file: path,
      reason:
        "it is no nnU-Net raw folder (dataset.json, imagesTr), no BIDS folder (sub-…) and has "
        + "neither train/LQ and train/HQ nor a list train.txt")
  }

  private func exists(_ name: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/" + name)
  }

  private func names(_ folder: String) -> [String] {
    let found = try? FileManager.default.contentsOfDirectory(atPath: path + "/" + folder)
    return (found ?? []).filter { !$0.hasPrefix(".") }.sorted()
  }

  // MARK: - nnU-Net

  private func nnUNet() throws(TrainingError) -> Parts {
    let parts = try divided(try nnUNetSubjects("imagesTr"))
    let test = exists("imagesTs") ? try nnUNetSubjects("imagesTs") : []
    return (parts.train, parts.validation, parts.test + test)
  }

  private func nnUNetSubjects(_ folder: String) throws(TrainingError) -> [DataSplit.Subject] {
    var channels: [String: [Int: String]] = [:]
    for name in names(folder) where ImageFormat(path: name) != nil {
      let stem = ImageFormat.stem(of: name)
      guard let mark = stem.lastIndex(of: "_"), let channel = Int(stem[stem.index(after: mark)...])
      else {
        throw .invalidSplit(
          file: path, reason: "\(folder)/\(name) does not end in a channel such as _0000")
      }
      let other = channels[String(stem[..<mark]), default: [:]]
        .updateValue("\(path)/\(folder)/\(name)", forKey: channel)
      if let other {
        throw .invalidSplit(
          file: path, reason: "\(folder)/\(name) is the same channel of the same case as \(other)")
      }
    }
    var subjects: [String: (files: [String], inputs: [String])] = [:]
    for (name, files) in channels.sorted(by: { $0.key < $1.key }) {
      guard let first = files[0] else {
        throw .invalidSplit(file: path, reason: "\(folder): \(name) has no channel 0000")
      }
      // The sessions of a person stay together.
      let subject = BIDSName.subject(of: name) ?? name
      guard section.kind == .paired else {
        subjects[subject, default: ([], [])].files.append(first)
        continue
      }
      guard let target = files[1] else {
        throw .invalidSplit(
          file: path, reason: "\(folder): \(name) has no channel 0001, the target of `paired`")
      }
      subjects[subject, default: ([], [])].files.append(target)
      subjects[subject]?.inputs.append(first)
    }
    return subjects.sorted { $0.key < $1.key }.map { subject, own in
      DataSplit.Subject(
        subject: subject, files: own.files, inputs: own.inputs.isEmpty ? nil : own.inputs)
    }
  }

  // MARK: - BIDS

  private func bids(_ subjects: [String]) throws(TrainingError) -> Parts {
    let ending = "_" + section.suffix
    var found: [DataSplit.Subject] = []
    for subject in subjects {
      let files = FolderTree.subpaths(of: path + "/" + subject).filter { name in
        ImageFormat(path: name) == .nifti && ImageFormat.stem(of: name).hasSuffix(ending)
      }.map { "\(path)/\(subject)/\($0)" }
      if !files.isEmpty { found.append(DataSplit.Subject(subject: subject, files: files)) }
    }
    guard !found.isEmpty else {
      throw .invalidSplit(file: path, reason: "no subject has an image named *\(ending).nii[.gz]")
    }
    return try divided(found)
  }

  // MARK: - The authors' layout

  private func authors(_ roots: [String]) throws(TrainingError) -> Parts {
    var parts: [[DataSplit.Subject]] = [[], [], []]
    for root in roots {
      for (index, part) in ["train", "validation", "test"].enumerated() {
        let (good, bad) = ("\(root)\(part)/HQ", "\(root)\(part)/LQ")
        let inputs = Set(names(bad))
        for name in names(good) {
          guard inputs.contains(name) else {
            throw .invalidSplit(file: path, reason: "\(good)/\(name) has no counterpart in \(bad)")
          }
          // One file name in two parts is taken for the same image: that would leak.
          let stem =
            name.hasSuffix(ScanSource.pickleEnding)
            ? String(name.dropLast(ScanSource.pickleEnding.count)) : ImageFormat.stem(of: name)
          parts[index].append(
            DataSplit.Subject(
              subject: root + stem, files: ["\(path)/\(good)/\(name)"],
              inputs: ["\(path)/\(bad)/\(name)"]))
        }
      }
    }
    return (parts[0], parts[1], parts[2])
  }

  // MARK: - Lists of pairs

  private func list(_ stems: [String]) -> String? {
    stems.flatMap { [$0 + ".txt", $0 + ".csv"] }.first(where: exists)
  }

  private func pairs(
    _ train: String, _ validation: String?, _ test: String?
  ) throws(TrainingError) -> Parts {
    var found: [[(input: String, target: String)]] = []
    for list in [train, validation, test] { found.append(try list.map(pairs(of:)) ?? []) }
    let names = Self.shortestNames(of: found.joined().map { $0.target })
    let subjects = found.map { pairs in
      pairs.map { pair in
        DataSplit.Subject(
          subject: names[pair.target] ?? pair.target, files: [absolute(pair.target)],
          inputs: [absolute(pair.input)])
      }
    }
    if validation != nil { return (subjects[0], subjects[1], subjects[2]) }
    let parts = try divided(subjects[0])
    return (parts.train, parts.validation, parts.test + subjects[2])
  }

  /// Names that tell files apart: the last parts of each path, as few as no other path ends in.
  private static func shortestNames(of files: [String]) -> [String: String] {
    var endings: [String: [String]] = [:]
    var counts: [String: Int] = [:]
    for file in Set(files) {
      var parts = file.split(separator: "/").map(String.init).filter { $0 != "." }
      guard let last = parts.popLast() else { continue }
      parts.append(ImageFormat.stem(of: last))
      let own = parts.indices.reversed().map { parts[$0...].joined(separator: "/") }
      for ending in own { counts[ending, default: 0] += 1 }
      endings[file] = own
    }
    return endings.mapValues { own in own.first { counts[$0] == 1 } ?? own[own.count - 1] }
  }

  private func absolute(_ file: String) -> String {
    file.hasPrefix("/") ? file : "\(path)/\(file)"
  }

  /// The pairs of a list, as it names them.
  private func pairs(
    of list: String
  ) throws(TrainingError) -> [(input: String, target: String)] {
    guard let text = try? String(contentsOfFile: path + "/" + list, encoding: .utf8) else {
      throw .invalidSplit(file: path, reason: "\(list) cannot be read as UTF-8 text")
    }
    var pairs: [(input: String, target: String)] = []
    for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated() where !line.allSatisfy(\.isWhitespace)
    {
      let files = line.split(separator: ",", omittingEmptySubsequences: false).map {
        $0.trimmingCharacters(in: .whitespaces)
      }
      guard files.count == 2, !files.contains("") else {
        throw .invalidSplit(
          file: path, reason: "\(list), line \(number + 1): expected INPUT,TARGET")
      }
      for file in files where !FileManager.default.fileExists(atPath: absolute(file)) {
        throw .invalidSplit(file: path, reason: "\(list), line \(number + 1): no file \(file)")
      }
      pairs.append((files[0], files[1]))
    }
    return pairs
  }

  // MARK: - Dividing

  /// Shuffles the subjects and takes the configured shares for validation and test, at least one each
  /// where the share is not 0.
  private func divided(_ subjects: [DataSplit.Subject]) throws(TrainingError) -> Parts {
    var shuffled = subjects
    var generator = SeededGenerator(seed: section.splitSeed)
    generator.shuffle(&shuffled)
    func count(_ share: Double) -> Int {
      share == 0 ? 0 : max(1, Int((share * Double(subjects.count)).rounded()))
    }
    let (validation, test) = (count(section.validationShare), count(section.testShare))
    guard subjects.count > validation + test else {
      throw .invalidSplit(
        file: path,
        reason: "\(subjects.count) subjects are too few for validation and test beside training")
    }
    func sorted(_ slice: ArraySlice<DataSplit.Subject>) -> [DataSplit.Subject] {
      slice.sorted { $0.subject < $1.subject }
    }
    return (
      sorted(shuffled[(validation + test)...]), sorted(shuffled[..<validation]),
      sorted(shuffled[validation..<(validation + test)])
    )
  }
}
