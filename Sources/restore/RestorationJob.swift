import Foundation
import Imaging
import Inference
import Models
import TensorCore

/// How images are restored: what the command line says, as values.
struct RestorationSettings {
  var slices: SliceOptions
  var files: FileOptions
  var sidecars: SidecarOptions
  /// Whether outputs that exist are replaced.
  var overwrite: Bool
  /// Whether only the plan and the memory are told.
  var dryRun: Bool
  /// The image that a single input is compared with; nil for none.
  var reference: String?
  /// The picture of a single input; nil for none.
  var montage: String?
  /// Stored with the output.
  var seed: UInt64 = 0
}

/// Restores one image after another with one model.
struct RestorationJob {
  let settings: RestorationSettings
  let bundle: ModelBundle
  let restorer: VolumeRestorer

  /// Figures against a reference.
  struct Figures: Encodable {
    let psnr: Double
    let ssim: Double
    /// Over what the window of SSIM slid, `ssim_2d` or `ssim_3d`.
    let ssimKind: String
    let rmse: Double
    let foregroundPSNR: Double?
  }

  /// What is told about one image.
  struct Report: Encodable {
    let input: String
    let output: String
    var seconds: Double?
    var slices: Int
    var neededBytes: Int
    var before: Figures?
    var after: Figures?
    var warnings: [String]

    /// The lines for people.
    var lines: [String] {
      var lines = ["\(input) -> \(output)"]
      for (name, figures) in [("before", before), ("after ", after)] {
        guard let figures else { continue }
        var line = String(
          format: "  %@  PSNR %6.2f dB  SSIM %@ %.4f  RMSE %.4g", name, figures.psnr,
          figures.ssimKind == "ssim_3d" ? "3D" : "2D", figures.ssim, figures.rmse)
        if let foreground = figures.foregroundPSNR {
          line += String(format: "  foreground PSNR %6.2f dB", foreground)
        }
        lines.append(line)
      }
      return lines
    }
  }

  /// Restores one image and writes what belongs to it.
  func run(_ item: ItemList.Item) throws -> Report {
    let start = Date()
    var warnings: [String] = []
    func warn(_ message: String) {
      warnings.append(message)
      Console.shared.warning(message)
    }
    let scan = try ScanFile.read(item.input, options: settings.files.readOptions())
    scan.warnings.forEach(warn)
    if case .png(_, let channels) = scan.source, channels != 1 {
      throw InferenceError.channelMismatch(
        file: item.input, model: bundle.card.name, expected: 1, found: channels)
    }
    if case .png(let bitDepth, _) = scan.source, settings.files.dtype != .same {
      warn("\(item.input): --dtype is for NIfTI; the picture keeps \(max(8, bitDepth)) bits")
    }
    let options = try options(for: scan, warn)
    let sliceCount = restorer.sliceCount(of: scan.volume, options)
    let needed = restorer.memoryEstimate(for: scan.volume, options)
    if let limit = settings.files.maxMemory?.bytes, UInt64(needed) > limit {
      throw InferenceError.needsMemory(what: item.input, needed: needed, limit: Int(limit))
    }
    var report = Report(
      input: item.input, output: item.output, slices: sliceCount, neededBytes: needed,
      warnings: warnings)
    if settings.dryRun {
      Console.shared.info(
        "\(item.input): \(sliceCount) slices, \(Memory.text(UInt64(needed))) of memory")
      return report
    }
    remarks(on: scan, options).forEach(warn)
    let reference = try reference(for: scan)
    let voxels = FigureVoxels(
      broken: scan.nonFinite, reference: reference?.nonFinite, name: item.input)
    if let reference, let path = settings.reference {
      voxels.warnings.forEach(warn)
      report.before = try figures(scan.volume, reference.volume, voxels, path)
    }
    var progress = ProgressLine(total: sliceCount)
    let result = try restorer.restore(scan.volume, file: item.input, options: options) { done in
      progress.show(done)
      return Interruption.signal == nil
    }
    // A failed item leaves no file: whatever may fail comes before the output.
    if let reference, let path = settings.reference {
      report.after = try figures(result.volume, reference.volume, voxels, path)
    }
    if result.isConstant { warn("\(item.input): the image is constant; the output equals it") }
    let padding = restorer.paddingCount(of: scan.volume)
    if padding > 0 {
      warn(
        "\(item.input): \(padding) voxels below \(bundle.card.paddingBelow ?? 0) are padding and stay"
      )
    }
    let notes = try scan.write(
      result.volume, to: item.output,
      options: NIfTIWriteOptions(
        dataType: settings.files.dtype, overwrite: settings.overwrite,
        nonFinite: scan.nonFinite))
    notes.forEach(warn)
    report.seconds = -start.timeIntervalSinceNow
    report.warnings = warnings
    do {
      try draw(scan, result.volume, reference?.volume, item, report)
      if !settings.sidecars.noSidecar {
        try sidecar(scan, result.volume, item, report, options)
          .write(to: Sidecar.path(besides: item.output))
      }
    } catch {
      // Else --skip-existing would take it for done.
      scan.removeOutput(item.output)
      throw error
    }
    return report
  }

