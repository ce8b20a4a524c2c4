import ArgumentParser
import Foundation
import Imaging
import Inference
import TensorCore

/// `restore bids`: restores or segments a BIDS dataset.
///
/// What is read and made follows from the model (``BIDSRecipe``); the two levels stand in
/// `BIDSCommand+Levels.swift`.
struct BIDSCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bids", abstract: "Restore or segment a BIDS dataset (a BIDS App).",
    discussion: """
      The level participant makes of every image that the model takes a restored image, a mask or labels, with a \
      page OUT_DIR/sub-LABEL.html that is written last: whoever has one is done, and is left out by later runs \
      unless --overwrite is given. Several jobs may share OUT_DIR. The level group gathers what participants \
      left in OUT_DIR/group_metrics.tsv. BIDS_DIR is never written.

      Models that restore take one modality: T1w, for PET pet, for CT ct (BIDS has no CT: name the suffix of the \
      files with --modality). stroke-2.5d takes T1w and FLAIR of the same session, without the skull.
      """)

  /// What is done.
  enum Level: String, ExpressibleByArgument, CaseIterable {
    case participant, group
  }

  @Argument(help: "The folder of the dataset.") var dataset: String
  @Argument(help: "The folder of the results, a dataset of derivatives; not among the raw data.")
  var output: String
  @Argument(help: "participant or group.") var level: Level

  @Option(name: .shortAndLong, help: "Model bundle: a name or a path, of a folder or a zip file.")
  var model: String

  @Option(
    name: [.customLong("participant-label"), .customLong("participant_label")],
    parsing: .upToNextOption, help: "Participants, with or without sub-; all by default.")
  var participants: [String] = []

  @Option(
    name: [.customLong("session-label"), .customLong("session_label")], parsing: .upToNextOption,
    help: "Sessions, with or without ses-; all by default.")
  var sessions: [String] = []

  @Option(
    name: .long, help: "The suffix of the images, as in T1w; by default as the model says.")
  var modality: String?

  @Flag(
    name: [.customLong("skip-bids-validation"), .customLong("skip_bids_validation")],
    help: "Do not ask for dataset_description.json, and leave out files that are named otherwise.")
  var skipsValidation = false

  @Flag(
    name: .long,
    help: "Also write the probability of each structure; those of lesions are always written.")
  var probabilities = false

  @OptionGroup(title: "Slices and tiles") var slices: SliceOptions
  @OptionGroup(title: "Reading and writing") var files: FileOptions
  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions
  @OptionGroup(title: "Many participants") var many: BatchOptions
  @OptionGroup(title: "Parts of a cluster job") var sharding: ShardingOptions
  @OptionGroup(title: "General") var common: CommonOptions

  @Flag(name: .long, help: "Say what would be done and how much memory it needs; write nothing.")
  var dryRun = false

  @Option(name: .long, help: "Precision of matrix products: f32 or bf16.")
  var precision: Precision = .float32

  func validate() throws {
    if let modality, !BIDSName.isLabel(modality) {
      throw ValidationError("--modality \(modality): letters and digits are needed, as in T1w")
    }
    if sidecars.noSidecar {
      throw ValidationError("--no-sidecar: the level group and later runs read them")
    }
    if slices.mask != nil {
      throw ValidationError("--mask: there is none that fits all participants; use `restore run`")
    }
    if level == .group, sharding.isUsed || dryRun {
      throw ValidationError("--shard and --dry-run: they belong to the level participant")
    }
  }

  func run() throws {
    common.apply()
    try OutputPaths.requireNamed(dataset, "BIDS_DIR")
    try OutputPaths.requireNamed(output, "OUT_DIR")
    var own = self
    if dataset.count > 1, dataset.hasSuffix("/") { own.dataset = String(dataset.dropLast()) }
    let folder = try BIDSFolder(path: own.dataset)
    let output = try BIDSOutput(path: output, dataset: own.dataset)
    let description = skipsValidation ? try? folder.description() : try folder.description()
    let bundle = try ModelBundle.find(model)
    let recipe = try BIDSRecipe(
      card: bundle.card, model: model, modality: modality, probabilities: probabilities)
    switch level {
    case .participant: try own.runParticipants(folder, output, description, bundle, recipe)
    case .group: try own.runGroup(folder, output, bundle, recipe)
    }
  }
}
