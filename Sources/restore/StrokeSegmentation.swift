import Foundation
import Imaging
import Inference
import Models
import TensorCore

/// `restore segment` for a brain: mask and probability of lesions, their number and volumes.
struct StrokeSegmentation {
  let system: StrokeSystem
  let bundle: ModelBundle
  let inputs: [String]
  let output: String
  let overwrite: Bool
  let sidecars: SidecarOptions
  /// Where the probability goes; nil for beside the mask.
  var probability: String?

  private var writesSidecar: Bool { !sidecars.noSidecar }

  /// What the images of a model with one or two channels show.
  private var channelNames: [String] { system.inChannels == 2 ? ["T1", "FLAIR"] : ["T1"] }

  private var probabilityPath: String {
    probability ?? Self.base(of: output) + "_probability.nii.gz"
  }

  /// Segments and writes everything; returns what was found.
  func run() throws -> StrokeReport {
    let start = Date()
    try checkCount()
    for path in [output, probabilityPath] {
      try AtomicFile.checkOutput(path: path, overwrite: overwrite, inputs: inputs)
      try NIfTI.checkName(path)
      if writesSidecar { try Sidecar.requireWritable(besides: path, overwrite: overwrite) }
    }
    let scans = try inputs.map { try ScanFile.read($0) }
    var warnings = scans.flatMap { scan in scan.warnings.map { "\(scan.path): \($0)" } }
    for scan in scans {
      guard scan.volume.volumeCount == 1 else {
        throw CommandFailure(
          code: ExitStatus.data, kind: "volumes", what: "more than one volume (\(scan.path))",
          cause: "it is a series of \(scan.volume.volumeCount), a brain is one volume",
          advice: "take one volume out of the series first", file: scan.path)
      }
      try scan.volume.requireGrid(
        of: scans[0].volume, file: scan.path, referenceFile: scans[0].path)
    }
    let first = scans[0]
    if !first.volume.geometry.isOrientationKnown {
      warnings.append("\(first.path): orientation unknown; left and right are assumed")
    }
    let background = first.volume.voxels.count { $0 == 0 }
    if 4 * background < first.volume.voxels.count {
      warnings.append(
        "\(first.path): does not look like a brain without its skull: only "
          + "\(100 * background / first.volume.voxels.count) % of its voxels are 0")
    }
    warnings.forEach(Console.shared.warning)
    let inferenceStart = Date()
    let result = try StrokeSegmenter(system).segment(
      scans.map(\.volume), file: first.path, progress: Self.makeProgress())
    let inferenceSeconds = -inferenceStart.timeIntervalSinceNow
    let report = StrokeReport(
      output: output, probability: probabilityPath, lesions: result.lesions,
      inferenceSeconds: inferenceSeconds, seconds: -start.timeIntervalSinceNow,
      peakMemoryBytes: Memory.peak)
    let images = [output, probabilityPath]
    try OutputPaths.allOrNone(images + (writesSidecar ? images.map(Sidecar.path(besides:)) : [])) {
      try write(
        Volume(voxels: result.mask.voxels.map { $0 ? 1 : 0 }, geometry: first.volume.geometry),
        to: output, as: .labels, like: first)
      try write(result.probability, to: probabilityPath, as: .float32, like: first)
      if writesSidecar {
        for (path, range) in [(output, [0, 1]), (probabilityPath, [0, 1])] as [(String, [Float])] {
          try sidecar(scans, report, range: range, warnings).write(to: Sidecar.path(besides: path))
        }
      }
    }
    return report
  }

  private func checkCount() throws {
    guard inputs.count != system.inChannels else { return }
    let examples = ["t1.nii.gz", "flair.nii.gz"].prefix(system.inChannels)
    throw CommandFailure(
      code: ExitStatus.data, kind: "channel-mismatch",
      what: "channel count does not match the model (\(inputs.first ?? "no input"))",
      cause: "model \"\(bundle.card.name)\" expects \(system.inChannels) "
        + "channel\(system.inChannels == 1 ? "" : "s") [\(channelNames.joined(separator: ", "))], "
        + "\(inputs.count) \(inputs.count == 1 ? "was" : "were") given",
      advice: "restore segment -i \(examples.joined(separator: " ")) -m \(bundle.card.name) "
        + "-o lesion.nii.gz",
      file: inputs.first)
  }

