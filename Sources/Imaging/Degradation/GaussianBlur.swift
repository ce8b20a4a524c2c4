import Foundation

/// Convolution of a slice with a normalised Gaussian, the value at the edge repeated beyond it.
public struct GaussianBlur: Sendable, Equatable {
  /// The standard deviation, mm.
  public let sigma: Double

  /// A blur of a full width at half maximum.
  ///
  /// - Parameter fullWidth: In mm, finite and ≥ 0; `σ = w / (2 √(2 ln 2))`.
  public init(fullWidth: Double) {
    precondition(fullWidth >= 0 && fullWidth.isFinite, "GaussianBlur: width \(fullWidth)")
    sigma = fullWidth / (2 * (2 * log(2.0)).squareRoot())
  }

  /// Blurs a slice.
  ///
  /// - Parameters:
  ///   - image: Shape `[height, width]`.
  ///   - height: Rows.
  ///   - width: Columns.
  ///   - spacing: Side of the pixels, mm.
  /// - Returns: Shape `[height, width]`.
  public func applied(to image: [Float], height: Int, width: Int, spacing: Double) -> [Float] {
    let taps = taps(spacing)
    guard taps.count > 1 else { return image }
    let rows = Self.filtered(image, lines: height, length: width, (width, 1), taps)
    return Self.filtered(rows, lines: width, length: height, (1, width), taps)
  }

  /// Blurs each row by itself, as a line of detectors is.
  ///
  /// - Parameters:
  ///   - lines: Shape `[rows, length]`.
  ///   - length: Values of a row.
  ///   - spacing: Distance of neighbouring values, mm.
  /// - Returns: Shape `[rows, length]`.
  func applied(toRows lines: [Float], length: Int, spacing: Double) -> [Float] {
    let taps = taps(spacing)
    guard taps.count > 1 else { return lines }
    return Self.filtered(lines, lines: lines.count / length, length: length, (length, 1), taps)
  }

  /// Half of the kernel, centre first, cut at four standard deviations.
  private func taps(_ spacing: Double) -> [Float] {
    let s = sigma / spacing
    guard s > 1e-3 else { return [1] }
    let half = (0...Int((4 * s).rounded(.up))).map { exp(-Double($0 * $0) / (2 * s * s)) }
    let sum = 2 * half.reduce(0, +) - half[0]
    return half.map { Float($0 / sum) }
  }

  private static func filtered(
    _ image: [Float], lines: Int, length: Int, _ strides: (line: Int, step: Int), _ taps: [Float]
  ) -> [Float] {
    var result = image
    image.withUnsafeBufferPointer { image in
      for line in 0..<lines {
        let first = line * strides.line
        for position in 0..<length {
          var sum = taps[0] * image[first + position * strides.step]
          for k in 1..<taps.count {
            let before = max(0, position - k)
            let after = min(length - 1, position + k)
            sum +=
              taps[k]
              * (image[first + before * strides.step] + image[first + after * strides.step])
          }
          result[first + position * strides.step] = sum
        }
      }
    }
    return result
  }
}
