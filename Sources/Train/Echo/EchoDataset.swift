import Foundation
public import Imaging
public import Randomness
public import TensorCore

/// Clips for training: what the network sees and what is true.
public struct EchoBatch: Sendable {
  /// `[B, T, H, W, 1]`, 0 to 1.
  public let clips: Tensor
  /// One-hot, the background first, `[B, T, H, W, N + 1]`.
  public let labels: Tensor

  /// The true masks of the first frame, `[B, H, W, N]`.
  public var firstMasks: Tensor {
    let s = labels.shape
    return labels.sliced(axis: 1, 0..<1).reshaped(to: [s[0], s[2], s[3], s[4]])
      .sliced(axis: 3, 1..<s[4])
  }
}

/// Simulated hearts, each over one whole cycle.
public struct EchoDataset: Sendable {
  /// One clip for each heart.
  public let clips: [EchoClip]

  /// Structures that count as objects, 1 … `objects` of ``HeartLabel``.
  public let objects: Int

  /// Simulates hearts.
  ///
  /// - Parameters:
  ///   - seeds: One heart each.
  ///   - frames: Frames of a cycle.
  ///   - size: Rows and columns.
  ///   - objects: The first structures of ``HeartLabel`` that are told apart.
  public init(
    seeds: Range<UInt64>, frames: Int, size: (height: Int, width: Int), objects: Int
  ) {
    let last = Double(frames - 1) / Double(frames)
    clips = seeds.map {
      EchoSimulator(seed: $0).clip(frames: frames, size: size, times: 0...last)
    }
    self.objects = objects
  }

  /// Random clips of random hearts: a window of the cycle, forwards, mirrored or not, brighter or darker.
  ///
  /// - Parameters:
  ///   - count: Clips, ≥ 1.
  ///   - frames: Frames of each.
  ///   - shadows: How often frames get an ``EchoShadow``, and how wide.
  ///   - generator: Draws.
  /// - Returns: The clips.
  public func batch(
    _ count: Int, frames: Int, shadows: EchoShadows = EchoShadows(),
    using generator: inout SeededGenerator
  ) -> EchoBatch {
    var (images, labels): ([Tensor], [Tensor]) = ([], [])
    for _ in 0..<count {
      let clip = clips[generator.nextInt(below: clips.count)]
      let start = generator.nextInt(below: clip.frames.count)
      // The cycle goes on after its last frame.
      let indices = (0..<frames).map { (start + $0) % clip.frames.count }
      let gamma = 0.75 + 0.6 * generator.nextUniform()
      let scale = 0.8 + 0.4 * generator.nextUniform()
      let isMirrored = generator.nextUniform() < 0.5
      let shown = clip.shadowed(by: shadows, of: indices, using: &generator).clip
      let sample = Self.tensors(
        shown, indices, objects: objects, isMirrored: isMirrored
      ) { min(1, scale * powf($0, gamma)) }
      images.append(sample.clips)
      labels.append(sample.labels)
    }
    return EchoBatch(
      clips: .concatenate(images, axis: 0), labels: .concatenate(labels, axis: 0))
  }

  /// Frames of one clip as a batch of one.
  public static func tensors(
    _ clip: EchoClip, _ indices: [Int], objects: Int, isMirrored: Bool = false,
    intensity: (Float) -> Float = { $0 }
  ) -> EchoBatch {
    let (height, width, classes) = (clip.height, clip.width, objects + 1)
    func source(_ pixel: Int) -> Int {
      isMirrored ? pixel / width * width + width - 1 - pixel % width : pixel
    }
    let pixels = height * width
    let images = Tensor([1, indices.count, height, width, 1]) { values in
      for (position, frame) in indices.enumerated() {
        for pixel in 0..<pixels {
          values[position * pixels + pixel] = intensity(clip.frames[frame][source(pixel)])
        }
      }
    }
    let labels = Tensor([1, indices.count, height, width, classes]) { values in
      values.update(repeating: 0)
      for (position, frame) in indices.enumerated() {
        for pixel in 0..<pixels {
          let label = Int(clip.labels[frame][source(pixel)])
          // Structures that are not told apart are background.
          values[(position * pixels + pixel) * classes + (label < classes ? label : 0)] = 1
        }
      }
    }
    return EchoBatch(clips: images, labels: labels)
  }
}
