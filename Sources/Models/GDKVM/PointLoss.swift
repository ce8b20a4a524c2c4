public import Randomness
public import TensorCore

/// The losses of GDKVM at sampled points.
///
/// Source: the authors' code, after Kirillov et al., *PointRend*, CVPR 2020, §3.3.
public enum PointLoss {
  /// Cross-entropy at points: the mean over points of the sum over frames of `−Σ_c y_c log softmax(l)_c`.
  ///
  /// - Parameters:
  ///   - logits: `[F, P, N + 1]`, the frames of one clip.
  ///   - labels: As `logits`, a soft one-hot.
  /// - Returns: A scalar.
  public static func crossEntropy(logits: Tensor, labels: Tensor) -> Tensor {
    precondition(
      logits.shape == labels.shape && logits.shape.rank == 3,
      "point cross-entropy: logits \(logits.shape), labels \(labels.shape)")
    return (logits.logSoftmax() * labels).sum().scaled(by: -1 / Float(logits.shape[1]))
  }

  /// Dice loss at points: the sum over frames of `1 − (2Σpy + s) / (Σp + Σy + s)`, mean over objects.
  ///
  /// - Parameters:
  ///   - logits: `[F, P, N + 1]`, the frames of one clip.
  ///   - labels: As `logits`, a soft one-hot.
  ///   - channels: The objects that count; nil for all, which are 1 … N.
  ///   - smooth: s.
  /// - Returns: A scalar.
  public static func dice(
    logits: Tensor, labels: Tensor, channels: Range<Int>? = nil, smooth: Float = 1
  ) -> Tensor {
    precondition(
      logits.shape == labels.shape && logits.shape.rank == 3,
      "point dice: logits \(logits.shape), labels \(labels.shape)")
    let channels = channels ?? 1..<logits.shape[2]
    let p = logits.softmax().sliced(axis: 2, channels)
    let y = labels.sliced(axis: 2, channels)
    let both = (p * y).sum(axes: [1]).scaled(by: 2, adding: smooth)
    let either = (p.sum(axes: [1]) + y.sum(axes: [1])) + smooth
    return (1 - both / either).sum().scaled(by: 1 / Float(channels.count))
  }

  /// Points where a segmentation is least certain, and some anywhere.
  ///
  /// Of three times as many random points, the three quarters of `count` with the smallest
  /// |foreground log-odds|, and a quarter fresh ones.
  ///
  /// - Parameters:
  ///   - count: Points per frame, ≥ 1.
  ///   - logits: Log-odds, `[F, H, W, N + 1]`; with several objects their smallest magnitude counts.
  ///   - generator: Draws the points.
  /// - Returns: `(x, y)` in [0, 1), `[F, count, 2]`.
  public static func points(
    _ count: Int, logits: Tensor, using generator: inout SeededGenerator
  ) -> Tensor {
    let (frames, channels) = (logits.shape[0], logits.shape[3])
    let candidates = 3 * count
    let kept = 3 * count / 4
    var coordinates = [Float](repeating: 0, count: frames * candidates * 2)
    for index in coordinates.indices { coordinates[index] = generator.nextUniform() }
    let read = logits.detached()
      .sampled(at: Tensor([frames, candidates, 2], coordinates)).values
    var result: [Float] = []
    result.reserveCapacity(frames * count * 2)
    for frame in 0..<frames {
      let first = frame * candidates
      let distances = (first..<first + candidates).map { point -> Float in
        (1..<channels).map { read[point * channels + $0].magnitude }.min() ?? 0
      }
      // Ties go to the earlier point, so that equal seeds give equal points.
      let order = distances.indices.sorted {
        distances[$0] != distances[$1] ? distances[$0] < distances[$1] : $0 < $1
      }
      for index in order.prefix(kept) {
        result += coordinates[2 * (first + index)..<2 * (first + index + 1)]
      }
      for _ in 0..<2 * (count - kept) { result.append(generator.nextUniform()) }
    }
    return Tensor([frames, count, 2], result)
  }

  /// Cross-entropy and Dice of one clip's supervised frames at points drawn for them.
  ///
  /// - Parameters:
  ///   - logits: Log-odds, `[F, H, W, N + 1]`.
  ///   - labels: One-hot, `[F, H', W', N + 1]`, of any resolution.
  ///   - count: Points per frame.
  ///   - generator: Draws the points.
  /// - Returns: A scalar.
  public static func total(
    logits: Tensor, labels: Tensor, points count: Int, using generator: inout SeededGenerator
  ) -> Tensor {
    let points = points(count, logits: logits, using: &generator)
    let (l, y) = (logits.sampled(at: points), labels.sampled(at: points))
    return crossEntropy(logits: l, labels: y) + dice(logits: l, labels: y)
  }
}
