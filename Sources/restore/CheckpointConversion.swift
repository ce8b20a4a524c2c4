import ArgumentParser
import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore

/// The options of `restore convert` that concern checkpoints.
struct CheckpointOptions: ParsableArguments {
  @Option(
    name: .long,
    help:
      "Architecture: \(ModelCatalogue.architectures.map { $0.architecture }.joined(separator: ", "))."
  )
  var arch: String?

  @Option(name: .long, help: "Named configuration of the architecture; by default the paper's.")
  var preset: String?

  @Option(name: .long, help: "JSON file of hyperparameters instead of a preset.")
  var hyperparameters: String?

  @Option(
    name: .long, help: "What the model was trained on: mri, ct or pet, by the authors' ranges.")
  var modality: Modality = .mri

  @Flag(
    name: .long, help: "Accept a checkpoint that lacks tensors; they keep their initial values.")
  var allowMissing = false

  /// The intensity ranges of the authors' programs.
  enum Modality: String, ExpressibleByArgument, CaseIterable {
    case mri, ct, pet
  }

  func validate() throws {
    if preset != nil && hyperparameters != nil {
      throw ValidationError("--preset and --hyperparameters exclude each other")
    }
  }
}

/// Makes a model bundle of a checkpoint.
struct CheckpointConversion {
  let input: String
  let output: String
  let options: CheckpointOptions
  let overwrite: Bool
  let isJSON: Bool

  private struct Document: Encodable {
    let ok = true
    let bundle: String
    let matched: [String]
    let missing: [String]
    let unexpected: [String]
    let mismatched: [String]
    let ignored: [String]
  }

