import ArgumentParser
import Foundation
import Inference
import Models

/// `restore segment`: finds structures in a clip.
struct SegmentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "segment", abstract: "Segment an echo clip.",
    discussion: """
      The clip is a NIfTI file with frames along the third or fourth axis, or a folder of PNG frames in \
      the order of their names. Beside the labels OUT.nii.gz go OUT_overlay.png and OUT_curve.csv.
      """)

  @Option(name: .shortAndLong, help: "Clip: NIfTI, or a folder of PNG frames.")
  var input: String

  @Option(name: .shortAndLong, help: "Labels, .nii or .nii.gz, in the clip's geometry.")
  var output: String

  @Option(name: .shortAndLong, help: "Bundle.")
  var model = "echo-gdkvm"

  @Option(name: .long, help: "Labels of the first frame, if they are known.")
  var firstMask: String?

  @Flag(name: .long, help: "Replace outputs that exist.")
  var overwrite = false

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    let bundle = try ModelBundle.find(model)
    guard let network = try bundle.loadModel() as? GDKVM else {
      throw CommandFailure(
        code: ExitStatus.configuration, kind: "model", what: "not a model for clips (\(model))",
        cause: "its task or architecture is another", advice: "`restore models list` shows them")
    }
    let report = try EchoSegmentation(
      model: network, bundle: bundle, input: input, output: output, firstMask: firstMask,
      overwrite: overwrite
    ).run()
    if common.json { Console.shared.result(report) } else { Console.shared.result(report.lines) }
  }
}
