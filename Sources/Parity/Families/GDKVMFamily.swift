import Layers
import Models
import Randomness
import TensorCore

/// GDKVM and its parts.
enum GDKVMFamily {
  static let subjects: [any ParitySubject.Type] =
    GDKVMOperators.subjects + GDKVMBlocks.subjects + GDKVMLosses.subjects + [GDKVMSubject.self]
}

/// The operands of a subject by name, all of which its rules demand.
struct Operands {
  let byName: [String: Tensor]

  init(_ byName: [String: Tensor]) { self.byName = byName }

  subscript(name: String) -> Tensor {
    guard let tensor = byName[name] else {
      preconditionFailure("operand \(name) is not among \(byName.keys.sorted())")
    }
    return tensor
  }

  /// A map of frames in the file's order `[B, C, h, w]`, here `[B, h, w, C]`.
  func objects(_ name: String) -> Tensor { Self.merged(self[name]) }

  /// Maps of objects in the file's order `[B, N, C, h, w]` as `[B·N, h, w, C]`.
  static func merged(_ x: Tensor) -> Tensor {
    let s = x.shape
    return x.reshaped(to: [s[0] * s[1], s[2], s[3], s[4]]).permuted([0, 2, 3, 1])
  }

  /// Maps `[B·N, h, w, C]` in the file's order, `[B, N, C, h, w]`.
  static func split(_ x: Tensor, batch: Int) -> Tensor {
    let s = x.shape
    return x.permuted([0, 3, 1, 2]).reshaped(to: [batch, s[0] / batch, s[3], s[1], s[2]])
  }
}

/// `model.gdkvm`: frames `[B, T, C, H, W]` to the log-odds of the last frame, `[B, N + 1, H, W]`.
private final class GDKVMSubject: ParitySubject {
  static let name = "model.gdkvm"

  let model: GDKVM
  let inputs: [String: TensorRule]
  var module: (any Module)? { model }

  /// What the last run made of each frame.
  private var trace: [(frame: GDKVMFrame, state: GDKVMState, key: Tensor)] = []

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    var c = GDKVMConfiguration()
    c.variant = try configuration.choice("variant")
    c.imageEncoder = try configuration.choice("image_encoder")
    c.maskEncoder = try configuration.choice("mask_encoder")
    // The type names the other sizes; it says nothing that they do not.
    _ = try configuration.value("model_type")
    c.inChannels = try configuration.integer("in_channels", in: 1...4096)
    c.objects = try configuration.integer("objects", in: 1...64)
    c.keyChannels = try configuration.integer("key_dim", in: 1...4096)
    c.valueChannels = try configuration.integer("value_dim", in: 1...4096)
    c.pixelChannels = try configuration.integer("pixel_dim", in: 1...4096)
    c.sensoryChannels = try configuration.integer("sensory_dim", in: 1...4096)
    c.embedChannels = try configuration.integer("embed_dim", in: 1...4096)
    c.heads = try configuration.integer("heads", in: 1...4096)
    c.queries = try configuration.integer("num_queries", in: 1...4096)
    c.blocks = try configuration.integer("num_blocks", in: 1...64)
    c.feedForwardChannels = try configuration.integer("ff_dim", in: 1...4096)
    c.decoderChannels = try configuration.integers("decoder_dims")
    c.pixelMean = Float(try configuration.number("pixel_mean"))
    c.pixelDeviation = Float(try configuration.number("pixel_std"))
    try configuration.require("first_mask", .string("zero"))
    c.batchNormEps = Float(try configuration.number("bn_eps"))
    c.layerNormEps = Float(try configuration.number("ln_eps"))
    var generator = initialGenerator()
    do {
      model = try GDKVM(c, using: &generator)
    } catch {
      throw .model(error)
    }
    inputs = [
      "frames": .same(
        "B", "T", .size(c.inChannels), .multiple("H", of: GDKVM.sizeStep),
        .multiple("W", of: GDKVM.sizeStep))
    ]
  }

  func layout(ofOutput name: String) -> TensorRule.Layout { .channelsSecond }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    let frames = Operands(operands)["frames"].permuted([1, 0, 3, 4, 2])
    let (length, batch) = (frames.shape[0], frames.shape[1])
    let images = frames.reshaped(
      to: Shape([length * batch] + frames.shape.dimensions.suffix(3)))
    let features = model.encoded(images)
    trace = []
    for index in 0..<length {
      let own = features.clips(index * batch..<(index + 1) * batch)
      let (frame, state) = model.step(own, state: trace.last?.state, withAuxiliary: true)
      trace.append((frame, state, own.key))
    }
    return ["y": trace[length - 1].frame.logits]
  }

  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? {
    guard let first = trace.first, let last = trace.last else { return nil }
    let batch = first.key.shape[0]
    /// `[B, …, C]` in the file's order, with C second.
    func image(_ x: Tensor) -> Tensor { TensorRule.Layout.channelsSecond.exported(x.detached()) }
    func objects(_ x: Tensor) -> Tensor {
      let rest = Array(x.shape.dimensions.dropFirst())
      return x.detached().reshaped(to: Shape([batch, x.shape[0] / batch] + rest))
    }
    if name.hasPrefix("logits_"), let index = Int(name.dropFirst(7)), trace.indices.contains(index)
    {
      return image(trace[index].frame.logits)
    }
    // The gates of the last frame are those of the state before it.
    let before = trace.dropLast().last?.state.memory.detached()
    switch name {
    case "masks_last": return image(last.frame.masks)
    case "key_0": return image(first.key)
    case "value_0": return Operands.split(first.frame.value.detached(), batch: batch)
    case "state_0": return objects(first.state.memory)
    case "state_last": return objects(last.state.memory)
    case "alpha_last": return before.map { objects(model.memory.gates(for: $0).alpha) }
    case "beta_last": return before.map { objects(model.memory.gates(for: $0).beta) }
    case "aux_sensory_logits_last":
      return last.frame.sensoryLogits.map { image(Aggregation.logOdds(logits: $0.detached())) }
    case "aux_query_logits_last":
      let levels = last.frame.queryLogits.map {
        image(Aggregation.logOdds(logits: $0.detached()))
      }
      return .stack(levels, axis: 2)
    default: return nil
    }
  }
}
