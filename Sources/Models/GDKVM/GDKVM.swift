public import Layers
public import Randomness
public import TensorCore

/// GDKVM: segmentation of echocardiography clips with a gated linear key-value memory.
///
/// ```
/// frame t ── image encoder ── f16, f8, f4
///              f16 ├─ pixel projector ──────────── pixel features
///                  └─ key projector ─ KPFF ─ softmax ─ key k_t
/// frame t, mask t−1, pixel features t−1 ─ mask encoder ─ value v_t, sensory memory
///                                          └─ object summarizer ─ memory tokens
/// memory S ── gated delta rule(k_t, v_t) ── S' ── readout S'ᵀ k_t
/// readout, sensory memory, mask t−1, pixel features t ─ pixel fuser ─ object transformer
///                                 ─ mask decoder (f8, f4) ─ aggregation ─ ×4 ─ mask t
/// ```
///
/// | tensor | shape at H × W, full size |
/// | --- | --- |
/// | f4, f8, f16 | `[B, H/4, W/4, 256]`, `[B, H/8, W/8, 512]`, `[B, H/16, W/16, 1024]` |
/// | key, pixel features | `[B, H/16, W/16, 64]`, `[B, H/16, W/16, 256]` |
/// | value, sensory memory | `[B·N, H/16, W/16, 256]` each |
/// | memory S, tokens | `[B·N, 64, 256]`, `[B·N, 16, 257]` |
/// | logits | `[B, H, W, N + 1]` |
///
/// The object tokens that a frame adds count from the next frame on (the first frame uses its own),
/// and the mask encoder sees frame t with the pixel features of frame t − 1: both as in the authors'
/// code.
///
/// Objects share all weights, so that masks alone tell them apart. If the configuration names structures,
/// each has a learned identity, a vector that is added to what the object reads from its memory at every
/// pixel (`object_identity.weight`, `[N, V]`; an addition to the authors' network).
///
/// Source: *GDKVM: Echocardiography Video Segmentation via Spatiotemporal Key-Value Memory with Gated
/// Delta Rule*, ICCV 2025, arXiv 2512.10252, and the authors' re-release.
public final class GDKVM: RestorationModel {
  /// `gdkvm`.
  public static let architecture = "gdkvm"

  /// Heights and widths of frames are multiples of this.
  public static let sizeStep = 16

  /// The hyperparameters.
  public let configuration: GDKVMConfiguration
  /// The linear key-value memory.
  public let memory: GatedDeltaMemory

  private let imageEncoder: ResidualEncoder
  private let maskEncoder: MaskEncoder
  private let keyProjector: KeyProjector
  private let pixelProjector: PixelProjector
  private let fusion: KeyPixelFeatureFusion
  private let maskDecoder: MaskDecoder
  private let pixelFuser: PixelFuser
  private let transformer: QueryTransformer
  private let summarizer: ObjectSummarizer
  private let auxiliary: AuxiliaryHead
  /// One vector for each object, `[N, V]`; nil if the structures have no names.
  private let identity: Parameter?

  /// The name of the objects' identities in weight files.
  public static let identityName = "object_identity.weight"

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  public init(
    _ configuration: GDKVMConfiguration, using generator: inout SeededGenerator
  ) throws(ModelError) {
    try configuration.validate()
    self.configuration = configuration
    let c = configuration
    memory = GatedDeltaMemory(
      valueChannels: c.valueChannels, heads: c.heads, variant: c.variant, using: &generator)
    imageEncoder = ResidualEncoder(
      c.imageEncoder, inChannels: c.inChannels, width: c.imageEncoderWidth, eps: c.batchNormEps,
      using: &generator)
    let frameChannels = imageEncoder.outChannels
    maskEncoder = MaskEncoder(c, using: &generator)
    keyProjector = KeyProjector(
      inChannels: frameChannels[2], hiddenChannels: c.pixelChannels, outChannels: c.keyChannels,
      using: &generator)
    pixelProjector = PixelProjector(
      inChannels: frameChannels[2], outChannels: c.pixelChannels, using: &generator)
    fusion = KeyPixelFeatureFusion(
      keyChannels: c.keyChannels, pixelChannels: c.pixelChannels,
      hiddenChannels: c.pixelChannels, using: &generator)
    maskDecoder = MaskDecoder(
      frameChannels: frameChannels, channels: c.decoderChannels,
      sensoryChannels: c.sensoryChannels, using: &generator)
    pixelFuser = PixelFuser(
      pixelChannels: c.pixelChannels, valueChannels: c.valueChannels,
      outChannels: c.embedChannels, sensoryChannels: c.sensoryChannels, using: &generator)
    let encoding = SineEncoding(channels: c.embedChannels)
    transformer = QueryTransformer(
      channels: c.embedChannels, feedForwardChannels: c.feedForwardChannels, blocks: c.blocks,
      heads: c.heads, queries: c.queries, encoding: encoding, layerNormEps: c.layerNormEps,
      using: &generator)
    summarizer = ObjectSummarizer(
      valueChannels: c.valueChannels, embedChannels: c.embedChannels, summaries: c.queries,
      encoding: encoding, using: &generator)
    auxiliary = AuxiliaryHead(
      sensoryChannels: c.sensoryChannels, pixelChannels: c.pixelChannels, using: &generator)
    identity =
      c.structures.isEmpty ? nil : .normal([c.objects, c.valueChannels], using: &generator)
  }