  private static func makeProgress() -> (Int, Int) throws -> Void {
    var line: ProgressLine?
    return { done, total in
      if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
      var shown = line ?? ProgressLine(total: total)
      shown.show(done)
      line = shown
    }
  }

  private func write(
    _ volume: Volume, to path: String, as type: OutputDataType, like scan: ScanFile
  ) throws {
    var source: NIfTISource?
    if case .nifti(let own) = scan.source { source = own }
    let options = NIfTIWriteOptions(dataType: type, overwrite: overwrite, inputs: inputs)
    for warning in try NIfTI.write(volume, to: path, like: source, options: options) {
      Console.shared.detail("\(path): \(warning)")
    }
  }

  private func sidecar(
    _ scans: [ScanFile], _ report: StrokeReport, range: [Float], _ warnings: [String]
  ) throws -> Sidecar {
    let provenance = Sidecar.Provenance(
      arguments: sidecars.arguments, model: bundle.card.name,
      modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
      inputSHA256: try Sidecar.checksums(of: scans.flatMap(\.files)), seed: 0,
      threads: Engine.shared.threads, plane: "axial, sagittal, coronal",
      backEnd: Engine.shared.backEnd, inputRange: scans[0].range,
      outputRange: range, nonFiniteVoxels: scans.reduce(0) { $0 + ($1.nonFinite?.count ?? 0) },
      warnings: warnings.map { sidecars.message($0, naming: inputs) },
      elapsedSeconds: sidecars.reproducible ? nil : report.seconds,
      peakMemoryBytes: sidecars.reproducible ? nil : report.peakMemoryBytes)
    return Sidecar(
      sources: inputs.map(sidecars.path), skullStripped: true,
      resolution: "native grid of the input", restore: provenance, lesions: report.lesions)
  }

  /// A path without the endings of a NIfTI image.
  private static func base(of path: String) -> String {
    for ending in [".nii.gz", ".nii"] where path.hasSuffix(ending) {
      return String(path.dropLast(ending.count))
    }
    return path
  }
}

/// Lesions of a brain, for people and for programs.
struct StrokeReport: Encodable {
  /// One lesion.
  struct Lesion: Codable {
    let volumeML: Double
    let voxels: Int
    /// mm, RAS+.
    let centre: [Double]
    let meanProbability: Double?
  }

  /// All lesions.
  struct Lesions: Codable {
    let count: Int
    let volumeML: Double
    /// The largest first.
    let each: [Lesion]
  }

  let ok = true
  let output: String
  let probability: String
  let lesions: Lesions
  /// Without reading and writing files.
  let inferenceSeconds: Double
  let seconds: Double
  let peakMemoryBytes: UInt64

  init(
    output: String, probability: String, lesions: LesionList, inferenceSeconds: Double,
    seconds: Double, peakMemoryBytes: UInt64
  ) {
    self.output = output
    self.probability = probability
    self.lesions = Lesions(
      count: lesions.lesions.count, volumeML: lesions.volume,
      each: lesions.lesions.map {
        Lesion(
          volumeML: $0.volume, voxels: $0.voxels, centre: $0.centre,
          meanProbability: $0.meanProbability)
      })
    self.inferenceSeconds = inferenceSeconds
    self.seconds = seconds
    self.peakMemoryBytes = peakMemoryBytes
  }

  /// Lines for people; at most ten lesions one by one.
  var lines: [String] {
    let shown = lesions.each.prefix(10).enumerated().map { index, lesion in
      String(format: "  %2d  %8.2f ml  at ", index + 1, lesion.volumeML)
        + lesion.centre.map { String(format: "%.0f", $0) }.joined(separator: ", ") + " mm"
    }
    let rest = lesions.each.count - shown.count
    return [
      String(
        format: "%d lesion%@, %.2f ml in all", lesions.count, lesions.count == 1 ? "" : "s",
        lesions.volumeML)
    ] + shown + (rest > 0 ? ["      and \(rest) smaller ones"] : []) + [output, probability]
  }
}
