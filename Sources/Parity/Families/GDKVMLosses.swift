import Imaging
import Layers
import Models
import TensorCore

/// The losses of GDKVM at points that were sampled already, and its measure of the heart's function.
enum GDKVMLosses {
  static let subjects: [any ParitySubject.Type] = [
    PointCrossEntropySubject.self, PointDiceSubject.self, EjectionFractionSubject.self,
  ]
}

/// `metric.ejection_fraction`: masks `[H, W]` of both phases to two volumes and a percentage.
private struct EjectionFractionSubject: ParitySubject {
  static let name = "metric.ejection_fraction"

  let inputs: [String: TensorRule] = [
    "ed_mask": .same("H", "W"), "es_mask": .same("H", "W"),
  ]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    try configuration.require("views", .number("1"))
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    func volume(_ name: String) -> Double {
      let mask = ChamberMask(
        o[name].values.map { $0 != 0 }, height: o[name].shape[0], width: o[name].shape[1])
      return AreaLengthVolume.volume(of: mask) ?? .nan
    }
    let (diastole, systole) = (volume("ed_mask"), volume("es_mask"))
    let fraction =
      EjectionFraction.percent(endDiastolic: diastole, endSystolic: systole) ?? .nan
    return [
      "volume_ed": Tensor([1], [Float(diastole)]), "volume_es": Tensor([1], [Float(systole)]),
      "ejection_fraction": Tensor([1], [Float(fraction)]),
    ]
  }
}

/// `loss.point_cross_entropy`: logits and labels `[frame, class, point]` to a scalar.
private struct PointCrossEntropySubject: ParitySubject {
  static let name = "loss.point_cross_entropy"

  let rule: TensorRule
  var inputs: [String: TensorRule] { ["x": rule] }
  var target: TensorRule? { rule }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    rule = .image(
      .size(try configuration.integer("frames")), .size(try configuration.integer("classes")), "P")
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    return ["y": PointLoss.crossEntropy(logits: o["x"], labels: o["target"].detached())]
  }
}

/// `loss.point_dice`: as above, for one channel.
private struct PointDiceSubject: ParitySubject {
  static let name = "loss.point_dice"

  let rule: TensorRule
  let channel: Int
  let smooth: Float
  var inputs: [String: TensorRule] { ["x": rule] }
  var target: TensorRule? { rule }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let classes = try configuration.integer("classes")
    rule = .image(.size(try configuration.integer("frames")), .size(classes), "P")
    channel = try configuration.integer("channel", in: 0...classes - 1)
    smooth = Float(try configuration.number("smooth"))
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    return [
      "y": PointLoss.dice(
        logits: o["x"], labels: o["target"].detached(), channels: channel..<channel + 1,
        smooth: smooth)
    ]
  }
}
