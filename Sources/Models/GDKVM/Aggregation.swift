import Foundation
public import TensorCore

/// Lets objects and background compete: log-odds of each, from which a softmax makes probabilities.
///
/// With p = σ(logit) of each object, the background has probability `Π(1 − p)`; every probability c is
/// clamped to `[ε, 1 − ε]` and becomes `log(c / (1 − c))`. The background comes first.
///
/// Source: soft aggregation of Oh et al., *Space-Time Memory Networks*, ICCV 2019, §3.4, in the form of
/// GDKVM's code.
public enum Aggregation {
  /// ε of the network.
  public static let clamp = 1e-7

  /// Log-odds of probabilities `[…, N]`, `[…, N + 1]`.
  public static func logOdds(probabilities: Tensor, clamp: Double = Aggregation.clamp) -> Tensor {
    let objects = probabilities.shape.channels
    let others = 1 - probabilities
    var background = others.sliced(axis: -1, 0..<1)
    for object in 1..<max(1, objects) {
      background = background * others.sliced(axis: -1, object..<object + 1)
    }
    // 1 − c is clamped by itself: float32 cannot tell 1 − ε well enough to subtract it.
    let all = Tensor.concatenate([background, probabilities], axis: -1)
    let range = Float(clamp)...Float(1 - clamp)
    return all.clamped(to: range).logarithm() - (1 - all).clamped(to: range).logarithm()
  }

  /// Log-odds of logits `[…, N]`, `[…, N + 1]`.
  ///
  /// Formed without probabilities, which near 1 could not tell their log-odds in float32: those of an
  /// object are its logit, and those of the background are −log(Π(1 + e^{L}) − 1), built up object by
  /// object.
  public static func logOdds(logits: Tensor, clamp: Double = Aggregation.clamp) -> Tensor {
    let limit = Float(Self.limit(clamp))
    var any = logits.sliced(axis: -1, 0..<1)
    for object in 1..<max(1, logits.shape.channels) {
      // log((1 + e^a)(1 + e^b) − 1) = b + log(1 + e^{a + log(1 + e^{−b})}).
      let logit = logits.sliced(axis: -1, object..<object + 1)
      any = logit + (any + (-logit).softplus()).softplus()
    }
    return .concatenate([-any, logits], axis: -1).clamped(to: -limit...limit)
  }

  /// Log-odds at a quarter of the resolution as log-odds and object masks at full resolution.
  ///
  /// - Parameter logits: `[B, h, w, N]`.
  /// - Returns: Log-odds `[B, 4h, 4w, N + 1]` and probabilities of the objects `[B, 4h, 4w, N]`.
  static func upsampled(logits: Tensor) -> (logits: Tensor, masks: Tensor) {
    let (height, width, objects) = (logits.shape[1], logits.shape[2], logits.shape[3])
    func up(_ x: Tensor) -> Tensor {
      x.resized(to: [4 * height, 4 * width], mode: .linear(alignCorners: false))
    }
    if objects == 1 {
      // Background and object are each other's negative, before and after the interpolation, and the
      // softmax over both is a sigmoid of their difference.
      let limit = Float(limit(clamp))
      let object = up(logits.clamped(to: -limit...limit))
      return (.concatenate([-object, object], axis: -1), object.scaled(by: 2).sigmoid())
    }
    let all = up(logOdds(logits: logits))
    return (all, all.softmax().sliced(axis: -1, 1..<objects + 1))
  }

  /// The log-odds of 1 − ε.
  private static func limit(_ clamp: Double) -> Double { log((1 - clamp) / clamp) }
}

extension Tensor {
  /// The elements moved into a range.
  func clamped(to range: ClosedRange<Float>) -> Tensor {
    .minimum(.maximum(self, Tensor(range.lowerBound)), Tensor(range.upperBound))
  }
}
