import Foundation
import Inference
import Models

extension SegmentCommand {
  /// Finds chambers in an echo clip.
  func segmentClip(with bundle: ModelBundle) throws {
    guard let network = try bundle.loadModel() as? GDKVM else {
      preconditionFailure("segment: \(bundle.path) is not of the architecture that its card names")
    }
    let report = try EchoSegmentation(
      model: network, bundle: bundle, input: singleInput(), output: output, firstMask: firstMask,
      overwrite: overwrite
    ).run()
    if common.json { Console.shared.result(report) } else { Console.shared.result(report.lines) }
  }
}
