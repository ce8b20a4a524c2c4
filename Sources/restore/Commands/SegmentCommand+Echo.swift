import Foundation
import Inference
import Models

extension SegmentCommand {
  /// Finds chambers in an echo clip, or in two views of one heart.
  func segmentClip(with bundle: ModelBundle) throws {
    guard let network = try bundle.loadModel() as? GDKVM else {
      preconditionFailure("segment: \(bundle.path) is not of the architecture that its card names")
    }
    guard network.inChannels == 1 else {
      throw InferenceError.bundleInvalid(
        bundle: bundle.path,
        reason: "its network takes frames of \(network.inChannels) channels, clips have 1")
    }
    guard (1...2).contains(input.count) else {
      throw CommandFailure(
        code: ExitStatus.data, kind: "channel-mismatch",
        what: "channel count does not match the model (\(model))",
        cause: "it takes one clip or two views of one heart, \(input.count) were given",
        advice: "name one or two clips with -i")
    }
    guard firstMask.count <= input.count else {
      throw CommandFailure(
        code: ExitStatus.usage, kind: "usage", what: "more first masks than clips",
        cause: "\(firstMask.count) masks for \(input.count) clips",
        advice: "give one for each clip at most, in the order of the clips")
    }
    let report = try EchoSegmentation(
      model: network, bundle: bundle, inputs: input, output: output, firstMasks: firstMask,
      overwrite: many.overwrite, sidecars: sidecars
    ).run()
    if common.json { Console.shared.result(report) } else { Console.shared.result(report.lines) }
  }
}