  /// The memory's parameters and the parts, by the authors' names.
  public var members: [Member] {
    memory.members + [
      .module("image_encoder", imageEncoder), .module("mask_encoder", maskEncoder),
      .module("key_projector", keyProjector), .module("pix_projector", pixelProjector),
      .module("KPFF", fusion), .module("mask_decoder", maskDecoder),
      .module("pixel_fuser", pixelFuser), .module("object_transformer", transformer),
      .module("object_summarizer", summarizer), .module("aux_computer", auxiliary),
    ] + (identity.map { [.parameter(Self.identityName, $0)] } ?? [])
  }

  // MARK: - Frames

  /// Encodes frames; they do not depend on each other, so any number can go together.
  ///
  /// - Parameter frames: Intensities from 0 to 1, `[F, H, W, C]`, H and W multiples of 16.
  /// - Returns: Features of all frames.
  public func encoded(_ frames: Tensor) -> GDKVMFeatures {
    precondition(
      frames.shape.rank == 4 && frames.shape.count > 0
        && frames.shape.channels == configuration.inChannels
        && frames.shape[1] % Self.sizeStep == 0 && frames.shape[2] % Self.sizeStep == 0,
      "gdkvm: frames \(frames.shape), expected [F, H, W, \(configuration.inChannels)], "
        + "H and W multiples of \(Self.sizeStep)")
    let scale = 1 / configuration.pixelDeviation
    let normalised = frames.scaled(by: scale, adding: -configuration.pixelMean * scale)
    let features = imageEncoder(normalised)
    let pixels = pixelProjector(features[2])
    let key = fusion(key: keyProjector(features[2]), pixels: pixels)
    let skips = maskDecoder.skips(f8: features[1], f4: features[0])
    return GDKVMFeatures(
      frame: normalised, pixels: pixels, key: key.softmax(), skip8: skips.s8, skip4: skips.s4)
  }

  /// Segments the next frame of B clips.
  ///
  /// - Parameters:
  ///   - features: Of that frame.
  ///   - state: What the last frame left; nil for the first one.
  ///   - firstMasks: Soft masks before the first frame, `[B, H, W, N]`; nil for zeros, as the authors
  ///     have it. Not used with a state.
  ///   - withAuxiliary: Whether to compute the auxiliary head's logits.
  /// - Returns: The segmentation, and what to give to the next call.
  public func step(
    _ features: GDKVMFeatures, state: GDKVMState?, firstMasks: Tensor? = nil,
    withAuxiliary: Bool = false
  ) -> (frame: GDKVMFrame, state: GDKVMState) {
    Engine.shared.perform {
      let state = configuration.usesMemory ? state : nil
      let objects = configuration.objects
      let (batch, items) = (features.batch, features.batch * objects)
      let (height, width) = (features.frame.shape[1], features.frame.shape[2])
      let (h, w) = (features.pixels.shape[1], features.pixels.shape[2])
      let masks = state?.masks ?? firstMasks ?? .zeros([batch, height, width, objects])
      precondition(
        masks.shape == [batch, height, width, objects],
        "gdkvm: masks \(masks.shape), expected \([batch, height, width, objects])")
      let sensory = state?.sensory ?? .zeros([items, h, w, configuration.sensoryChannels])

      let encoded = maskEncoder(
        frame: features.frame, pixels: state?.pixels ?? features.pixels,
        masks: Self.withOthers(masks), sensory: sensory)
      let small = masks.areaAveraged(to: [h, w])
      let pair = Self.withOthers(small)
      let tokens = summarizer(mask: pair.sliced(axis: -1, 0..<1), value: encoded.value)

      let pixelCount = h * w
      let key = features.key.repeated(toItems: items)
        .reshaped(to: [items, pixelCount, configuration.keyChannels])
      let memory = self.memory.written(
        key: key,
        value: encoded.value.reshaped(to: [items, pixelCount, configuration.valueChannels]),
        state: state?.memory)
      let readout = identified(
        self.memory.read(state: memory, key: key)
          .reshaped(to: [items, h, w, configuration.valueChannels]))

      let fused = pixelFuser(
        pixels: features.pixels, readout: readout, sensory: encoded.sensory,
        mask: pair.sliced(axis: -1, 0..<1), others: pair.sliced(axis: -1, 1..<2))
      let (pixels, queryLogits) = transformer(
        fused, memory: state?.summary ?? tokens, objects: objects)
      let (newSensory, logits) = maskDecoder(
        pixels, s8: features.skip8, s4: features.skip4, sensory: encoded.sensory)
      let result = Aggregation.upsampled(logits: Self.joined(logits, objects))
      let sensoryLogits =
        withAuxiliary
        ? auxiliary(pixels: features.pixels, sensory: newSensory) : nil
      return (
        GDKVMFrame(
          logits: result.logits, masks: result.masks, value: encoded.value,
          sensoryLogits: sensoryLogits.map { Self.joined($0, objects) },
          queryLogits: queryLogits.map { Self.joined($0, objects) }),
        GDKVMState(
          memory: memory, sensory: newSensory, summary: state.map { $0.summary + tokens } ?? tokens,
          masks: result.masks, pixels: features.pixels)
      )
    }
  }

