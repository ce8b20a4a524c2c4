public import Imaging
public import Models
import TensorCore

/// How well a network segments clips whose truth is known.
public struct EchoEvaluation: Sendable {
  /// The mean Dice of each structure over all frames in which it is or is claimed.
  public let dice: [Double]
  /// How much the ventricle's Dice varies from one frame to the next: the mean of the magnitudes of
  /// the differences.
  public let flicker: Double
  /// The mean magnitude of the error of the ejection fraction by Simpson's 20 discs, in points.
  public let ejectionFractionError: Double

  /// Segments clips frame by frame and compares.
  ///
  /// - Parameters:
  ///   - model: In evaluation mode.
  ///   - clips: Of one size that the network takes.
  ///   - givesFirstMask: Whether the true mask of the first frame is given.
  public init(_ model: GDKVM, on clips: [EchoClip], givesFirstMask: Bool = false) {
    let objects = model.configuration.objects
    var sums = [Double](repeating: 0, count: objects)
    var counts = sums
    var (flickerSum, flickerCount, errorSum) = (0.0, 0.0, 0.0)
    for clip in clips {
      let batch = EchoDataset.tensors(clip, Array(clip.frames.indices), objects: objects)
      var state: GDKVMState?
      var (last, volumes): (Double?, [Double]) = (nil, [])
      for index in clip.frames.indices {
        let image = batch.clips.sliced(axis: 1, index..<index + 1)
          .reshaped(to: [1, clip.height, clip.width, 1])
        let result = model.step(
          model.encoded(image), state: state,
          firstMasks: givesFirstMask ? batch.firstMasks : nil)
        state = result.state
        let labels = Self.labels(result.frame.logits)
        for object in 0..<objects {
          guard let dice = Self.dice(labels, clip.labels[index], UInt8(object + 1)) else {
            continue
          }
          sums[object] += dice
          counts[object] += 1
          guard object == 0 else { continue }
          if let last {
            flickerSum += abs(dice - last)
            flickerCount += 1
          }
          last = dice
        }
        volumes.append(
          SimpsonVolume.volume(
            of: ChamberMask(
              labels.map { $0 == HeartLabel.ventricle.rawValue }, height: clip.height,
              width: clip.width, spacing: (clip.spacing, clip.spacing))))
      }
      let found =
        EjectionFraction.percent(
          endDiastolic: volumes.max() ?? 0, endSystolic: volumes.min() ?? 0) ?? 0
      errorSum += abs(found - clip.ejectionFraction)
    }
    dice = zip(sums, counts).map { $0 / max(1, $1) }
    flicker = flickerSum / max(1, flickerCount)
    ejectionFractionError = errorSum / Double(max(1, clips.count))
  }

  /// The most probable structure of each pixel of one frame, `[1, H, W, N + 1]`.
  static func labels(_ logits: Tensor) -> [UInt8] {
    let classes = logits.shape.channels
    return logits.withValues { values in
      (0..<values.count / classes).map { pixel in
        var best = 0
        for label in 1..<classes
        where values[pixel * classes + label] > values[pixel * classes + best] {
          best = label
        }
        return UInt8(best)
      }
    }
  }

  /// Nil if the structure is in neither.
  private static func dice(_ a: [UInt8], _ b: [UInt8], _ label: UInt8) -> Double? {
    var (both, sum) = (0, 0)
    for (x, y) in zip(a, b) {
      sum += (x == label ? 1 : 0) + (y == label ? 1 : 0)
      both += x == label && y == label ? 1 : 0
    }
    return sum == 0 ? nil : 2 * Double(both) / Double(sum)
  }
}
