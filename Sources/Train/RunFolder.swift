import Foundation
import Imaging
import Layers
import TensorCore

/// What a run depends on, kept in its folder, so that it is continued with the same alone.
protocol RunConfiguration: Equatable {
  /// Reads the file that ``json()`` was written to.
  init(contentsOf path: String) throws
  /// The full configuration.
  func json() -> String
  /// The same with defaults in place of all that changes no bit of a run.
  var essence: Self { get }
}

extension TrainingConfiguration: RunConfiguration {
  var essence: Self {
    let defaults = TrainingConfiguration()
    var essence = self
    essence.checkpoint = defaults.checkpoint
    essence.train.checkpointActivations = defaults.train.checkpointActivations
    essence.train.prefetch = defaults.train.prefetch
    essence.train.logEvery = defaults.train.logEvery
    func simplify(_ section: inout DataSection) {
      section.cacheMegabytes = defaults.data.cacheMegabytes
      // Runs of earlier versions have the path that was typed.
      if !section.split.isEmpty {
        section.split = URL(fileURLWithPath: section.split).standardizedFileURL.path
      }
    }
    simplify(&essence.data)
    for index in tasks.indices { simplify(&essence.tasks[index]) }
    return essence
  }
}

extension EchoTrainingConfiguration: RunConfiguration {
  var essence: Self { self }
}

extension StrokeTrainingConfiguration: RunConfiguration {
  var essence: Self { self }
}

/// The files of a run: configuration, log, checkpoints and state.
///
/// Files are written whole or not at all, the log line by line.
struct RunFolder {
  let path: String
  /// Keeps other programs out of the folder.
  private var lock: FolderLock?

  var configuration: String { path + "/config.json" }
  var log: String { path + "/log.jsonl" }
  var latest: String { path + "/checkpoints/latest.safetensors" }
  var best: String { path + "/checkpoints/best.safetensors" }
  var state: String { path + "/checkpoints/state-latest.safetensors" }

  /// Where a validation's picture goes; names sort by step.
  func picture(step: Int, name: String) -> String {
    "\(path)/pictures/\(Self.digits(step))-\(Self.fileName(name)).png"
  }

  /// Where the weights of a step go that are kept; names sort by step.
  func weights(step: Int) -> String {
    "\(path)/checkpoints/step-\(Self.digits(step)).safetensors"
  }

  /// Removes all but the last weights that were kept.
  func removeWeights(but count: Int) {
    let folder = path + "/checkpoints"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let kept = names.filter { $0.hasPrefix("step-") && $0.hasSuffix(".safetensors") }.sorted()
    for name in kept.dropLast(count) {
      try? FileManager.default.removeItem(atPath: folder + "/" + name)
    }
  }

  private static func digits(_ step: Int) -> String {
    let number = String(step)
    return String(repeating: "0", count: max(0, 7 - number.count)) + number
  }

  /// Where the list of a task's subjects goes.
  func split(of task: String) -> String { "\(path)/split-\(Self.fileName(task)).json" }

  /// A name as it stands in file names.
  static func fileName(_ name: String) -> String {
    String(name.map { $0.isLetter || $0.isNumber || "-_.".contains($0) ? $0 : "_" })
  }

  /// Whether there is a run; one that was stopped early has a state before it has a log.
  var hasBegun: Bool { [log, state].contains(where: FileManager.default.fileExists(atPath:)) }

