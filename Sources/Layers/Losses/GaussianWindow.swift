import Foundation
import TensorCore

/// The weights with which structural similarity looks at the pixels around one.
///
/// Source: Wang et al., *Image Quality Assessment*, IEEE TIP 13(4), 2004.
enum GaussianWindow {
  /// Depthwise kernels of sum 1.
  ///
  /// - Parameters:
  ///   - side: Pixels, odd.
  ///   - sigma: Standard deviation, pixels.
  ///   - channels: How many kernels, all alike.
  /// - Returns: Shape `[channels, 1, side, side]`.
  static func kernel(side: Int, sigma: Double, channels: Int) -> Tensor {
    let half = Double(side / 2)
    let line = (0..<side).map { exp(-pow(Double($0) - half, 2) / (2 * sigma * sigma)) }
    let total = line.reduce(0, +)
    let plane = line.flatMap { a in line.map { b in Float(a * b / (total * total)) } }
    return Tensor([channels, 1, side, side], (0..<channels).flatMap { _ in plane })
  }
}
