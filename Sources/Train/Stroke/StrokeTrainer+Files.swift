import Foundation
import Imaging
import Inference
import Layers
import Models
import TensorCore

extension StrokeTrainer {
  private var latest: String { folder + "/latest.safetensors" }
  private var log: String { folder + "/log.jsonl" }
  private static let format = "restore-stroke-training-1"

  /// Whether there is a run: its configuration alone is none.
  private var hasBegun: Bool {
    [log, latest].contains(where: FileManager.default.fileExists(atPath:))
  }

  /// Makes the folder of a new run, or continues the run that is there.
  ///
  /// A folder that is refused is left as it is.
  func prepareFolder(resume: Bool) throws {
    try RunFolder.check(configuration, in: folder, hasBegun: hasBegun, resume: resume)
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw ImagingError.cannotCreate(file: folder, reason: error.localizedDescription)
    }
    let lock = try FolderLock(folder)
    self.lock = lock
    // Another program may have begun there before the lock was taken.
    try RunFolder.check(configuration, in: folder, hasBegun: hasBegun, resume: resume)
    lock.removeAbandonedFiles(in: folder)
    let isContinued = hasBegun
    try RunFolder.keep(
      RunFolder.json(ofParts: data.names), at: folder + "/split-stroke.json", ofRunIn: folder,
      hasBegun: isContinued,
      from: configuration.data.folder.isEmpty ? "the configuration" : configuration.data.folder)
    if isContinued {
      try restore()
    } else {
      try write(Data(configuration.json().utf8), to: folder + "/config.json")
    }
  }

  /// Writes weights, the optimiser's state and the place in the run.
  func save(seconds: Double) throws {
    var writer = SafetensorsWriter(metadata: [
      "format": Self.format, "stage": "\(stage)", "step": "\(step)", "seconds": "\(seconds)",
    ])
    writer.add(stateOf: system)
    if !isFinished {
      for (name, tensor) in optimizer.state { writer.add(tensor, named: "optimizer." + name) }
    }
    try write(writer.encoded(), to: latest)
  }

  private func restore() throws {
    func fail(_ reason: String) -> TrainingError {
      .cannotResume(folder: folder, reason: reason)
    }
    // A run that was stopped before its first state begins anew.
    guard FileManager.default.fileExists(atPath: latest) else { return try cutLog() }
    let file = try Safetensors(contentsOf: latest)
    guard file.metadata["format"] == Self.format,
      let stage = file.metadata["stage"].flatMap(Int.init),
      (0...system.networks.count + 1).contains(stage),
      let step = file.metadata["step"].flatMap(Int.init),
      (0...section(of: stage).iterations).contains(step),
      let seconds = file.metadata["seconds"].flatMap(Double.init), seconds >= 0, seconds.isFinite
    else { throw fail("latest.safetensors is not the state of such a run") }
    var tensors: [String: Tensor] = [:]
    for entry in file.entries where !entry.name.hasPrefix("optimizer.") {
      tensors[entry.name] = file.tensor(named: entry.name)
    }
    try system.load(tensors)
    advance(to: stage)
    if !isFinished {
      let missing = optimizer.restore(steps: step) { file.tensor(named: "optimizer." + $0) }
      guard missing.isEmpty else { throw fail("it lacks \(missing.joined(separator: ", "))") }
    }
    self.step = step
    secondsBefore = seconds
    try cutLog()
  }

  /// Takes out of the log what lies beyond the present step: it will be done again.
  private func cutLog() throws {
    guard let text = try? String(contentsOfFile: log, encoding: .utf8) else { return }
    let stages = configuration.system.paths + ["combiner"]
    let lines = text.split(separator: "\n").filter { line in
      guard
        let entry = try? JSONDecoder().decode(StrokeTrainingProgress.self, from: Data(line.utf8)),
        let place = stages.firstIndex(of: entry.stage)
      else { return false }
      return (place, entry.step) <= (stage, step)
    }
    try write(Data(lines.map { $0 + "\n" }.joined().utf8), to: log)
  }

  /// Adds a line to the log.
  func append(_ progress: StrokeTrainingProgress) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    try GrowingFile.append(
      [UInt8](try encoder.encode(progress)) + [UInt8(ascii: "\n")], to: log)
  }

  private func write(_ data: Data, to path: String) throws {
    let file = try AtomicFile(path: path, overwrite: true)
    try data.withUnsafeBytes { try file.write($0) }
    try file.commit()
  }

  /// Writes the present weights as a bundle, `FOLDER/bundle`.
  ///
  /// - Parameter scores: Those of brains that nothing learnt from; the card tells them.
  /// - Returns: The bundle's folder.
  /// - Throws: What writing files throws.
  public func exportBundle(_ scores: [StrokeScore]) throws -> String {
    let bundle = folder + "/bundle"
    try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
    var writer = SafetensorsWriter()
    for entry in system.state where !entry.name.hasSuffix("num_batches_tracked") {
      writer.add(entry.tensor, named: entry.name)
    }
    try write(writer.encoded(), to: bundle + "/weights.safetensors")
    let card = ModelCard(
      name: configuration.name, version: "1.0.0", network: ModelDescription(system),
      interface: .brains(channels: system.inChannels),
      sizeMultiple: StrokeSystem.sizeStep, trainingData: trainingData,
      intendedUse: "Research on segmentation of lesions in brain MRI without the skull.",
      limitations: "Not for diagnosis or treatment. "
        + (configuration.data.folder.isEmpty
          ? "Never saw a real stroke: on real ones it may find nothing, or something else."
          : "Known for brains like those of its training only."),
      metrics: StrokeScore.metrics(scores),
      weightsSHA256: try SHA256.hexadecimal(ofFile: bundle + "/weights.safetensors"),
      references: ["Xue et al., NeuroImage: Clinical 25 (2019) 102118."], license: "Apache-2.0")
    try card.write(toBundle: bundle)
    return bundle
  }

  private var trainingData: String {
    let data = configuration.data
    var parts: [String] = []
    if !data.brains.isEmpty {
      let names = self.data.subjects(.paths).filter { $0 != "phantoms" }.joined(separator: ", ")
      parts.append("simulated lesions grown into real brains (\(names))")
    }
    if data.phantoms > 0 {
      parts.append("\(data.phantoms) phantom brains with simulated lesions for each stage")
    }
    if !data.folder.isEmpty { parts.append("brains with masks of a labelled set") }
    let text = parts.joined(separator: ", ")
    return text.prefix(1).uppercased() + text.dropFirst() + "."
  }
}
