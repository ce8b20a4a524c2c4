import Foundation
import Imaging
import Inference
import Models
import TensorCore

extension SegmentCommand {
  /// Finds disc and cup in photographs: a file, several, a folder, a pattern or a list.
  func segmentPhotographs(with bundle: ModelBundle) throws {
    guard let network = try bundle.loadModel() as? TVConvNet, network.outChannels == 2 else {
      throw CommandFailure(
        code: ExitStatus.configuration, kind: "model", what: "not a model that segments (\(model))",
        cause: "it does not have the two classes cup and disc",
        advice: "`restore models list` shows the models")
    }
    // Masks that lie beside the photographs of a folder are none; what is named is meant.
    let files = try input.flatMap { argument throws(CommandFailure) in
      let found = try ItemList.inputs(argument)
      return found == [argument] ? found : found.filter { !$0.hasSuffix("_mask.png") }
    }
    guard !files.isEmpty else { throw ImagingError.noImages(folder: input.joined(separator: ", ")) }
    let job = FundusJob(
      bundle: bundle,
      segmenter: FundusSegmenter(network, normalization: bundle.card.normalization),
      overwrite: many.overwrite, sidecars: sidecars)
    let isFile = files.count == 1 && output.lowercased().hasSuffix(".png")
    let targets = files.map { isFile ? output : "\(output)/\(ImageFormat.stem(of: $0)).png" }
    try OutputPaths.requireDistinct(targets.flatMap(job.outputs))
    let items = zip(files, targets).map { ItemList.Item(input: $0, output: $1) }
    func exists(_ item: ItemList.Item) -> Bool {
      FileManager.default.fileExists(atPath: item.output)
    }
    for item in items {
      let (file, target) = (item.input, item.output)
      guard ImageFormat(path: file) == .png else {
        throw ImagingError.unsupportedFormat(file: file, reason: "photographs are PNG files")
      }
      if many.skipExisting, exists(item) { continue }
      for path in job.outputs(target) where FileManager.default.fileExists(atPath: path) {
        try AtomicFile.checkOutput(path: path, overwrite: many.overwrite, inputs: files)
      }
    }
    if !isFile {
      do {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
      } catch {
        throw ImagingError.cannotCreate(file: output, reason: error.localizedDescription)
      }
    }
    var done = 0
    let outcome = try many.forEach(items, output: \.output, exists: exists) { item in
      defer { done += 1 }
      let found = try job.run(item.input, to: item.output)
      Console.shared.progress(
        "photograph \(done + 1)/\(files.count)", done: done + 1, total: files.count)
      return found
    }
    if common.json {
      Console.shared.result(SegmentDocument(outcome))
      return try outcome.check()
    }
    var table = TextTable([
      "photograph", "vertical CDR", "horizontal CDR", "disc", "cup", "rim", "part seen",
    ])
    for item in outcome.reports {
      func text(_ value: Double?) -> String { value.map { String(format: "%.3f", $0) } ?? "-" }
      let sizes = item.measures
      table.append([
        item.name, text(item.verticalRatio), text(item.horizontalRatio), "\(sizes.discArea)",
        "\(sizes.cupArea)", "\(sizes.rimArea)",
        item.region.map { "\($0.side) at \($0.x),\($0.y) (\(item.origin.rawValue))" } ?? "none",
      ])
    }
    Console.shared.result(
      ["# areas in pixels; CDR = cup by disc; research use only"] + table.lines())
    try outcome.check()
  }
}

/// Segments one photograph after the other and writes what belongs to each.
struct FundusJob {
  let bundle: ModelBundle
  let segmenter: FundusSegmenter
  let overwrite: Bool
  let sidecars: SidecarOptions

  /// What was found in a photograph.
  struct Case: Encodable {
    let name: String
    var output: String
    let verticalRatio: Double?
    let horizontalRatio: Double?
    let areaRatio: Double?
    let measures: OpticDiscMeasures
    let region: FundusRegion?
    let origin: FundusSegmentation.Origin
    let confidence: Double?
  }

  private struct Description: Encodable {
    let sources: [String]
    let skullStripped: Bool
    let resolution: String
    let opticDisc: Case
    let restore: Sidecar.Provenance

    enum CodingKeys: String, CodingKey {
      case sources = "Sources"
      case skullStripped = "SkullStripped"
      case resolution = "Resolution"
      case opticDisc = "OpticDisc"
      case restore = "Restore"
    }
  }

  /// Labels, `…_overlay.png` and, if it is wanted, `….json`.
  func outputs(_ output: String) -> [String] {
    let base = output.hasSuffix(".png") ? String(output.dropLast(4)) : output
    return [output, base + "_overlay.png"] + (sidecars.noSidecar ? [] : [base + ".json"])
  }

  /// Writes all ``outputs(_:)``.
  func run(_ file: String, to output: String) throws -> Case {
    let start = Date()
    let paths = outputs(output)
    for path in paths {
      try AtomicFile.checkOutput(path: path, overwrite: overwrite, inputs: [file])
    }
    let image = try PNGImage(contentsOf: file).pixels()
    for warning in image.warnings { Console.shared.warning("\(file): \(warning)") }
    let found = try segmenter.segment(image, file: file)
    let measures = OpticDiscMeasures(labels: found.labels, width: image.width)
    var warnings: [String] = []
    if measures.discArea == 0 { warnings.append("no disc was found") }
    warnings.forEach { Console.shared.warning("\(file): \($0)") }
    let result = Case(
      name: ImageFormat.stem(of: file), output: output, verticalRatio: measures.verticalRatio,
      horizontalRatio: measures.horizontalRatio, areaRatio: measures.areaRatio,
      measures: measures, region: found.region, origin: found.origin, confidence: found.confidence)
    let scale = 255 / Float((1 << image.bitDepth) - 1)
    var overlay = LabelOverlay(
      image.values.map { $0 * scale }, height: image.height, width: image.width)
    overlay.outline(found.labels.map(Int32.init))
    let labels = found.labels.map(Float.init)
    let provenance = Sidecar.Provenance(
      arguments: sidecars.arguments, model: bundle.card.name,
      modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
      inputSHA256: try Sidecar.checksums(of: [file]), seed: 0,
      threads: Engine.shared.threads, plane: "photograph", tile: nil, overlap: nil,
      backEnd: Engine.shared.backEnd,
      inputRange: [image.values.min() ?? 0, image.values.max() ?? 0],
      outputRange: [labels.min() ?? 0, labels.max() ?? 0], nonFiniteVoxels: 0, warnings: warnings,
      elapsedSeconds: sidecars.reproducible ? nil : -start.timeIntervalSinceNow,
      peakMemoryBytes: sidecars.reproducible ? nil : Memory.peak)
    var described = result
    described.output = sidecars.path(output)
    let description = Description(
      sources: [sidecars.path(file)], skullStripped: sidecars.skullStripped,
      resolution: "native grid of the input", opticDisc: described, restore: provenance)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let text = try encoder.encode(description) + Data("\n".utf8)
    try OutputPaths.allOrNone(paths) {
      try PNGImage(
        samples: found.labels.map(UInt16.init), height: image.height, width: image.width,
        colour: .grey, bitDepth: 8
      ).write(to: output, overwrite: overwrite, inputs: [file])
      try overlay.image.write(to: paths[1], overwrite: overwrite, inputs: [file])
      if !sidecars.noSidecar {
        try AtomicFile.write([UInt8](text), to: paths[2], overwrite: overwrite, inputs: [file])
      }
    }
    return result
  }
}
