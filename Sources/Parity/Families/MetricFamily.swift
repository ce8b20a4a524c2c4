import Imaging
import Layers
import TensorCore

/// Figures that compare an image with its reference.
enum MetricFamily {
  static let subjects: [any ParitySubject.Type] = [RestorationMetricSubject.self]
}

/// `metric.psnr_ssim_rmse`: x and target `[1, 1, H, W]` and a data range `[1]` to three numbers.
private struct RestorationMetricSubject: ParitySubject {
  static let name = "metric.psnr_ssim_rmse"

  let similarity: StructuralSimilarity
  let inputs: [String: TensorRule] = ["x": .same(1, 1, "H", "W"), "data_range": .same(1)]
  let target: TensorRule? = .same(1, 1, "H", "W")

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let taps = try configuration.integer("window", in: 1...1023)
    guard taps % 2 == 1 else {
      throw .invalidValue(key: "window", value: "\(taps)", rule: "expected an odd number")
    }
    let sigma = try configuration.number("sigma")
    guard sigma > 0 else {
      throw .invalidValue(key: "sigma", value: "\(sigma)", rule: "expected a number above 0")
    }
    try configuration.require("padding", .string("zero"))
    similarity = StructuralSimilarity(
      window: .gaussian(taps: taps, sigma: sigma), border: .zeroPadded,
      k1: try configuration.number("k1"), k2: try configuration.number("k2"))
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    guard let x = operands["x"], let target = operands["target"],
      let dataRange = operands["data_range"]?.scalar
    else { preconditionFailure("\(Self.name): operands \(operands.keys.sorted())") }
    // Without a range the figures mean nothing; the comparison then reports the NaN.
    guard dataRange > 0, dataRange.isFinite else {
      let undefined = Tensor([1], repeating: .nan)
      return ["psnr": undefined, "ssim": undefined, "rmse": undefined]
    }
    let score = RestoreRWKVProtocol.score(
      of: x.values, against: target.values, height: x.shape[2], width: x.shape[3],
      dataRange: Double(dataRange), similarity: similarity)
    return [
      "psnr": Tensor([1], [Float(score.psnr)]), "ssim": Tensor([1], [Float(score.ssim)]),
      "rmse": Tensor([1], [Float(score.rmse)]),
    ]
  }
}
