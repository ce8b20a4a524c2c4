import Layers
import Models
import Randomness
import TensorCore

/// The multi-path stroke system.
enum StrokeFamily {
  static let subjects: [any ParitySubject.Type] = [
    StrokePathSubject.self, StrokeCombinerSubject.self, NinePathSubject.self,
    SoftDiceSubject.self,
  ]
}

/// `model.stroke_2d`: x `[B, 2, H, W]` to logits `[B, 2, H, W]`.
private struct StrokePathSubject: ParitySubject {
  static let name = "model.stroke_2d"

  let network: StrokePathNetwork
  let inputs: [String: TensorRule]
  var module: (any Module)? { network }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    try configuration.require("in_channels", .number("1"))
    try configuration.require("modalities", .number("2"))
    try configuration.require("levels", .number("5"))
    var hyperparameters = StrokeConfiguration()
    hyperparameters.channels = try configuration.integer("channels")
    hyperparameters.classes = try configuration.integer("classes")
    hyperparameters.dropout = Float(try configuration.number("dropout"))
    hyperparameters.separateFusion = try configuration.value("separate_fusion") == .bool(true)
    hyperparameters.batchNormEps = Float(try configuration.number("bn_eps"))
    hyperparameters.batchNormMomentum = Float(try configuration.number("bn_momentum"))
    var generator = SeededGenerator(seed: 0)
    do {
      network = try StrokePathNetwork(hyperparameters, using: &generator)
    } catch {
      throw .model(error)
    }
    inputs = ["x": .image("B", 2, "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    guard let x = operands["x"] else { preconditionFailure("\(Self.name): no x") }
    return ["y": network.forward(x)]
  }
}

/// `model.stroke_3d`: x `[B, 27, D, H, W]` to logits `[B, 2, D, H, W]`.
private struct StrokeCombinerSubject: ParitySubject {
  static let name = "model.stroke_3d"

  let network: StrokeCombiner
  let inputs: [String: TensorRule]
  var module: (any Module)? { network }

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let channels = try configuration.integer("in_channels", in: 1...1024)
    let hidden = try configuration.integers("hidden_channels")
    guard hidden.count == 2, hidden.allSatisfy((1...1024).contains) else {
      throw .invalidValue(
        key: "hidden_channels", value: "\(hidden)", rule: "expected two numbers in 1...1024")
    }
    var generator = SeededGenerator(seed: 0)
    network = StrokeCombiner(
      inChannels: channels, hidden: (hidden[0], hidden[1]),
      classes: try configuration.integer("classes", in: 1...1024),
      eps: Float(try configuration.number("instance_norm_eps")), using: &generator)
    inputs = ["x": .image("B", .size(channels), "D", "H", "W")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    guard let x = operands["x"] else { preconditionFailure("\(Self.name): no x") }
    return ["y": network(x)]
  }
}

/// `geometry.nine_path`: volume `[N, 2, D0, D1, D2]` and a mask for each path to `[N, 27, D0, D1, D2]`.
private struct NinePathSubject: ParitySubject {
  static let name = "geometry.nine_path"

