import Foundation
public import Randomness

/// The acoustic shadow of a rib or of lung in one frame: in a part of the sector the echoes are lost.
///
/// Levels fall by `depth · exp(−((θ − angle) / width)⁴)`, which is flat in the middle and has soft edges.
public struct EchoShadow: Equatable, Sendable {
  /// The direction of its middle, radians from the vertical, positive to the right.
  public let angle: Double
  /// Where the loss has fallen to 1/e of the full one, radians from the middle.
  public let width: Double
  /// How far levels fall; 1 is the whole range of the display.
  public let depth: Double

  /// A shadow.
  public init(angle: Double, width: Double, depth: Double) {
    (self.angle, self.width, self.depth) = (angle, width, depth)
  }

  /// A shadow that hides a part of the ventricle: its middle lies over any pixel of the cavity; nil if the
  /// frame shows no ventricle.
  ///
  /// - Parameters:
  ///   - clip: The clip.
  ///   - frame: The frame that it shades.
  ///   - widths: Between which ``width`` is drawn.
  ///   - generator: Draws.
  public init?(
    over clip: EchoClip, frame: Int, widths: ClosedRange<Double>,
    using generator: inout SeededGenerator
  ) {
    let inside = clip.labels[frame].indices.filter {
      clip.labels[frame][$0] == HeartLabel.ventricle.rawValue
    }
    guard !inside.isEmpty else { return nil }
    let pixel = inside[generator.nextInt(below: inside.count)]
    let (x, y) = EchoSimulator.position(
      row: pixel / clip.width, column: pixel % clip.width, width: clip.width,
      spacing: clip.spacing)
    self.init(
      angle: atan2(x, y),
      width: widths.lowerBound
        + (widths.upperBound - widths.lowerBound) * generator.nextUniformDouble(),
      depth: 0.7 + 0.3 * generator.nextUniformDouble())
  }

  /// A frame behind the shadow, levels from 0 to 1.
  func darkened(_ frame: [Float], width columns: Int, spacing: Double) -> [Float] {
    frame.indices.map { pixel in
      let (x, y) = EchoSimulator.position(
        row: pixel / columns, column: pixel % columns, width: columns, spacing: spacing)
      let distance = (atan2(x, y) - angle) / width
      return max(0, frame[pixel] - Float(depth * exp(-pow(distance, 4))))
    }
  }
}

/// How often frames of a clip get an ``EchoShadow``, and how wide.
public struct EchoShadows: Equatable, Sendable {
  /// How likely a frame is to get one.
  public var part: Double
  /// Between which their widths are drawn, radians.
  public var widths: ClosedRange<Double>

  /// None, unless a part is given.
  public init(part: Double = 0, widths: ClosedRange<Double> = 0.12...0.26) {
    (self.part, self.widths) = (part, widths)
  }
}

extension EchoClip {
  /// The clip with shadows over some of its frames; labels and volumes stay true.
  ///
  /// - Parameter shadows: By the number of the frame.
  /// - Returns: The darkened clip.
  public func shadowed(_ shadows: [Int: EchoShadow]) -> EchoClip {
    guard !shadows.isEmpty else { return self }
    return EchoClip(
      height: height, width: width, spacing: spacing,
      frames: frames.enumerated().map { index, frame in
        shadows[index]?.darkened(frame, width: width, spacing: spacing) ?? frame
      }, labels: labels, volumes: volumes, endDiastole: endDiastole, endSystole: endSystole)
  }

  /// The clip with shadows over frames that are drawn.
  ///
  /// - Parameters:
  ///   - drawn: How often and how wide; the generator is not touched if the part is 0.
  ///   - candidates: Frames that may get one.
  ///   - generator: Draws frames and shadows.
  /// - Returns: The clip, and the frames with a shadow in ascending order.
  public func shadowed(
    by drawn: EchoShadows, of candidates: [Int], using generator: inout SeededGenerator
  ) -> (clip: EchoClip, frames: [Int]) {
    guard drawn.part > 0 else { return (self, []) }
    var shadows: [Int: EchoShadow] = [:]
    for frame in candidates where generator.nextUniformDouble() < drawn.part {
      shadows[frame] = EchoShadow(
        over: self, frame: frame, widths: drawn.widths, using: &generator)
    }
    return (shadowed(shadows), shadows.keys.sorted())
  }
}
