import ArgumentParser
import Foundation
import Inference
import Models

/// `restore segment`: finds structures in images.
///
/// What an input is and what is written follow from the model's architecture; each kind has its own
/// file, `SegmentCommand+….swift`.
struct SegmentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "segment",
    abstract: "Segment images with a model: an echo clip, photographs, brains.",
    discussion: """
      echo-gdkvm: a clip is a NIfTI file with frames along the third or fourth axis, or a folder of \
      PNG frames in the order of their names. Beside the labels OUT.nii.gz go OUT_overlay.png, \
      OUT_curve.csv and OUT.json. Two clips are two views of one heart, four-chamber first: OUT_view2.nii.gz and \
      its companions are the second one's, and volumes follow from both (Simpson's biplane discs).

      optic-disc-cup: photographs (PNG) of the disc or of the whole field, one or many. OUT is a PNG \
      file or a folder; beside each label map go NAME_overlay.png and NAME.json.

      stroke-2.5d: T1 and FLAIR (or T1 alone, for a model of one channel) of a brain without its skull \
      on one grid, in any orientation and voxel size. Beside the mask OUT.nii.gz go \
      OUT_probability.nii.gz and sidecars with the lesions' volumes.

      Models of `restore train --dataset`: the channels of one image in order, or a folder of images \
      named CASE_0000, CASE_0001, and so on.
      """)

  @Option(
    name: .shortAndLong, parsing: .upToNextOption,
    help: "Image, or images of several contrasts in the model's order; for clips also a PNG folder."
  )
  var input: [String]

  @Option(name: .shortAndLong, help: "Labels, in the input's geometry.")
  var output: String

  @Option(name: .shortAndLong, help: "Bundle.")
  var model = "echo-gdkvm"

  @Option(
    name: .long, parsing: .upToNextOption,
    help: "Labels of the first frame of each clip, if they are known.")
  var firstMask: [String] = []

  @Flag(
    name: .long,
    help: """
      Also write the probability of each structure, OUT_probability_NAME; models of `restore train \
      --dataset`. Those of lesions are always written.
      """)
  var probabilities = false

  @OptionGroup(title: "Descriptions of outputs") var sidecars: SidecarOptions
  @OptionGroup(title: "Many images") var many: BatchOptions
  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    try OutputPaths.requireNamed(output, "--output")
    let bundle = try ModelBundle.find(model)
    try bundle.require(.segment, of: model)
    let architecture = bundle.card.network.architecture.architecture
    if probabilities, ![UNet.architecture, StrokeSystem.architecture].contains(architecture) {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage",
        what: "--probabilities does not fit the model (\(model))",
        cause: "only labels are written for clips and photographs",
        advice: "leave the option out")
    }
    if !firstMask.isEmpty, architecture != GDKVM.architecture {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage",
        what: "--first-mask does not fit the model (\(model))",
        cause: "only clips have a first frame", advice: "leave the option out")
    }
    // Clips and brains come one at a time; photographs and volumes are asked for one by one.
    if many.skipExisting, [GDKVM.architecture, StrokeSystem.architecture].contains(architecture),
      FileManager.default.fileExists(atPath: output)
    {
      return skip()
    }
    switch architecture {
    case GDKVM.architecture: try segmentClip(with: bundle)
    case StrokeSystem.architecture: try segmentBrain(with: bundle)
    case TVConvNet.architecture: try segmentPhotographs(with: bundle)
    case UNet.architecture: try segmentVolumes(with: bundle)
    default:
      throw CommandFailure(
        code: ExitStatus.configuration, kind: "model", what: "not a model that segments (\(model))",
        cause: "its architecture is \(bundle.card.network.architecture.architecture)",
        advice: "`restore models list` shows the models")
    }
  }

  /// Leaves out the only item, whose output exists.
  private func skip() {
    Console.shared.info("skipped, exists: \(output)")
    struct Document: Encodable {
      let ok = true
      let skipped: String
    }
    if common.json { Console.shared.result(Document(skipped: output)) }
  }
}

/// What was found in images of a kind of which there may be many, for programs.
struct SegmentDocument<Case: Encodable>: Encodable {
  let ok: Bool
  let cases: [Case]
  let failures: [CommandFailure.Content]

  init(_ outcome: BatchOutcome<Case>) {
    ok = outcome.failures.isEmpty
    cases = outcome.reports
    failures = outcome.failures.map(\.content)
  }
}
