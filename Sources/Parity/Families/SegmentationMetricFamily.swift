import Imaging
import Layers
import TensorCore

/// Figures that compare a segmentation with its reference.
enum SegmentationMetricFamily {
  static let subjects: [any ParitySubject.Type] = [
    SegmentationMetricSubject.self, OverlapSubject.self,
  ]
}

/// A mask of a batch `[n, H, W]` or `[n, 1, H, W]`, as one slice.
private func mask(_ batch: Tensor, at index: Int) -> VoxelMask {
  let rank = batch.shape.rank
  let (height, width) = (batch.shape[rank - 2], batch.shape[rank - 1])
  let area = height * width
  return VoxelMask(
    voxels: batch.withValues { values in
      (index * area..<(index + 1) * area).map { values[$0] != 0 }
    }, size: GridSize(x: width, y: height, z: 1))
}

private func operands(
  _ operands: [String: Tensor], of subject: String
) -> (x: Tensor, target: Tensor) {
  guard let x = operands["x"], let target = operands["target"] else {
    preconditionFailure("\(subject): operands \(operands.keys.sorted())")
  }
  return (x, target)
}

/// `metric.segmentation`: masks x and target `[n, H, W]` and spacing `[n, 2]` to five figures each.
private struct SegmentationMetricSubject: ParitySubject {
  static let name = "metric.segmentation"

  let percentile: Double
  let inputs: [String: TensorRule] = ["x": .same("n", "H", "W"), "spacing": .same("n", 2)]
  let target: TensorRule? = .same("n", "H", "W")

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    try configuration.require("connectivity", .number("4"))
    try configuration.require("spacing_order", .string("yx"))
    percentile = try configuration.number("percentile")
    guard (0...100).contains(percentile) else {
      throw .invalidValue(
        key: "percentile", value: "\(percentile)", rule: "expected a number in 0...100")
    }
  }

  func run(_ all: [String: Tensor]) -> [String: Tensor] {
    let (x, target) = operands(all, of: Self.name)
    guard let spacings = all["spacing"]?.values else { preconditionFailure("no spacing") }
    var figures: [String: [Double]] = [:]
    for index in 0..<x.shape[0] {
      let spacing = SIMD3(Double(spacings[2 * index + 1]), Double(spacings[2 * index]), 1)
      let scores = SegmentationProtocol.gdkvm.figures(
        of: mask(x, at: index), against: mask(target, at: index), spacing: spacing,
        percentile: percentile)
      let names: [(String, SegmentationMetric)] = [
        ("dice", .dice), ("iou", .iou), ("hd", .hausdorff), ("hd95", .hausdorff95),
        ("asd", .assd),
      ]
      for (name, metric) in names { figures[name, default: []].append(scores[metric] ?? .nan) }
    }
    return figures.mapValues { values in Tensor([values.count], values.map(Float.init)) }
  }
}

/// `metric.overlap`: masks x and target `[n, 1, H, W]` to four figures each.
private struct OverlapSubject: ParitySubject {
  static let name = "metric.overlap"

  let epsilon: Double
  let inputs: [String: TensorRule] = ["x": .same("n", 1, "H", "W")]
  let target: TensorRule? = .same("n", 1, "H", "W")

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    epsilon = try configuration.number("epsilon")
  }

  func run(_ all: [String: Tensor]) -> [String: Tensor] {
    let (x, target) = operands(all, of: Self.name)
    let scores = (0..<x.shape[0]).map { index in
      OverlapScore(of: mask(x, at: index), against: mask(target, at: index))
        .smoothed(by: epsilon)
    }
    func figures(_ figure: (OverlapScore.Smoothed) -> Double) -> Tensor {
      Tensor([scores.count], scores.map { Float(figure($0)) })
    }
    return [
      "dice": figures(\.dice), "iou": figures(\.iou), "recall": figures(\.recall),
      "precision": figures(\.precision),
    ]
  }
}