  /// Whether a folder holds a state, which takes the place of initial weights when its run goes on.
  static func hasState(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: RunFolder(path: path).state)
  }

  /// A folder that is neither made nor locked.
  private init(path: String) { self.path = path }

  /// Checks what the initialiser will check, before minutes of reading; makes nothing.
  ///
  /// - Throws: ``TrainingError/runExists(folder:)`` or ``TrainingError/cannotResume(folder:reason:)``.
  static func check<Configuration: RunConfiguration>(
    _ path: String, configuration: Configuration, resume: Bool
  ) throws {
    try RunFolder(path: path).check(configuration, resume: resume)
  }

  /// Prepares the folder of a new run, or checks the one that is to be continued.
  ///
  /// A folder that is refused is left as it is.
  init<Configuration: RunConfiguration>(
    _ path: String, configuration: Configuration, resume: Bool
  ) throws {
    self.path = path
    try check(configuration, resume: resume)
    do {
      for part in ["checkpoints", "pictures"] {
        try FileManager.default.createDirectory(
          atPath: path + "/" + part, withIntermediateDirectories: true)
      }
    } catch {
      throw ImagingError.cannotCreate(file: path, reason: error.localizedDescription)
    }
    let lock = try FolderLock(path)
    self.lock = lock
    // Another program may have begun there before the lock was taken.
    try check(configuration, resume: resume)
    lock.removeAbandonedFiles(in: path)
    if !hasBegun { try write(Data(configuration.json().utf8), to: self.configuration) }
  }

  /// Makes sure that what is in the folder is a run to be continued, or nothing of value.
  private func check<Configuration: RunConfiguration>(
    _ configuration: Configuration, resume: Bool
  ) throws {
    try Self.check(configuration, in: path, hasBegun: hasBegun, resume: resume)
  }

  /// Makes sure that what is in a folder is a run to be continued, or nothing of value.
  ///
  /// - Parameters:
  ///   - configuration: The given one; the folder's is `config.json`.
  ///   - folder: The run folder, which need not be there.
  ///   - hasBegun: Whether there is a run.
  ///   - resume: Whether it is to be continued.
  /// - Throws: ``TrainingError/runExists(folder:)`` or ``TrainingError/cannotResume(folder:reason:)``.
  static func check<Configuration: RunConfiguration>(
    _ configuration: Configuration, in folder: String, hasBegun: Bool, resume: Bool
  ) throws {
    let file = folder + "/config.json"
    if hasBegun {
      if !resume { throw TrainingError.runExists(folder: folder) }
      let stored = try Configuration(contentsOf: file)
      guard stored.essence == configuration.essence else {
        let keys = differences(stored.essence.json(), configuration.essence.json())
        throw TrainingError.cannotResume(
          folder: folder,
          reason: "its config.json differs from the given configuration in "
            + keys.prefix(5).joined(separator: ", ") + (keys.count > 5 ? " and more" : ""))
      }
    } else if let found = try? String(contentsOfFile: file, encoding: .utf8),
      (try? Configuration(contentsOf: file))?.json() != found
    {
      // Not of this program: perhaps the very file that the user wrote.
      throw TrainingError.runExists(folder: folder)
    }
  }

  /// Writes who is in which part; a run that goes on must have the same.
  ///
  /// Parts are divided by a shuffle of all who are there: one more moves others from part to part.
  ///
  /// - Parameters:
  ///   - split: As JSON.
  ///   - path: Where it is kept.
  ///   - folder: The run folder, for messages.
  ///   - hasBegun: Whether there is a run; one of an earlier version may lack the file, which it then gets.
  ///   - source: What the split comes from, for messages.
  /// - Throws: ``TrainingError/cannotResume(folder:reason:)``, or what writing files throws.
  static func keep(
    _ split: Data, at path: String, ofRunIn folder: String, hasBegun: Bool, from source: String
  ) throws {
    if hasBegun, let stored = FileManager.default.contents(atPath: path) {
      guard stored == split else {
        throw TrainingError.cannotResume(
          folder: folder, reason: "\(source) has other files or parts than when the run began")
      }
      return
    }
    let file = try AtomicFile(path: path, overwrite: true)
    try split.withUnsafeBytes { try file.write($0) }
    try file.commit()
  }

  /// Writes the split of a task; a run that goes on must have the same.
  func keep(_ split: Data, of task: String, from source: String) throws {
    try Self.keep(
      split, at: self.split(of: task), ofRunIn: path, hasBegun: hasBegun, from: source)
  }

  /// Names by part as they stand in the file of a split.
  static func json(ofParts parts: [String: [String]]) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(parts) + Data("\n".utf8)
  }

  /// The keys by which two configurations differ, as `section.key`.
  private static func differences(_ first: String, _ second: String) -> [String] {
    func walk(_ a: Any?, _ b: Any?, _ path: String) -> [String] {
      guard let a = a as? [String: Any], let b = b as? [String: Any] else {
        let isEqual = (a as? NSObject)?.isEqual(b) ?? (b == nil)
        return isEqual ? [] : [path]
      }
      return Set(a.keys).union(b.keys).sorted().flatMap { key in
        walk(a[key], b[key], path.isEmpty ? key : path + "." + key)
      }
    }
    let objects = [first, second].map { try? JSONSerialization.jsonObject(with: Data($0.utf8)) }
    return walk(objects[0], objects[1], "")
  }

  /// The state of the run that is to be continued; nil if it never came to a checkpoint and begins again.
  func readState() throws -> Safetensors? {
    guard hasBegun else { return nil }
    if FileManager.default.fileExists(atPath: state) { return try Safetensors(contentsOf: state) }
    guard !FileManager.default.fileExists(atPath: latest) else {
      throw TrainingError.cannotResume(folder: path, reason: "it has weights, but no \(state)")
    }
    try cutLog(after: 0)
    return nil
  }

  /// Takes out of the log what lies beyond a step: it will be done again.
  func cutLog(after step: Int) throws {
    struct Record: Decodable { let step: Int }
    guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return }
    let lines = text.split(separator: "\n")
    let kept = lines.filter { line in
      let record = try? JSONDecoder().decode(Record.self, from: Data(line.utf8))
      return record.map { $0.step <= step } ?? false
    }
    guard kept.count < lines.count else { return }
    try write(Data(kept.map { $0 + "\n" }.joined().utf8), to: log)
  }

  /// Draws the curves of the log so far.
  func drawProgress() throws {
    let log = try RunLog(contentsOf: path)
    let plot = CurvePlot(panels: [
      CurvePlot.Panel(title: "loss", points: log.losses.flatMap(\.points)),
      CurvePlot.Panel(
        title: log.measure == .dice ? "validation Dice" : "validation PSNR (dB)",
        points: log.validation),
    ])
    try write(plot.image().encoded(), to: path + "/progress.png")
  }

  /// The checkpoint that a bundle is made of: the best one, or the latest before the first validation.
  var exported: String { FileManager.default.fileExists(atPath: best) ? best : latest }

  /// Adds one line to the log.
  func append(_ record: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    var line = try encoder.encode(record)
    line.append(UInt8(ascii: "\n"))
    try GrowingFile.append([UInt8](line), to: log)
  }

  func write(_ data: Data, to path: String) throws {
    try AtomicFile.write(data, to: path, overwrite: true)
  }
}
