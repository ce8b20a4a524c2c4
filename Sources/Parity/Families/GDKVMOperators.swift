import Layers
import Models
import TensorCore

/// The operators of GDKVM.
enum GDKVMOperators {
  static let subjects: [any ParitySubject.Type] = [
    GatedDeltaRuleSubject.self, FrameGatedDeltaRuleSubject.self, AggregateSubject.self,
    PointSampleSubject.self, SineEncodingSubject.self,
  ]
}

/// `op.gated_delta_rule`: q, k `[B, H, T, K]`, v `[B, H, T, V]`, alpha, beta `[B, H, T]` and a state
/// `[B, H, K, V]` to y and the final state, by the chunked form; the recurrent one must agree.
private struct GatedDeltaRuleSubject: ParitySubject {
  static let name = "op.gated_delta_rule"

  let inputs: [String: TensorRule]
  let queryScale: Float

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let batch = TensorRule.Axis.size(try configuration.integer("batch"))
    let heads = TensorRule.Axis.size(try configuration.integer("heads"))
    let length = TensorRule.Axis.size(try configuration.integer("length"))
    let key = TensorRule.Axis.size(try configuration.integer("key_dim"))
    let value = TensorRule.Axis.size(try configuration.integer("value_dim"))
    queryScale = Float(try configuration.number("query_scale"))
    inputs = [
      "q": .same(batch, heads, length, key), "k": .same(batch, heads, length, key),
      "v": .same(batch, heads, length, value), "alpha": .same(batch, heads, length),
      "beta": .same(batch, heads, length), "state": .same(batch, heads, key, value),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    func result(_ form: GatedDeltaForm) -> (output: Tensor, state: Tensor) {
      Tensor.gatedDeltaRule(
        query: queryScale == 1 ? o["q"] : o["q"] * queryScale, key: o["k"], value: o["v"],
        alpha: o["alpha"], beta: o["beta"], state: o["state"], form: form)
    }
    // The mean of both forms: a mistake in either shows, in results and in gradients.
    let (chunked, recurrent) = (result(.chunked), result(.recurrent))
    return [
      "y": (chunked.output + recurrent.output) * 0.5,
      "state": (chunked.state + recurrent.state) * 0.5,
    ]
  }
}

/// `op.frame_gated_delta_rule`: key logits `[B, T, K, h, w]` and values `[B, T, N, V, h, w]` to what is
/// read, `[B, T, N, V, h, w]`.
private final class FrameGatedDeltaRuleSubject: ParitySubject {
  static let name = "op.frame_gated_delta_rule"

  let memory: GatedDeltaMemory
  let inputs: [String: TensorRule]
  var module: (any Module)? { memory }

  private var states: [Tensor] = []
  private let sizes: (batch: Int, objects: Int, key: Int, value: Int)

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let variant: GatedDeltaVariant = try configuration.choice("variant")
    let batch = try configuration.integer("batch")
    let frames = try configuration.integer("frames")
    let objects = try configuration.integer("objects")
    let heads = try configuration.integer("heads", in: 1...4096)
    let key = try configuration.integer("key_dim", in: 1...4096)
    let value = try configuration.integer("value_dim", in: 1...4096)
    let height = try configuration.integer("height")
    let width = try configuration.integer("width")
    guard value % heads == 0 else {
      throw .invalidValue(
        key: "value_dim", value: "\(value)", rule: "expected a multiple of heads, \(heads)")
    }
    var generator = initialGenerator()
    memory = GatedDeltaMemory(
      valueChannels: value, heads: heads, variant: variant, using: &generator)
    sizes = (batch, objects, key, value)
    inputs = [
      "key_logits": .same(
        .size(batch), .size(frames), .size(key), .size(height), .size(width)),
      "values": .same(
        .size(batch), .size(frames), .size(objects), .size(value), .size(height), .size(width)),
    ]
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let (logits, values) = (Operands(operands)["key_logits"], Operands(operands)["values"])
    let (frames, height, width) = (logits.shape[1], logits.shape[3], logits.shape[4])
    let pixels = height * width
    let items = sizes.batch * sizes.objects
    // [B, T, K, P] to [T, B, P, K], [B, T, N, V, P] to [T, B, N, P, V].
    let keys = logits.reshaped(to: [sizes.batch, frames, sizes.key, pixels])
      .permuted([1, 0, 3, 2]).softmax()
    let written = values.reshaped(
      to: [sizes.batch, frames, sizes.objects, sizes.value, pixels]
    ).permuted([1, 0, 2, 4, 3])
    states = []
    var read: [Tensor] = []
    for frame in 0..<frames {
      let key = keys.sliced(axis: 0, frame..<frame + 1)
        .reshaped(to: [sizes.batch, 1, pixels, sizes.key])
        .broadcast(to: [sizes.batch, sizes.objects, pixels, sizes.key])
        .reshaped(to: [items, pixels, sizes.key])
      let value = written.sliced(axis: 0, frame..<frame + 1)
        .reshaped(to: [items, pixels, sizes.value])
      let state = memory.written(key: key, value: value, state: states.last)
      states.append(state)
      read.append(
        memory.read(state: state, key: key).transposed()
          .reshaped(to: [sizes.batch, sizes.objects, sizes.value, height, width]))
    }
    return ["y": .stack(read, axis: 1)]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    func stacked(_ tensors: [Tensor]) -> Tensor? {
      guard !tensors.isEmpty else { return nil }
      return .stack(
        tensors.map { x in
          x.detached().reshaped(
            to: Shape([sizes.batch, sizes.objects] + x.shape.dimensions.dropFirst()))
        }, axis: 1)
    }
    let before = states.dropLast().map { memory.gates(for: $0.detached()) }
    switch name {
    case "states": return stacked(states)
    case "alpha": return stacked(before.map(\.alpha))
    case "beta": return stacked(before.map(\.beta))
    default: return nil
    }
  }
}

