import Imaging
import Inference
import Models

/// What a model takes of a BIDS dataset, and what is made of it.
struct BIDSRecipe {
  /// What is made.
  enum Product: Equatable {
    /// An image like the one that went in.
    case restored
    /// A mask and its probability.
    case lesions
    /// Labels, and probabilities if they are wanted; the structures by number.
    case structures([NNUNetFolder.Label], probabilities: Bool)
  }

  /// A group of images and what is written of it, all paths from the folders of the datasets.
  struct Case: Equatable {
    let inputs: [BIDSFolder.Image]
    /// The restored image, or the labels.
    let output: String
    /// The probability of each structure.
    let maps: [String]
    /// The names of the labels; nil where there are none.
    let table: String?

    /// All images.
    var images: [String] { [output] + maps }
    /// All files, those that say how images were made among them.
    var files: [String] {
      images + images.map(Sidecar.path(besides:)) + (table.map { [$0] } ?? [])
    }
    /// Where the files go.
    var folder: String { inputs[0].folder }
  }

  let product: Product
  /// The suffixes of the images that go in, as in `T1w`.
  let suffixes: [String]
  /// The label that says by what a label map was made.
  private let modelLabel: String

  /// What a model takes and makes.
  ///
  /// - Parameters:
  ///   - card: The model's.
  ///   - model: What the user called it.
  ///   - modality: The suffix that the user wants; nil for what the card says.
  ///   - probabilities: Whether probabilities are wanted where they are not always made.
  /// - Throws: A usage failure for a model that takes what BIDS has not, or for options that do not fit.
  init(
    card: ModelCard, model: String, modality: String?, probabilities: Bool
  ) throws(CommandFailure) {
    modelLabel = BIDSName.label(from: card.name)
    let channels: [String]
    switch (card.task, card.network.architecture.architecture) {
    case (.restore, _):
      (product, channels) = (.restored, [card.inputs["image"]?.modality ?? ""])
      if probabilities {
        throw Self.misfit("--probabilities", model, "it makes images, not labels")
      }
    case (.segment, StrokeSystem.architecture):
      product = .lesions
      let definition = card.inputs["image"]?.channelDef ?? [:]
      channels = definition.sorted { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }.map(\.value)
    case (.segment, UNet.architecture):
      product = .structures(card.plan?.labels ?? [], probabilities: probabilities)
      channels = card.plan?.channels.map(\.name) ?? []
    default:
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "model does not fit bids (\(model))",
        cause: "it segments clips of ultrasound or photographs, and bids takes volumes",
        advice: "use `restore segment` for them")
    }
    suffixes = try Self.suffixes(of: channels, model: model, modality: modality)
  }

  /// What the groups of images of a participant are and become.
  ///
  /// - Parameters:
  ///   - participant: Who.
  ///   - sessions: The labels of the sessions that count; nil for all.
  /// - Returns: None if there is no image that the model takes.
  /// - Throws: ``ImagingError`` of images that are alone.
  func cases(
    of participant: BIDSFolder.Participant, sessions: Set<String>?
  ) throws(ImagingError) -> [Case] {
    try participant.groups(of: suffixes, sessions: sessions).map(makeCase)
  }

  private func makeCase(of inputs: [BIDSFolder.Image]) -> Case {
    let (name, folder) = (inputs[0].name, inputs[0].folder)
    func image(_ name: BIDSName) -> String { "\(folder)/\(name.stem).nii.gz" }
    let probability = name.replacingSuffix(with: "probseg")
    switch product {
    case .restored:
      return Case(
        inputs: inputs, output: image(name.setting("desc", to: "restored")), maps: [], table: nil)
    case .lesions:
      return Case(
        inputs: inputs,
        output: image(name.replacingSuffix(with: "mask").setting("label", to: "lesion")),
        maps: [image(probability.setting("label", to: "lesion"))], table: nil)
    case .structures(let labels, let wantsMaps):
      let isOne = labels.count == 1
      let maps = labels.map { label in
        let own = probability.setting("label", to: BIDSName.label(from: label.name))
        return image(isOne ? own : own.setting("desc", to: modelLabel))
      }
      let output =
        isOne
        ? name.replacingSuffix(with: "mask")
          .setting("label", to: BIDSName.label(from: labels[0].name))
        : name.replacingSuffix(with: "dseg").setting("desc", to: modelLabel)
      return Case(
        inputs: inputs, output: image(output), maps: wantsMaps ? maps : [],
        table: isOne ? nil : "\(folder)/\(output.stem).tsv")
    }
  }

  // MARK: - What goes in

  /// The suffixes that images of a kind have in BIDS.
  ///
  /// There is none for CT: `ct` is what proposals use.
  private static let known = [
    "t1": "T1w", "t1w": "T1w", "t2": "T2w", "t2w": "T2w", "pd": "PDw", "pdw": "PDw",
    "flair": "FLAIR", "t2star": "T2starw", "t2starw": "T2starw", "mr": "T1w", "mri": "T1w",
    "ct": "ct", "pt": "pet", "pet": "pet",
  ]

  private static func suffixes(
    of channels: [String], model: String, modality: String?
  ) throws(CommandFailure) -> [String] {
    if let modality {
      guard channels.count == 1 else {
        throw misfit("--modality", model, "it takes \(channels.joined(separator: " and "))")
      }
      return [modality]
    }
    var result: [String] = []
    for channel in channels {
      // A model of several kinds, as in CT+MR+PT, takes the first that BIDS has in the folder `anat`.
      let kinds = channel.lowercased().split(separator: "+").map(String.init)
      let kind = kinds.contains("mr") ? "mr" : kinds.first ?? ""
      guard let suffix = known[kind] else {
        throw CommandFailure(
          code: ExitStatus.usage, kind: "usage", what: "model does not fit bids (\(model))",
          cause: "no image of BIDS is known for its channel `\(channel)`",
          advice: channels.count == 1
            ? "say with --modality what it takes, as in T1w" : "use `restore segment`")
      }
      result.append(suffix)
    }
    guard !result.isEmpty, Set(result).count == result.count else {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "model does not fit bids (\(model))",
        cause: "its channels [\(channels.joined(separator: ", "))] are not images of their own",
        advice: "use `restore segment`")
    }
    return result
  }

  /// The failure for an option that a model has no use for.
  static func misfit(_ option: String, _ model: String, _ cause: String) -> CommandFailure {
    CommandFailure(
      code: ExitStatus.usage, kind: "usage", what: "\(option) does not fit the model (\(model))",
      cause: cause, advice: "leave the option out")
  }
}
