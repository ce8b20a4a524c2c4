extension Reference {
  /// Depthwise convolution of `x: [height, width, c]` with `taps: [kernel · kernel][c]`, stride 1, zero
  /// padding to the same size.
  public static func depthwise(
    _ x: [Float], _ taps: [Float], kernel: Int, height: Int, width: Int, c: Int
  ) -> [Double] {
    var y = [Double](repeating: 0, count: height * width * c)
    forEachTap(kernel: kernel, height: height, width: width) { output, input, tap in
      for channel in 0..<c {
        y[output * c + channel] +=
          Double(x[input * c + channel]) * Double(taps[tap * c + channel])
      }
    }
    return y
  }

  /// The gradient of ``depthwise(_:_:kernel:height:width:c:)`` with respect to x.
  public static func depthwiseInputGradient(
    _ dy: [Float], _ taps: [Float], kernel: Int, height: Int, width: Int, c: Int
  ) -> [Double] {
    var dx = [Double](repeating: 0, count: height * width * c)
    forEachTap(kernel: kernel, height: height, width: width) { output, input, tap in
      for channel in 0..<c {
        dx[input * c + channel] +=
          Double(dy[output * c + channel]) * Double(taps[tap * c + channel])
      }
    }
    return dx
  }

  /// The gradient of ``depthwise(_:_:kernel:height:width:c:)`` with respect to the taps.
  public static func depthwiseTapGradient(
    _ dy: [Float], _ x: [Float], kernel: Int, height: Int, width: Int, c: Int
  ) -> [Double] {
    var dtaps = [Double](repeating: 0, count: kernel * kernel * c)
    forEachTap(kernel: kernel, height: height, width: width) { output, input, tap in
      for channel in 0..<c {
        dtaps[tap * c + channel] +=
          Double(dy[output * c + channel]) * Double(x[input * c + channel])
      }
    }
    return dtaps
  }

  private static func forEachTap(
    kernel: Int, height: Int, width: Int, _ body: (_ output: Int, _ input: Int, _ tap: Int) -> Void
  ) {
    for row in 0..<height {
      for column in 0..<width {
        for i in 0..<kernel {
          for j in 0..<kernel {
            let (y, x) = (row + i - kernel / 2, column + j - kernel / 2)
            guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
            body(row * width + column, y * width + x, i * kernel + j)
          }
        }
      }
    }
  }
}