/// `op.aggregate`: probabilities `[B, N, h, w]` to log-odds `[B, N + 1, h, w]`.
private struct AggregateSubject: ParitySubject {
  static let name = "op.aggregate"

  let clamp: Double
  let inputs: [String: TensorRule]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    let objects = try configuration.integer("objects")
    clamp = try configuration.number("clamp")
    guard clamp > 0, clamp < 0.5 else {
      throw .invalidValue(key: "clamp", value: "\(clamp)", rule: "expected a number in (0, 0.5)")
    }
    inputs = ["prob": .image("B", .size(objects), "h", "w")]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": Aggregation.logOdds(probabilities: Operands(operands)["prob"], clamp: clamp)]
  }
}

/// `op.point_sample`: images `[T, C, h, w]` and points `[T, P, 2]` to `[T, C, P]`.
private struct PointSampleSubject: ParitySubject {
  static let name = "op.point_sample"

  let inputs: [String: TensorRule] = [
    "image": .image("T", "C", "h", "w"), "coords": .same("T", "P", 2),
  ]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    try configuration.require("align_corners", .bool(false))
    try configuration.require("outside", .string("zero"))
    try configuration.require("coordinate_order", .string("xy"))
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let o = Operands(operands)
    return ["y": o["image"].sampled(at: o["coords"].detached())]
  }
}

/// `op.sine_encoding_2d`: nothing to `[h, w, channels]`.
private struct SineEncodingSubject: ParitySubject {
  static let name = "op.sine_encoding_2d"

  let encoding: SineEncoding
  let height: Int
  let width: Int
  let inputs: [String: TensorRule] = [:]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    encoding = try configuration.sineEncoding(
      channels: try configuration.integer("channels", in: 1...1 << 16),
      eps: try configuration.number("eps"))
    height = try configuration.integer("height", in: 1...1 << 14)
    width = try configuration.integer("width", in: 1...1 << 14)
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    ["y": encoding(height: height, width: width)]
  }
}

extension SubjectConfiguration {
  /// A value out of a list of names.
  mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ key: String
  ) throws(ParityError) -> Choice {
    let value = try value(key)
    guard let choice = value.string.flatMap(Choice.init(rawValue:)) else {
      let known = Choice.allCases.map(\.rawValue).joined(separator: " or ")
      throw .invalidValue(
        key: key, value: value.string.map { "\"\($0)\"" } ?? "no text", rule: "expected \(known)")
    }
    return choice
  }

  /// The encoding of positions that `scale` and `temperature` describe.
  mutating func sineEncoding(
    channels: Int, eps: Double = 1e-6
  ) throws(ParityError) -> SineEncoding {
    guard channels % 4 == 0 else {
      throw .invalidValue(key: "channels", value: "\(channels)", rule: "expected a multiple of 4")
    }
    return SineEncoding(
      channels: channels, scale: try number("scale"), temperature: try number("temperature"),
      eps: eps)
  }
}