  let paths: [StrokePath]
  let second: StrokeSecondChannel
  let inputs: [String: TensorRule]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    func names(_ key: String) throws(ParityError) -> [String] {
      let names = try configuration.value(key).array?.compactMap(\.string) ?? []
      guard !names.isEmpty else {
        throw .invalidValue(key: key, value: "no names", rule: "expected a list of names")
      }
      return names
    }
    for plane in try names("planes") where StrokePlane(rawValue: plane) == nil {
      throw .invalidValue(key: "planes", value: plane, rule: "expected XY, ZY, ZX")
    }
    for norm in try names("normalisations") where StrokeNormalization(rawValue: norm) == nil {
      throw .invalidValue(key: "normalisations", value: norm, rule: "expected 12, 3, 123")
    }
    var paths: [StrokePath] = []
    for name in try names("paths") {
      guard let path = StrokePath.all.first(where: { $0.name == name }) else {
        throw .invalidValue(key: "paths", value: name, rule: "expected PLANE_NORMALISATION")
      }
      paths.append(path)
    }
    self.paths = paths
    let second = try configuration.value("second_channel").string ?? ""
    guard let second = StrokeSecondChannel(rawValue: second) else {
      throw .invalidValue(
        key: "second_channel", value: second, rule: "expected modality or mirror")
    }
    self.second = second
    var inputs: [String: TensorRule] = ["volume": .image("N", 2, "D0", "D1", "D2")]
    for path in paths {
      switch path.plane {
      case .xy: inputs["mask_" + path.name] = .same("L0", "D1", "D2")
      case .zy: inputs["mask_" + path.name] = .same("L1", "D0", "D2")
      case .zx: inputs["mask_" + path.name] = .same("L2", "D0", "D1")
      }
    }
    self.inputs = inputs
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  /// The volumes of the batch, `[D0, D1, D2, 2]` each.
  private func volumes(_ operands: [String: Tensor]) -> [Tensor] {
    guard let batch = operands["volume"] else { preconditionFailure("\(Self.name): no volume") }
    return (0..<batch.shape[0]).map { index in
      batch.sliced(axis: 0, index..<index + 1)
        .reshaped(to: Shape(Array(batch.shape.dimensions.dropFirst())))
    }
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let volumes = volumes(operands)
    // The wrong number of masks makes no volume; the comparison then reports a shape.
    for path in paths {
      let count = volumes.reduce(0) { $0 + $1.shape[path.plane.sliceAxis] }
      if operands["mask_" + path.name]?.shape[0] != count { return ["y": Tensor(.nan)] }
    }
    let results = volumes.enumerated().map { index, volume -> Tensor in
      let channels = paths.map { path -> Tensor in
        let slices = path.slices(of: volume, second: second)
        guard let masks = operands["mask_" + path.name] else {
          preconditionFailure("\(Self.name): no mask of \(path.name)")
        }
        let count = slices.shape[0]
        let mask = masks.sliced(axis: 0, index * count..<(index + 1) * count)
        return path.assembled(
          mask: mask.reshaped(to: Shape(mask.shape.dimensions + [1])),
          normalized: path.normalization.normalized(slices))
      }
      let joined = Tensor.concatenate(channels, axis: -1)
      return joined.reshaped(to: Shape([1] + joined.shape.dimensions))
    }
    return ["y": .concatenate(results, axis: 0)]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    let parts = name.split(separator: "_").map(String.init)
    guard parts.count == 3, let plane = StrokePlane(rawValue: parts[1]) else { return nil }
    let slices: (Tensor) -> Tensor
    switch parts[0] {
    case "slices":
      guard let second = StrokeSecondChannel(rawValue: parts[2]) else { return nil }
      slices = { StrokePath.slices(of: $0, in: plane, second: second) }
    case "norm":
      guard let normalization = StrokeNormalization(rawValue: parts[2]) else { return nil }
      slices = { normalization.normalized(plane.slices(of: $0)) }
    default: return nil
    }
    return TensorRule.Layout.channelsSecond.exported(
      .concatenate(volumes(operands).map(slices), axis: 0))
  }
}

/// `loss.soft_dice`: logits x `[N, C, H, W]` and class indices `[N, H, W]` to a number.
private struct SoftDiceSubject: ParitySubject {
  static let name = "loss.soft_dice"

  let classes: Int
  let smooth: Float
  let inputs: [String: TensorRule]
  let target: TensorRule? = .same("N", "H", "W")

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    classes = try configuration.integer("classes", in: 1...1024)
    smooth = Float(try configuration.number("smooth"))
    inputs = ["x": .image("N", .size(classes), "H", "W")]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    guard let x = operands["x"], let target = operands["target"] else {
      preconditionFailure("\(Self.name): operands \(operands.keys.sorted())")
    }
    let isIndex = target.values.allSatisfy {
      $0 == $0.rounded() && $0 >= 0 && $0 < Float(classes)
    }
    // An index without a class has no loss; the comparison then reports the NaN.
    guard isIndex else { return ["y": (x * Float.nan).mean()] }
    return [
      "y": x.softDiceLoss(target: target.detached().oneHot(classes: classes), smooth: smooth)
    ]
  }
}
