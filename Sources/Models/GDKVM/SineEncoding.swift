import Foundation
import Synchronization
public import TensorCore

/// Sinusoidal encoding of positions in an image.
///
/// Half of the channels tells x, the other half y; of each half, sines and cosines alternate with
/// frequencies `temperature^(−2i/(C/2))`, and a position is `index / (last index + ε) · scale`.
///
/// Source: Cutie's position encoding, after Vaswani et al., NeurIPS 2017, §3.5.
public final class SineEncoding: Sendable {
  /// Channels, a multiple of 4.
  public let channels: Int
  /// The largest position.
  public let scale: Double
  /// The ratio of the largest frequency to (almost) the smallest.
  public let temperature: Double
  /// Added to the last index.
  public let eps: Double

  private let kept = Mutex<[[Int]: Tensor]>([:])

  /// An encoding; the defaults are the network's.
  public init(channels: Int, scale: Double = 32, temperature: Double = 128, eps: Double = 1e-6) {
    precondition(channels % 4 == 0, "sine encoding: \(channels) channels, not a multiple of 4")
    self.channels = channels
    self.scale = scale
    self.temperature = temperature
    self.eps = eps
  }

  /// The frequencies, `[channels / 4]`: a buffer of the authors' state dictionaries.
  public var frequencies: Tensor {
    Tensor([channels / 4], (0..<channels / 4).map { Float(frequency($0)) })
  }

  private func frequency(_ index: Int) -> Double {
    pow(temperature, -2 * Double(index) / Double(channels / 2))
  }

  /// The encoding of an image, `[height, width, channels]`; computed once per size.
  public func callAsFunction(height: Int, width: Int) -> Tensor {
    if let encoding = kept.withLock({ $0[[height, width]] }) { return encoding }
    let frequencies = (0..<channels / 4).map(frequency)
    func table(_ count: Int) -> [[Float]] {
      (0..<count).map { index in
        let position = Double(index) / (Double(count - 1) + eps) * scale
        return frequencies.flatMap { [Float(sin(position * $0)), Float(cos(position * $0))] }
      }
    }
    let (x, y) = (table(width), table(height))
    let encoding = Tensor(
      [height, width, channels],
      (0..<height).flatMap { row in (0..<width).flatMap { x[$0] + y[row] } })
    kept.withLock { kept in
      // A stream has one size; many sizes must not fill the memory.
      if kept.count > 16 { kept.removeAll() }
      kept[[height, width]] = encoding
    }
    return encoding
  }
}
