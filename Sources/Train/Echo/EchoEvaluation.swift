public import Imaging
import Inference
public import Models
import Randomness
import TensorCore

/// How well a network segments clips whose truth is known, frame by frame as a stream.
public struct EchoEvaluation: Codable, Sendable {
  /// What was found of one structure.
  public struct Structure: Codable, Sendable {
    /// The name, as in ``HeartLabel/name``.
    public let name: String
    /// The mean Dice over all frames in which it is or is claimed.
    public let dice: Double
    /// The same over the frames with a shadow; nil if there is none.
    public let shadowedDice: Double?
    /// How smoothly the masks found follow one another.
    public let consistency: TemporalConsistency
    /// How smoothly the true ones do: what a perfect result would have.
    public let trueConsistency: TemporalConsistency
  }

  /// The structures that the network finds, in the order of their labels.
  public let structures: [Structure]
  /// The mean magnitude of the error of the ejection fraction by Simpson's 20 discs, in points.
  public let ejectionFractionError: Double
  /// How many clips there were.
  public let clips: Int
  /// How many frames.
  public let frames: Int
  /// How many of them have a shadow.
  public let shadowedFrames: Int

  /// The mean Dice of each structure.
  public var dice: [Double] { structures.map(\.dice) }

  /// Segments clips frame by frame and compares.
  ///
  /// - Parameters:
  ///   - model: In evaluation mode.
  ///   - clips: Of one size that the network takes.
  ///   - drawn: How often each clip's frames, all but the first, get an ``EchoShadow``, and how wide.
  ///   - seed: Draws the shadows.
  ///   - givesFirstMask: Whether the true mask of the first frame is given.
  /// - Throws: `InferenceError.outputNotFinite` if the network makes no numbers.
  public init(
    _ model: GDKVM, on clips: [EchoClip], shadows drawn: EchoShadows = EchoShadows(),
    seed: UInt64 = 0, givesFirstMask: Bool = false
  ) throws {
    let objects = model.configuration.objects
    let labels = HeartLabel.structures.prefix(objects)
    var found = labels.map { _ in [[[Bool]]]() }
    var truth = found
    var (shadows, error): ([[Int]], Double) = ([], 0)
    for (index, clip) in clips.enumerated() {
      var generator = SeededGenerator(seed: seed, stream: 0x7368_6164, UInt64(index))
      let (shown, shadowed) = clip.shadowed(
        by: drawn, of: Array(clip.frames.indices.dropFirst()), using: &generator)
      shadows.append(shadowed)
      let maps = try Self.segmented(shown, by: model, givesFirstMask: givesFirstMask)
      for (position, label) in labels.enumerated() {
        found[position].append(maps.map { $0.map { $0 == label.rawValue } })
        truth[position].append(clip.labels.map { $0.map { $0 == label.rawValue } })
      }
      let volumes = maps.map { map in
        SimpsonVolume.volume(
          of: ChamberMask(
            map.map { $0 == HeartLabel.ventricle.rawValue }, height: clip.height,
            width: clip.width, spacing: (clip.spacing, clip.spacing)))
      }
      let percent = EjectionFraction.percent(
        endDiastolic: volumes.max() ?? 0, endSystolic: volumes.min() ?? 0)
      error += abs((percent ?? 0) - clip.ejectionFraction)
    }
    structures = labels.enumerated().map { position, label in
      Structure(label.name, found[position], truth[position], shadows)
    }
    ejectionFractionError = error / Double(max(1, clips.count))
    self.clips = clips.count
    frames = clips.reduce(0) { $0 + $1.frames.count }
    shadowedFrames = shadows.reduce(0) { $0 + $1.count }
  }

  /// The structure of each pixel of each frame.
  private static func segmented(
    _ clip: EchoClip, by model: GDKVM, givesFirstMask: Bool
  ) throws -> [[UInt8]] {
    let batch = EchoDataset.tensors(
      clip, Array(clip.frames.indices), objects: model.configuration.objects)
    var state: GDKVMState?
    return try clip.frames.indices.map { index in
      let image = batch.clips.sliced(axis: 1, index..<index + 1)
        .reshaped(to: [1, clip.height, clip.width, 1])
      let result = model.step(
        model.encoded(image), state: state,
        firstMasks: givesFirstMask && index == 0 ? batch.firstMasks : nil)
      state = result.state
      return try labels(result.frame.logits, frame: index)
    }
  }

  /// The most probable structure of each pixel of a frame, `[1, H, W, N + 1]`.
  private static func labels(
    _ logits: Tensor, frame: Int
  ) throws(InferenceError) -> [UInt8] {
    let classes = logits.shape.channels
    guard let labels = logits.withValues({ mostProbableClasses($0, classes: classes) }) else {
      throw .outputNotFinite(slice: frame)
    }
    return labels
  }
}

extension EchoEvaluation.Structure {
  fileprivate init(
    _ name: String, _ found: [[[Bool]]], _ truth: [[[Bool]]], _ shadows: [[Int]]
  ) {
    var (all, shadowed): ([Double], [Double]) = ([], [])
    for clip in found.indices {
      for frame in found[clip].indices {
        guard let dice = TemporalConsistency.dice(found[clip][frame], truth[clip][frame])
        else { continue }
        all.append(dice)
        if shadows[clip].contains(frame) { shadowed.append(dice) }
      }
    }
    self.name = name
    dice = all.reduce(0, +) / Double(max(1, all.count))
    shadowedDice =
      shadowed.isEmpty ? nil : shadowed.reduce(0, +) / Double(shadowed.count)
    let areas = truth.map { frames in
      Double(frames.reduce(0) { $0 + $1.count { $0 } }) / Double(max(1, frames.count))
    }
    consistency = TemporalConsistency(found, areas: areas)
    trueConsistency = TemporalConsistency(truth, areas: areas)
  }
}
