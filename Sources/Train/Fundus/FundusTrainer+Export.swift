import Foundation
import Imaging
import Inference
import Layers
import Models

extension FundusTrainer {
  /// Writes the best checkpoint as a model bundle into the run folder, its generated kernels kept, all
  /// weights in half precision.
  ///
  /// The card says what the configuration says; what the photographs were is the author's to complete.
  ///
  /// - Returns: The bundle's folder, `RUN/bundle`.
  /// - Throws: What reading the checkpoint and writing the files throws.
  public func exportBundle() throws -> String {
    let runFolder = loop.runFolder
    let folder = runFolder.path + "/bundle"
    model.setTraining(false)
    model.setRequiresGradient(false)
    try model.load(Safetensors(contentsOf: runFolder.exported))
    let network = try model.frozen()
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    var writer = SafetensorsWriter()
    for entry in network.state {
      if case .derived = entry.content { continue }
      if entry.name.hasSuffix("num_batches_tracked") { continue }
      writer.add(deployed: entry.tensor, named: entry.name)
    }
    try runFolder.write(writer.encoded(), to: folder + "/weights.safetensors")
    var metrics: [String: Double] = [:]
    if let best {
      metrics = ["validation_cup_dice": best.dice[0], "validation_disc_dice": best.dice[1]]
    }
    let card = ModelCard(
      name: configuration.model.name, version: "1.0.0", network: ModelDescription(network),
      interface: .photographs(size: network.configuration.imageSize),
      sizeMultiple: network.sizeMultiple,
      trainingData: "\(trainingCount) photographs of optic discs with masks, from "
        + "\(configuration.model.initialWeights.origin).",
      intendedUse: "Research on optic disc and cup in fundus photographs.",
      limitations: "Not for diagnosis or treatment. Not tested on images unlike the training data.",
      metrics: metrics,
      weightsSHA256: try SHA256.hexadecimal(ofFile: folder + "/weights.safetensors"),
      references: [
        "Chen et al., TVConv: Efficient Translation Variant Convolution for Layout-aware Visual "
          + "Processing, CVPR 2022, arXiv 2203.10489."
      ], license: "Apache-2.0")
    try card.write(toBundle: folder)
    return folder
  }
}
