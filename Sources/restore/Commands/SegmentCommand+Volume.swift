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
    let items: [NNUNetFolder.Case]
    if isMany {
      items = try NNUNetFolder.images(in: input[0])
      do {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
      } catch {
        throw ImagingError.cannotCreate(file: output, reason: error.localizedDescription)
      }
    } else {
      items = [
        NNUNetFolder.Case(name: ImageFormat.stem(of: input[0]), images: input, labels: nil)
      ]
    }
    var cases: [VolumeCase] = []
    for (index, item) in items.enumerated() {
      let isPicture = ImageFormat(path: item.images[0]) == .png
      let target = isMany ? "\(output)/\(item.name)\(isPicture ? ".png" : ".nii.gz")" : output
      cases.append(try segment(item, to: target, segmenter, bundle))
      if isMany {
        Console.shared.progress(
          "image \(index + 1)/\(items.count)", done: index + 1, total: items.count)
      }
    }
    struct Document: Encodable {
      let ok = true
      let cases: [VolumeCase]
    }
    if common.json { return Console.shared.result(Document(cases: cases)) }
    var table = TextTable(["image", "structure", "voxels", "ml"])
    for item in cases {
      for label in item.structures {
        table.append([
          item.name, label.name, "\(label.voxels)", String(format: "%.3f", label.milliliters),
        ])
      }
    }
    Console.shared.result(["# research use only"] + table.lines())
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
    _ item: NNUNetFolder.Case, to target: String, _ segmenter: VolumeSegmenter,
    _ bundle: ModelBundle
  ) throws -> VolumeCase {
    if Interruption.signal != nil {
      throw Interruption.failure("run the same command again, with --overwrite")
    }
    let start = Date()
    try ScanFile.checkFormat(ofOutput: target, for: item.images[0])
    let plan = segmenter.plan
    let maps = probabilities ? plan.labels.map { probabilityPath(of: $0.name, beside: target) } : []
    let images = [target] + maps
    let outputs = images + (noSidecar ? [] : images.map(Sidecar.path(besides:)))
    try OutputPaths.requireDistinct(outputs)
    for path in outputs {
      try AtomicFile.checkOutput(path: path, overwrite: overwrite, inputs: item.images)
    }
    let (volumes, first) = try SegmentationPreprocessor.read(
      item.images, channels: plan.channels.count)
    for warning in first.warnings { Console.shared.warning("\(item.images[0]): \(warning)") }
    let found: VolumeSegmenter.Segmentation
    do {
      found = try segmenter.segment(volumes, file: item.images[0]) { part in
        Console.shared.progress(
          "\(item.name): \(Int(part * 100)) %", done: Int(part * 1000), total: 1000)
        return Interruption.signal != nil
      }
    } catch InferenceError.cancelled {
      throw Interruption.failure("run the same command again")
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
    try OutputPaths.allOrNone(outputs) {
      try write(map, to: target, like: first, inputs: item.images)
      for (label, path) in zip(plan.labels, maps) {
        try write(
          found.probability(of: label.value), to: path, like: first, inputs: item.images)
      }
      guard !noSidecar else { return }
      let provenance = Sidecar.Provenance(
        arguments: Sidecar.arguments(full: false), model: bundle.card.name,
        modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
        inputSHA256: try Sidecar.checksums(of: item.images), seed: 0,
        threads: Engine.shared.threads, plane: plan.axes == 3 ? "volume" : "slices",
        tile: plan.patch, overlap: 0.5, backEnd: Engine.shared.backEnd,
        inputRange: [lowest, highest],
        outputRange: [0, Float(map.present.last ?? 0)],
        nonFiniteVoxels: first.nonFinite?.count ?? 0,
        warnings: first.warnings, elapsedSeconds: -start.timeIntervalSinceNow,
        peakMemoryBytes: Memory.peak)
      for (index, image) in images.enumerated() {
        var own = provenance
        if index > 0 { own.outputRange = [0, 1] }
        try Sidecar(
          sources: item.images.map(Sidecar.withoutFolders), skullStripped: false,
          resolution: "native grid of the input", restore: own
        ).write(to: Sidecar.path(besides: image))
      }
    }
    return VolumeCase(
      name: item.name, output: target, probabilities: maps, structures: structures)
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
      ).write(to: target, overwrite: overwrite, inputs: inputs)
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
    ).image.write(to: target, overwrite: overwrite, inputs: inputs)
  }

  private func write(
    _ volume: Volume, as type: OutputDataType, to target: String, like first: ScanFile,
    inputs: [String]
  ) throws {
    var options = NIfTIWriteOptions()
    options.dataType = type
    options.overwrite = overwrite
    options.inputs = inputs
    var source: NIfTISource?
    if case .nifti(let own) = first.source { source = own }
    for warning in try NIfTI.write(volume, to: target, like: source, options: options) {
      Console.shared.detail("\(target): \(warning)")
    }
  }
}
