import Foundation
import Imaging
import Inference
import Models
import TensorCore

extension SegmentCommand {
  /// Segments images with a U-Net and the plan of its dataset.
  ///
  /// The input is the channels of one image, or a folder of images in the layout of nnU-Net.
  func segmentVolumes(with bundle: ModelBundle) throws {
    guard let plan = bundle.card.plan, let network = try bundle.loadModel() as? UNet else {
      throw CommandFailure(
        code: ExitStatus.configuration, kind: "model", what: "not a model that segments (\(model))",
        cause: "its card has no plan", advice: "`restore models list` shows the models")
    }
    let segmenter = try VolumeSegmenter(network, plan: plan)
    var isFolder: ObjCBool = false
    let isMany =
      input.count == 1
      && FileManager.default.fileExists(atPath: input[0], isDirectory: &isFolder)
      && isFolder.boolValue
    let items: [VolumeItem]
    if isMany {
      items = try NNUNetFolder.images(in: input[0]).map { item in
        let ending = ImageFormat(path: item.images[0]) == .png ? ".png" : ".nii.gz"
        return volumeItem(
          item.name, item.images, to: "\(output)/\(item.name)\(ending)", plan)
      }
      do {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
      } catch {
        throw ImagingError.cannotCreate(file: output, reason: error.localizedDescription)
      }
    } else {
      items = [volumeItem(ImageFormat.stem(of: input[0]), input, to: output, plan)]
    }
    try check(items)
    var done = 0
    let outcome = try many.forEach(items, output: \.target, exists: \.isDone) { item in
      defer { done += 1 }
      let found = try segment(item, segmenter, bundle)
      if isMany {
        Console.shared.progress(
          "image \(done + 1)/\(items.count)", done: done + 1, total: items.count)
      }
      return found
    }
    if common.json {
      Console.shared.result(SegmentDocument(outcome))
      return try outcome.check()
    }
    var table = TextTable(["image", "structure", "voxels", "ml"])
    for item in outcome.reports {
      for label in item.structures {
        table.append([
          item.name, label.name, "\(label.voxels)", String(format: "%.3f", label.milliliters),
        ])
      }
    }
    Console.shared.result(["# research use only"] + table.lines())
    try outcome.check()
  }

  /// One image and what is written of it.
  private struct VolumeItem {
    let name: String
    /// One file a channel.
    let images: [String]
    /// The labels.
    let target: String
    /// The probability of each structure, if they are wanted.
    let maps: [String]
    /// Both, and their sidecars.
    let outputs: [String]

    var isDone: Bool { FileManager.default.fileExists(atPath: target) }
  }

  private func volumeItem(
    _ name: String, _ images: [String], to target: String, _ plan: SegmentationPlan
  ) -> VolumeItem {
    let maps = probabilities ? plan.labels.map { probabilityPath(of: $0.name, beside: target) } : []
    let written = [target] + maps
    return VolumeItem(
      name: name, images: images, target: target, maps: maps,
      outputs: written + (sidecars.noSidecar ? [] : written.map(Sidecar.path(besides:))))
  }

  /// Refuses outputs at once, before minutes of work: also those that would replace another item's image.
  private func check(_ items: [VolumeItem]) throws {
    let inputs = items.flatMap(\.images)
    let wanted = items.filter { !(many.skipExisting && $0.isDone) }
    try OutputPaths.requireDistinct(wanted.flatMap(\.outputs))
    for item in wanted {
      try ScanFile.checkFormat(ofOutput: item.target, for: item.images[0])
      for path in item.outputs {
        try AtomicFile.checkOutput(path: path, overwrite: many.overwrite, inputs: inputs)
      }
    }
  }

  /// What was found in one image.
  private struct VolumeCase: Encodable {
    struct Structure: Encodable {
      let name: String
      let label: Int
      let voxels: Int
      let milliliters: Double
    }

    let name: String
    let output: String
    let probabilities: [String]
    let structures: [Structure]
  }