  /// What is to be warned of before an image is restored; says which planes are taken where the card decides.
  private func remarks(on scan: ScanFile, _ options: RestorationOptions) -> [String] {
    var warnings: [String] = []
    if case .eager(let reason) = restorer.execution(of: scan.volume, options) {
      warnings.append("\(bundle.card.name) runs without a plan: \(reason)")
    }
    if options.averagesPlanes == nil, restorer.averagesPlanes(of: scan.volume, options) {
      Console.shared.info(
        "\(scan.path): the mean over the slices of all three planes, as \(bundle.card.name) is meant for "
          + "such voxels; --tta none takes one plane and a third of the time")
    }
    if options.symmetries == nil, restorer.symmetries(options) == .square {
      Console.shared.info(
        "\(scan.path): the mean over the eight symmetries of each slice, as the card of \(bundle.card.name) "
          + "says; --tta none takes an eighth of the time")
    }
    if options.averagesPlanes == true, !scan.volume.geometry.isIsotropic {
      warnings.append(
        "\(scan.path): its voxels have no equal sides, and slices of other planes look unlike those that "
          + "\(bundle.card.name) learnt from; --tta flip stays in the plane")
    }
    return warnings
  }

  private func options(
    for scan: ScanFile, _ warn: (String) -> Void
  ) throws -> RestorationOptions {
    var options = RestorationOptions()
    options.plane = settings.slices.plane
    options.tiling = try settings.slices.tiling()
    options.symmetries = settings.slices.tta.mirrors
    options.averagesPlanes = settings.slices.tta.planes
    options.kSpaceFactor = settings.slices.kSpaceFactor
    options.clipsToInputRange = settings.slices.clipToInputRange
    options.nonFinite = scan.nonFinite
    if let path = settings.slices.mask {
      // As the image is read, but a mask is one volume whichever of the image's is restored.
      var reading = try settings.files.readOptions()
      reading.volume = nil
      let mask = try ScanFile.read(path, options: reading)
      mask.warnings.forEach(warn)
      try requireSameGrid(scan.volume.volume(at: 0), item: scan.path, mask.volume, path)
      options.mask = mask.volume.voxels.map { $0 != 0 }
    }
    return options
  }

  private func requireSameGrid(
    _ volume: Volume, item: String, _ other: Volume, _ path: String
  ) throws {
    try other.requireGrid(of: volume, file: path, referenceFile: item)
  }

  /// The reference, read and checked before minutes of work.
  private func reference(for scan: ScanFile) throws -> ScanFile? {
    guard let path = settings.reference else { return nil }
    var reading = try settings.files.readOptions()
    let reference: ScanFile
    do { reference = try ScanFile.read(path, options: reading) } catch {
      // One volume of a series may have a reference of its own.
      guard case .noSuchVolume(_, _, count: 1) = error else { throw error }
      reading.volume = nil
      reference = try ScanFile.read(path, options: reading)
    }
    try requireSameGrid(scan.volume, item: scan.path, reference.volume, path)
    return reference
  }

  /// The picture.
  private func draw(
    _ scan: ScanFile, _ restored: Volume, _ reference: Volume?, _ item: ItemList.Item,
    _ report: Report
  ) throws {
    guard let path = settings.montage else { return }
    var montage = try Montage(
      input: scan.volume.volume(at: 0), output: restored.volume(at: 0),
      reference: reference?.volume(at: 0))
    montage.title = "\(bundle.card.name) \(bundle.card.version)"
    montage.captions = Array(report.lines.dropFirst())
    try montage.write(to: path, overwrite: settings.overwrite, inputs: [item.input])
  }

  private func figures(
    _ image: Volume, _ reference: Volume, _ voxels: FigureVoxels, _ file: String
  ) throws -> Figures {
    let volume = voxels.marked(image)
    let comparison = try ImageComparison(
      of: volume, against: reference, counting: voxels.counted, name: file)
    // An image without foreground has none of the figures of one.
    let foreground = try? ForegroundPSNR.mean(
      of: volume, against: reference, counting: voxels.counted, name: file)
    return Figures(
      psnr: comparison.psnr, ssim: comparison.similarity,
      ssimKind: comparison.similarityKind.rawValue,
      rmse: comparison.fidelity.rootMeanSquaredError,
      foregroundPSNR: foreground.flatMap { $0.isNaN ? nil : $0 })
  }

  private func sidecar(
    _ scan: ScanFile, _ restored: Volume, _ item: ItemList.Item, _ report: Report,
    _ options: RestorationOptions
  ) throws -> Sidecar {
    let sidecars = settings.sidecars
    let provenance = Sidecar.Provenance(
      arguments: sidecars.arguments, model: bundle.card.name,
      modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
      inputSHA256: try Sidecar.checksums(of: scan.files),
      seed: settings.seed, threads: Engine.shared.threads,
      plane: restorer.planes(scan.volume, options).map(\.rawValue).joined(separator: ", "),
      tile: options.tiling.map { [$0.height, $0.width] }, overlap: options.tiling?.overlap,
      backEnd: Engine.shared.backEnd, inputRange: scan.range,
      outputRange: scan.storedRange(of: restored), nonFiniteVoxels: scan.nonFinite?.count ?? 0,
      change: IntensityChange(
        from: scan.volume, to: restored, counting: scan.nonFinite?.finite),
      warnings: report.warnings.map { sidecars.message($0, naming: [item.input, item.output]) },
      elapsedSeconds: sidecars.reproducible ? nil : report.seconds,
      peakMemoryBytes: sidecars.reproducible ? nil : Memory.peak)
    return Sidecar(
      sources: [sidecars.path(item.input)], skullStripped: sidecars.skullStripped,
      resolution: "native grid of the input", restore: provenance)
  }
}
