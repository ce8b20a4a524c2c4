import Inference
import Models

extension SegmentCommand {
  /// Finds lesions in a brain.
  func segmentBrain(with bundle: ModelBundle) throws {
    guard let system = try bundle.loadModel() as? StrokeSystem else {
      preconditionFailure("segment: \(bundle.path) is not of the architecture that its card names")
    }
    let report = try StrokeSegmentation(
      system: system, bundle: bundle, inputs: input, output: output, overwrite: many.overwrite,
      sidecars: sidecars
    ).run()
    if common.json { Console.shared.result(report) } else { Console.shared.result(report.lines) }
  }
}