  private func segment(
    _ item: VolumeItem, _ segmenter: VolumeSegmenter, _ bundle: ModelBundle
  ) throws -> VolumeCase {
    let start = Date()
    let plan = segmenter.plan
    let (volumes, scans) = try SegmentationPreprocessor.read(
      item.images, channels: plan.channels.count)
    let first = scans[0]
    for scan in scans {
      for warning in scan.warnings { Console.shared.warning("\(scan.path): \(warning)") }
    }
    let found = try segmenter.segment(volumes, file: item.images[0]) { part in
      Console.shared.progress(
        "\(item.name): \(Int(part * 100)) %", done: Int(part * 1000), total: 1000)
      return Interruption.signal != nil
    }
    let map = found.labels
    let voxel = map.geometry.voxelVolume / 1000
    let structures = plan.labels.map { label in
      let count = map.mask(of: label.value).count
      return VolumeCase.Structure(
        name: label.name, label: label.value, voxels: count, milliliters: Double(count) * voxel)
    }
    let lowest: Float = volumes.compactMap { $0.voxels.min() }.min() ?? 0
    let highest: Float = volumes.compactMap { $0.voxels.max() }.max() ?? 0
    try OutputPaths.allOrNone(item.outputs) {
      try write(map, to: item.target, like: first, inputs: item.images)
      for (label, path) in zip(plan.labels, item.maps) {
        try write(
          found.probability(of: label.value), to: path, like: first, inputs: item.images)
      }
      guard !sidecars.noSidecar else { return }
      let provenance = Sidecar.Provenance(
        arguments: sidecars.arguments, model: bundle.card.name,
        modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
        inputSHA256: try Sidecar.checksums(of: item.images), seed: 0,
        threads: Engine.shared.threads, plane: plan.axes == 3 ? "volume" : "slices",
        tile: plan.patch, overlap: 0.5, backEnd: Engine.shared.backEnd,
        inputRange: [lowest, highest],
        outputRange: [0, Float(map.present.last ?? 0)],
        nonFiniteVoxels: scans.reduce(0) { $0 + ($1.nonFinite?.count ?? 0) },
        warnings: scans.flatMap { scan in
          scan.warnings.map {
            sidecars.message("\(scan.path): \($0)", naming: [scan.path])
          }
        },
        elapsedSeconds: sidecars.reproducible ? nil : -start.timeIntervalSinceNow,
        peakMemoryBytes: sidecars.reproducible ? nil : Memory.peak)
      for (index, image) in ([item.target] + item.maps).enumerated() {
        var own = provenance
        if index > 0 { own.outputRange = [0, 1] }
        try Sidecar(
          sources: item.images.map(sidecars.path), skullStripped: sidecars.skullStripped,
          resolution: "native grid of the input", restore: own
        ).write(to: Sidecar.path(besides: image))
      }
    }
    return VolumeCase(
      name: item.name, output: item.target, probabilities: item.maps, structures: structures)
  }

  private func write(
    _ map: LabelMap, to target: String, like first: ScanFile, inputs: [String]
  ) throws {
    if ImageFormat(path: target) == .png {
      let size = map.geometry.size
      guard size.z == 1 else {
        throw ImagingError.unsupportedFormat(
          file: target, reason: "a PNG holds one slice, not \(size.z)")
      }
      return try PNGImage(
        samples: map.labels.map { UInt16($0) }, height: size.y, width: size.x, colour: .grey,
        bitDepth: 8
      ).write(to: target, overwrite: many.overwrite, inputs: inputs)
    }
    try write(
      Volume(voxels: map.labels.map(Float.init), geometry: map.geometry), as: .labels, to: target,
      like: first, inputs: inputs)
  }

  /// Where the probability of a structure goes: beside the labels, with its name.
  private func probabilityPath(of name: String, beside target: String) -> String {
    let ending = ImageFormat(path: target) == .png ? ".png" : ".nii.gz"
    let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
    let safe = String(name.map { $0.isLetter || $0.isNumber || $0 == "-" ? $0 : "_" })
    return folder + ImageFormat.stem(of: target) + "_probability_" + safe + ending
  }

  /// A probability, in pictures as 16 bits: 65535 for 1.
  private func write(
    _ probability: Volume, to target: String, like first: ScanFile, inputs: [String]
  ) throws {
    guard ImageFormat(path: target) == .png else {
      return try write(probability, as: .float32, to: target, like: first, inputs: inputs)
    }
    let size = probability.size
    try PNGImage.rounding(
      probability.voxels.map { $0 * 65535 }, height: size.y, width: size.x, colour: .grey,
      bitDepth: 16
    ).image.write(to: target, overwrite: many.overwrite, inputs: inputs)
  }

  private func write(
    _ volume: Volume, as type: OutputDataType, to target: String, like first: ScanFile,
    inputs: [String]
  ) throws {
    var options = NIfTIWriteOptions()
    options.dataType = type
    options.overwrite = many.overwrite
    options.inputs = inputs
    var source: NIfTISource?
    if case .nifti(let own) = first.source { source = own }
    for warning in try NIfTI.write(volume, to: target, like: source, options: options) {
      Console.shared.detail("\(target): \(warning)")
    }
  }
}
