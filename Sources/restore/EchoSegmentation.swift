import Foundation
import Imaging
import Inference
import Models
import TensorCore

/// `restore segment` for a clip, or for two views of one heart: labels, overlay strip, curve and
/// ejection fraction.
struct EchoSegmentation {
  let model: GDKVM
  let bundle: ModelBundle
  /// One clip, or two perpendicular views.
  let inputs: [String]
  /// Labels of the first clip.
  let output: String
  /// Labels of the first frame of as many clips as are known.
  let firstMasks: [String]
  let overwrite: Bool
  let sidecars: SidecarOptions

  private var writesSidecar: Bool { !sidecars.noSidecar }

  /// Segments and writes everything; returns what was measured.
  func run() throws -> EchoReport {
    let start = Date()
    let (base, ending) = Self.parts(of: output)
    let bases = [base, base + "_view2"].prefix(inputs.count)
    var outputs: [String] = []
    for base in bases {
      try NIfTI.checkName(base + ending)
      outputs += [base + ending, base + "_curve.csv", base + "_overlay.png"]
      if writesSidecar {
        try Sidecar.requireWritable(besides: base + ending, overwrite: overwrite)
        outputs.append(Sidecar.path(besides: base + ending))
      }
    }
    for path in outputs where !path.hasSuffix(".json") {
      try AtomicFile.checkOutput(path: path, overwrite: overwrite, inputs: inputs + firstMasks)
    }
    let views = try zip(inputs, bases).enumerated().map { index, paths in
      try segment(
        paths.0, firstMask: firstMasks.count > index ? firstMasks[index] : nil,
        output: paths.1 + ending)
    }
    if views.count == 2, views[0].isSpacingKnown != views[1].isSpacingKnown {
      let file = views[views[0].isSpacingKnown ? 1 : 0].input
      throw CommandFailure(
        code: ExitStatus.data, kind: "pixel_size", what: "pixel size unknown (\(file))",
        cause: "the other view has one, and a volume needs both",
        advice: "give both views as NIfTI files", file: file)
    }
    let report = try EchoReport(views, structures: Self.structures(of: model.configuration))
    try OutputPaths.allOrNone(outputs) {
      for (index, view) in views.enumerated() {
        try write(view)
        try AtomicFile.write(
          Data(report.tables[index].utf8), to: bases[index] + "_curve.csv", overwrite: overwrite)
        try view.strip().write(
          to: bases[index] + "_overlay.png", overwrite: overwrite, inputs: inputs)
        if writesSidecar {
          try sidecar(of: view, seconds: -start.timeIntervalSinceNow)
            .write(to: Sidecar.path(besides: view.output))
        }
      }
    }
    return report
  }

  /// The names of labels 1 … N: the network's, or those of CAMUS in their order.
  private static func structures(of configuration: GDKVMConfiguration) -> [String] {
    guard configuration.structures.isEmpty else { return configuration.structures }
    return (1...configuration.objects).map {
      UInt8(exactly: $0).flatMap(HeartLabel.init(rawValue:))?.name ?? "structure_\($0)"
    }
  }

  private func segment(
    _ input: String, firstMask: String?, output: String
  ) throws -> EchoView {
    let scan = try ScanFile.read(input)
    for warning in scan.warnings { Console.shared.warning("\(input): \(warning)") }
    let volume = scan.volume
    let size = volume.size
    guard volume.volumeCount == 1 || size.z == 1 else {
      throw ImagingError.unsupportedFormat(
        file: input,
        reason:
          "it has \(size.z) slices at each of \(volume.volumeCount) times, a clip shows one place")
    }
    guard let first = volume.voxels.first, volume.voxels.contains(where: { $0 != first }) else {
      throw CommandFailure(
        code: ExitStatus.data, kind: "constant", what: "the clip shows nothing (\(input))",
        cause: "all of its pixels are equal", advice: "give a clip of the heart", file: input)
    }
    // Frames lie along z in a stack or in the layout of CAMUS, along t in a 4D file.
    let count = volume.volumeCount * size.z
    let pixels = size.x * size.y
    let map = try bundle.card.normalization.map(for: volume.voxels, file: input)
    let known = try firstMask.map { try mask($0, size: size) }
    var segmenter = ClipSegmenter(model, networkSize: try bundle.frameSize())
    var labels: [[UInt8]] = []
    for index in 0..<count {
      if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
      let range = index * pixels..<(index + 1) * pixels
      let frame = map.normalized(Array(volume.voxels[range]))
      labels.append(
        try segmenter.segment(frame, height: size.y, width: size.x, firstMask: known))
      Console.shared.progress(
        "\(input): frame \(index + 1)/\(count)", done: index + 1, total: count)
    }
    return EchoView(input: input, output: output, scan: scan, map: map, labels: labels)
  }

