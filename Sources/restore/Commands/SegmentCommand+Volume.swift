import Foundation
import Imaging
import Inference
import Models

extension SegmentCommand {
  /// Segments images with a U-Net and the plan of its dataset.
  ///
  /// The input is the channels of one image, or a folder of images in the layout of nnU-Net.
  func segmentVolumes(with bundle: ModelBundle) throws {
    let segmenter = try bundle.volumeSegmenter(called: model)
    let segmentation = VolumeSegmentation(
      bundle: bundle, segmenter: segmenter, sidecars: sidecars)
    let plan = segmenter.plan
    var isFolder: ObjCBool = false
    let isMany =
      input.count == 1
      && FileManager.default.fileExists(atPath: input[0], isDirectory: &isFolder)
      && isFolder.boolValue
    let items: [VolumeSegmentation.Item]
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
    try check(items, segmentation)
    var done = 0
    let outcome = try many.forEach(items, output: \.target, exists: Self.isDone) { item in
      defer { done += 1 }
      let found = try segmentation.segment(item)
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

  private static func isDone(_ item: VolumeSegmentation.Item) -> Bool {
    FileManager.default.fileExists(atPath: item.target)
  }

  private func volumeItem(
    _ name: String, _ images: [String], to target: String, _ plan: SegmentationPlan
  ) -> VolumeSegmentation.Item {
    VolumeSegmentation.Item(
      name: name, images: images, target: target,
      maps: probabilities
        ? plan.labels.map { probabilityPath(of: $0.name, beside: target) } : [],
      overwrite: many.overwrite)
  }

  /// Refuses outputs at once, before minutes of work: also those that would replace another item's image.
  private func check(
    _ items: [VolumeSegmentation.Item], _ segmentation: VolumeSegmentation
  ) throws {
    let inputs = items.flatMap(\.images)
    let wanted = items.filter { !(many.skipExisting && Self.isDone($0)) }
    try OutputPaths.requireDistinct(wanted.flatMap(segmentation.files))
    for item in wanted {
      try ScanFile.checkFormat(ofOutput: item.target, for: item.images[0])
      for path in segmentation.files(of: item) {
        try AtomicFile.checkOutput(path: path, overwrite: many.overwrite, inputs: inputs)
      }
    }
  }

  /// Where the probability of a structure goes: beside the labels, with its name.
  private func probabilityPath(of name: String, beside target: String) -> String {
    let ending = ImageFormat(path: target) == .png ? ".png" : ".nii.gz"
    let folder = target.lastIndex(of: "/").map { String(target[...$0]) } ?? ""
    let safe = String(name.map { $0.isLetter || $0.isNumber || $0 == "-" ? $0 : "_" })
    return folder + ImageFormat.stem(of: target) + "_probability_" + safe + ending
  }
}

extension ModelBundle {
  /// The network of a bundle with the plan of its dataset.
  ///
  /// - Parameter name: What the user called the model.
  /// - Returns: What segments volumes.
  /// - Throws: A failure with code 78 if the bundle has no plan; what loading throws.
  func volumeSegmenter(called name: String) throws -> VolumeSegmenter {
    guard let plan = card.plan, let network = try loadModel() as? UNet else {
      throw CommandFailure(
        code: ExitStatus.configuration, kind: "model", what: "not a model that segments (\(name))",
        cause: "its card has no plan", advice: "`restore models list` shows the models")
    }
    return try VolumeSegmenter(network, plan: plan)
  }
}