  /// Segments whole clips, all frames encoded at once: for training.
  ///
  /// - Parameters:
  ///   - clips: `[B, T, H, W, C]`.
  ///   - firstMasks: Soft masks before the first frame, `[B, H, W, N]`; nil for zeros.
  ///   - withAuxiliary: Whether to compute the auxiliary head's logits.
  /// - Returns: The T segmentations and the last state.
  public func segmented(
    _ clips: Tensor, firstMasks: Tensor? = nil, withAuxiliary: Bool = false
  ) -> (frames: [GDKVMFrame], state: GDKVMState) {
    precondition(
      clips.shape.rank == 5 && clips.shape.count > 0,
      "gdkvm: clips \(clips.shape), expected [B, T, H, W, C]")
    return Engine.shared.perform {
      let (batch, length) = (clips.shape[0], clips.shape[1])
      // Frame by frame, so that the clips of one frame are neighbours.
      let ordered = clips.permuted([1, 0, 2, 3, 4])
        .reshaped(to: Shape([length * batch] + clips.shape.dimensions.suffix(3)))
      let features = encoded(ordered)
      var (frames, state): ([GDKVMFrame], GDKVMState?) = ([], nil)
      for index in 0..<length {
        let result = step(
          features.clips(index * batch..<(index + 1) * batch), state: state,
          // Without memory every frame starts anew, but only one of them is the first.
          firstMasks: index == 0 ? firstMasks : nil, withAuxiliary: withAuxiliary)
        frames.append(result.frame)
        state = result.state
      }
      guard let state else { preconditionFailure("gdkvm: clips \(clips.shape) without frames") }
      return (frames, state)
    }
  }

  // MARK: - Objects

  /// What objects read from their memories, `[B·N, h, w, V]`, with each one's identity added.
  private func identified(_ readout: Tensor) -> Tensor {
    guard let identity else { return readout }
    let (items, objects, channels) = (
      readout.shape[0], configuration.objects, readout.shape.channels
    )
    let own = identity.tensor.reshaped(to: [1, objects, channels])
      .broadcast(to: [items / objects, objects, channels])
    return readout + own.reshaped(to: [items, 1, 1, channels])
  }

  /// `[B, H, W, N]` masks as one item per object, `[B·N, H, W, 2]`: its own, and the clamped sum of the
  /// others.
  private static func withOthers(_ masks: Tensor) -> Tensor {
    let (batch, height, width, objects) = (
      masks.shape[0], masks.shape[1], masks.shape[2], masks.shape[3]
    )
    if objects == 1 {
      return .concatenate([masks, .zeros([batch, height, width, 1])], axis: -1)
    }
    let others = (masks.sum(axes: [3], keepingAxes: true) - masks).clamped(to: 0...1)
    return Tensor.stack([masks, others], axis: -1).permuted([0, 3, 1, 2, 4])
      .reshaped(to: [batch * objects, height, width, 2])
  }

  /// Maps of single objects `[B·N, h, w, 1]` side by side, `[B, h, w, N]`.
  private static func joined(_ x: Tensor, _ objects: Int) -> Tensor {
    if objects == 1 { return x }
    let (height, width) = (x.shape[1], x.shape[2])
    return x.reshaped(to: [x.shape[0] / objects, objects, height, width])
      .permuted([0, 2, 3, 1])
  }
}