  private func mask(_ path: String, size: GridSize) throws -> [UInt8] {
    let scan = try ScanFile.read(path)
    let found = scan.volume.size
    guard found.x == size.x, found.y == size.y else {
      throw CommandFailure(
        code: ExitStatus.data, kind: "first_mask", what: "first mask of another size (\(path))",
        cause: "it has \(found.x) x \(found.y) pixels, a frame \(size.x) x \(size.y)",
        advice: "give the mask of the first frame on the clip's own grid", file: path)
    }
    if scan.nonFinite != nil {
      throw ImagingError.labelMapNotInteger(file: path, value: .nan)
    }
    return try scan.volume.voxels.prefix(size.x * size.y).map { value in
      guard value == value.rounded(), value.magnitude <= Float(LabelMap.largest) else {
        throw ImagingError.labelMapNotInteger(file: path, value: value)
      }
      let allowed = 0...model.configuration.objects
      guard allowed.contains(Int(value)), let label = UInt8(exactly: value) else {
        throw ImagingError.unexpectedLabel(
          file: path, label: Int(value), allowed: Array(allowed.dropFirst()))
      }
      return label
    }
  }

  private func write(_ view: EchoView) throws {
    let own = view.scan.volume
    let volume = Volume(
      voxels: view.labels.joined().map(Float.init), geometry: own.geometry,
      volumeCount: own.volumeCount)
    var options = NIfTIWriteOptions()
    options.dataType = .labels
    options.overwrite = overwrite
    options.inputs = inputs + firstMasks
    var source: NIfTISource?
    if case .nifti(let own) = view.scan.source { source = own }
    for warning in try NIfTI.write(volume, to: view.output, like: source, options: options) {
      Console.shared.detail("\(view.output): \(warning)")
    }
  }

  private func sidecar(of view: EchoView, seconds: Double) throws -> Sidecar {
    let labels = Set(view.labels.joined())
    let provenance = Sidecar.Provenance(
      arguments: sidecars.arguments, model: bundle.card.name,
      modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
      inputSHA256: try Sidecar.checksums(of: view.scan.files), seed: 0,
      threads: Engine.shared.threads, plane: "frames", backEnd: Engine.shared.backEnd,
      inputRange: view.scan.range,
      outputRange: [Float(labels.min() ?? 0), Float(labels.max() ?? 0)],
      nonFiniteVoxels: view.scan.nonFinite?.count ?? 0,
      warnings: view.scan.warnings.map { sidecars.message($0, naming: [view.input]) },
      elapsedSeconds: sidecars.reproducible ? nil : seconds,
      peakMemoryBytes: sidecars.reproducible ? nil : Memory.peak)
    return Sidecar(
      sources: [sidecars.path(view.input)], skullStripped: sidecars.skullStripped,
      resolution: "native grid of the input", restore: provenance)
  }

  /// A path in two: what stands before the ending of a NIfTI image, and the ending.
  private static func parts(of path: String) -> (base: String, ending: String) {
    for ending in [".nii.gz", ".nii"] where path.hasSuffix(ending) {
      return (String(path.dropLast(ending.count)), ending)
    }
    return (path, "")
  }
}
