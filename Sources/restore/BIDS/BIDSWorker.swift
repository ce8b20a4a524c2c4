import Foundation
import Imaging
import Inference
import Models
import TensorCore

/// Makes what belongs to one group of images after another, with one network.
struct BIDSWorker {
  private enum Network {
    case restoration(RestorationJob)
    case lesions(StrokeSystem)
    case structures(VolumeSegmentation)
  }

  let bundle: ModelBundle
  let dataset: String
  let output: BIDSOutput
  let settings: RestorationSettings
  private let network: Network

  /// What was made.
  struct Made: Encodable {
    let participant: String
    /// From the folder of the dataset.
    let inputs: [String]
    /// From the folder of the results.
    let outputs: [String]

    /// The line for people.
    var line: String { "\(inputs.joined(separator: ", ")) -> \(outputs.joined(separator: ", "))" }
  }

  /// Loads the network.
  ///
  /// - Parameters:
  ///   - command: The command line.
  ///   - bundle: The model.
  ///   - product: What it makes.
  ///   - output: Where results go.
  /// - Throws: What loading throws; a usage failure for options that the model has no use for.
  init(
    _ command: BIDSCommand, _ bundle: ModelBundle, _ product: BIDSRecipe.Product,
    _ output: BIDSOutput
  ) throws {
    (self.bundle, self.output, dataset) = (bundle, output, command.dataset)
    settings = RestorationSettings(
      slices: command.slices, files: command.files, sidecars: command.sidecars, overwrite: true,
      dryRun: command.dryRun)
    if product == .restored {
      try command.slices.requireFit(of: bundle, command.model)
      network = .restoration(
        RestorationJob(
          settings: settings, bundle: bundle,
          restorer: try VolumeRestorer(bundle, precision: command.precision.available)))
      return
    }
    for (isGiven, options) in [
      (command.slices.isChanged, "options of slices and tiles"),
      (command.files.isChanged, "options of reading, writing and memory"),
      (command.precision != .float32, "--precision"),
    ] where isGiven {
      throw BIDSRecipe.misfit(options, command.model, "only models that restore take them")
    }
    if let system = try bundle.loadModel() as? StrokeSystem {
      network = .lesions(system)
    } else {
      network = .structures(
        VolumeSegmentation(
          bundle: bundle, segmenter: try bundle.volumeSegmenter(called: command.model),
          sidecars: command.sidecars))
    }
  }

  /// Reads, computes and writes; a dry run only says what it would do.
  ///
  /// - Parameters:
  ///   - item: The images.
  ///   - label: Whose they are.
  ///   - isBegun: Whether an earlier run began with the participant.
  /// - Returns: What was made.
  /// - Throws: What reading, the network and writing throw; nothing that was written is then left.
  func make(
    _ item: BIDSRecipe.Case, of label: String, isBegun: Bool
  ) throws -> Made {
    let inputs = item.inputs.map { "\(dataset)/\($0.path)" }
    if !settings.dryRun {
      try output.makeFolder(output.path(of: item.folder))
      for file in item.files {
        try AtomicFile.checkOutput(path: output.path(of: file), overwrite: true, inputs: inputs)
      }
      output.removeOwn(item, isBegun: isBegun)
    }
    try OutputPaths.allOrNone(item.files.map(output.path(of:))) { try run(item, inputs) }
    return Made(
      participant: "sub-\(label)", inputs: item.inputs.map(\.path), outputs: item.images)
  }

  private func run(_ item: BIDSRecipe.Case, _ inputs: [String]) throws {
    let target = output.path(of: item.output)
    switch network {
    case .restoration(let job):
      _ = try job.run(ItemList.Item(input: inputs[0], output: target))
    case _ where settings.dryRun:
      Console.shared.info("\(inputs.joined(separator: ", ")): to be segmented")
    case .lesions(let system):
      _ = try StrokeSegmentation(
        system: system, bundle: bundle, inputs: inputs, output: target, overwrite: true,
        sidecars: settings.sidecars, probability: output.path(of: item.maps[0])
      ).run()
    case .structures(let segmentation):
      if let table = item.table {
        try AtomicFile.write(
          Data(Self.table(of: segmentation.segmenter.plan.labels).utf8),
          to: output.path(of: table), overwrite: true)
      }
      _ = try segmentation.segment(
        VolumeSegmentation.Item(
          name: item.inputs[0].name.stem, images: inputs, target: target,
          maps: item.maps.map(output.path(of:)), overwrite: true))
    }
  }

  /// What the numbers of a label map mean, as BIDS has it.
  private static func table(of labels: [NNUNetFolder.Label]) -> String {
    let rows = labels.map { label in
      // A tab or a line in a name would make another column or row.
      let name = label.name.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      return "\(label.value)\t\(name)\t\(LabelOverlay.colour(of: label.value))"
    }
    return (["index\tname\tcolor"] + rows).map { $0 + "\n" }.joined()
  }
}