  func run() throws {
    guard let arch = options.arch else {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "no architecture", cause: "--arch is missing",
        advice: "name one of \(ModelCatalogue.architectures.map { $0.architecture })")
    }
    let files = ["weights.safetensors", "README.md", "model.json"].map { output + "/" + $0 }
    if FileManager.default.fileExists(atPath: output) {
      for file in files {
        try AtomicFile.checkOutput(path: file, overwrite: overwrite, inputs: [input])
      }
    }
    let checkpoint = try TorchCheckpoint(contentsOf: input)
    var generator = SeededGenerator(seed: 0)
    let model = try description(arch).makeModel(using: &generator)
    let names = try load(checkpoint, into: model)
    try OutputPaths.allOrNone(files) { try write(model) }
    report(names, ignored: checkpoint.ignored)
  }

  private func description(_ arch: String) throws -> ModelDescription {
    if let file = options.hyperparameters {
      let data: Data
      do { data = try Data(contentsOf: URL(fileURLWithPath: file)) } catch {
        throw ImagingError.noSuchFile(file: file, reason: "the hyperparameters cannot be read")
      }
      guard let values = try? JSONSerialization.jsonObject(with: data) else {
        throw CommandFailure(
          code: ExitStatus.configuration, kind: "configuration",
          what: "invalid hyperparameters (\(file))", cause: "the file is not JSON",
          advice: "write an object such as {\"dim\": 48}", file: file)
      }
      let whole = try JSONSerialization.data(
        withJSONObject: ["arch": arch, "hyperparameters": values])
      do { return try JSONDecoder().decode(ModelDescription.self, from: whole) } catch {
        guard let reason = (error as? DecodingError)?.reason else { throw error }
        throw CommandFailure(
          code: ExitStatus.configuration, kind: "configuration",
          what: "invalid hyperparameters (\(file))", cause: reason,
          advice: "`restore models show` prints those of a model", file: file)
      }
    }
    if let preset = options.preset {
      return try ModelDescription(architecture: arch, preset: preset)
    }
    return try ModelDescription(
      architecture: arch, preset: Self.firstPreset(ModelCatalogue.architecture(named: arch)))
  }

  private static func firstPreset(_ type: (some RestorationModel).Type) -> String {
    type.Configuration.presets.first?.name ?? ""
  }

  /// Loads what fits; returns which names do, and which keep their initial values.
  ///
  /// Names and shapes are compared first: tensors that share their elements are small in the file alone.
  private func load(
    _ checkpoint: TorchCheckpoint, into model: any RestorationModel
  ) throws -> StateNames {
    let comparison = model.compare(with: checkpoint)
    let names = StateNames(comparison)
    if options.allowMissing, comparison.matched.isEmpty, comparison.misshapen.isEmpty {
      throw CommandFailure(
        code: ExitStatus.data, kind: "state-mismatch",
        what: "checkpoint does not fit the model (\(input))",
        cause: "none of the model's tensors is in it", advice: "check --arch", file: input,
        names: names)
    }
    do throws(LayerError) {
      try model.load(checkpoint, allowsMissing: options.allowMissing)
    } catch {
      guard case .stateMismatch = error else { throw error }
      let shown = "\(error)".split(separator: "\n").dropFirst().joined(separator: "\n")
      throw CommandFailure(
        code: ExitStatus.data, kind: "state-mismatch",
        what: "checkpoint does not fit the model (\(input))", cause: names.counts + "\n" + shown,
        advice:
          "check --arch and --preset or --hyperparameters; --allow-missing fills what is missing",
        file: input, names: names)
    }
    return names
  }

  private func write(_ model: any RestorationModel) throws {
    do {
      try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    } catch {
      throw ImagingError.cannotCreate(file: output, reason: error.localizedDescription)
    }
    var writer = SafetensorsWriter()
    for entry in model.state {
      if case .derived = entry.content { continue }
      writer.add(entry.tensor, named: entry.name)
    }
    let weights = output + "/weights.safetensors"
    try AtomicFile.write(
      [UInt8](writer.encoded()), to: weights, overwrite: overwrite, inputs: [input])
    let name = output.split(separator: "/").last.map(String.init) ?? "model"
    var card = ModelCard(
      name: name, version: "1.0.0", network: ModelDescription(model),
      interface: interface(of: model),
      sizeMultiple: model.sizeMultiple,
      trainingData: "Not stated by the checkpoint.",
      intendedUse: "Research; what the checkpoint's authors made it for.",
      limitations: "Not for diagnosis or treatment. Converted weights; not evaluated here.",
      metrics: [:], weightsSHA256: try SHA256.hexadecimal(ofFile: weights), references: [],
      license: "Not stated by the checkpoint.")
    card.convertedFrom = input.split(separator: "/").last.map(String.init)
    try card.write(toBundle: output, overwrite: overwrite, inputs: [input])
  }

  /// What the network takes and gives, as its authors' programs prepare it.
  private func interface(of model: any RestorationModel) -> ModelCard.Interface {
    switch model {
    case let model as GDKVM:
      // The size of the authors' trainings on CAMUS.
      return .clips(model.configuration, size: [256, 256])
    case let model as StrokeSystem: return .brains(channels: model.inChannels)
    case let model as TVConvNet where model.outChannels == 2:
      return .photographs(size: model.configuration.imageSize)
    default:
      let (code, normalization): (String, IntensityNormalization) =
        switch options.modality {
        case .mri: ("MR", .window(low: 0, high: 4095, clips: true))
        case .ct: ("CT", .window(low: -1024, high: 3072, clips: true))
        case .pet: ("PT", .window(low: 0, high: 20, clips: true))
        }
      return .restoration(modality: code, model, normalization: normalization)
    }
  }

  private func report(_ names: StateNames, ignored: [String]) {
    for name in names.missing { Console.shared.warning("\(name) keeps its initial value") }
    for name in ignored { Console.shared.warning("\(name) is no tensor and is left out") }
    if isJSON {
      Console.shared.result(
        Document(
          bundle: output, matched: names.matched, missing: names.missing,
          unexpected: names.unexpected, mismatched: names.mismatched, ignored: ignored))
    } else {
      Console.shared.result([names.counts, output])
    }
  }
}

/// The names of a checkpoint's and a model's tensors by how they fit, all of them.
struct StateNames: Equatable {
  /// Both have them, with equal shapes.
  let matched: [String]
  /// The checkpoint lacks them.
  let missing: [String]
  /// The model does not know them.
  let unexpected: [String]
  /// Their shapes differ.
  let mismatched: [String]

  init(_ comparison: StateComparison) {
    matched = comparison.matched
    missing = comparison.missing
    unexpected = comparison.surplus
    mismatched = comparison.misshapen.map { $0.name }
  }

  /// How many there are of each kind.
  var counts: String {
    "\(matched.count) matched, \(missing.count) missing, \(unexpected.count) unexpected, "
      + "\(mismatched.count) of another shape"
  }
}
