extension Reference {
  /// Analysis of `x: [n, inner]` into `m` coefficients of both bands, by the map of positions.
  public static func waveletAnalysis(
    _ x: [Float], map: [Int32], low: [Float], high: [Float], m: Int, inner: Int
  ) -> (low: [Double], high: [Double]) {
    var bands = (
      low: [Double](repeating: 0, count: m * inner), high: [Double](repeating: 0, count: m * inner)
    )
    for i in 0..<m {
      for t in low.indices where map[2 * i + t] >= 0 {
        for c in 0..<inner {
          let value = Double(x[Int(map[2 * i + t]) * inner + c])
          bands.low[i * inner + c] += Double(low[t]) * value
          bands.high[i * inner + c] += Double(high[t]) * value
        }
      }
    }
    return bands
  }

  /// The transpose: `[n, inner]` from both bands.
  public static func waveletSynthesis(
    low: [Float], high: [Float], map: [Int32], lowTaps: [Float], highTaps: [Float], n: Int,
    inner: Int
  ) -> [Double] {
    var x = [Double](repeating: 0, count: n * inner)
    for i in 0..<low.count / inner {
      for t in lowTaps.indices where map[2 * i + t] >= 0 {
        for c in 0..<inner {
          x[Int(map[2 * i + t]) * inner + c] +=
            Double(lowTaps[t]) * Double(low[i * inner + c])
            + Double(highTaps[t]) * Double(high[i * inner + c])
        }
      }
    }
    return x
  }

  /// The offsets (dy, dx) of the context shift.
  public static let shiftOffsets = [
    (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0), (1, 1), (-1, -1), (1, -1),
    (-1, 1), (2, 2), (-2, -2), (2, -2), (-2, 2),
  ]

  /// `keep · x + moved · shifted x + blocks` on `[height, width, c]`.
  public static func contextShift(
    _ x: [Float], blocks: [Float]?, ends: [Int32], direction: Int, keep: Double, moved: Double,
    height: Int, width: Int, c: Int
  ) -> [Double] {
    var y = x.map { keep * Double($0) }
    for row in 0..<height {
      for column in 0..<width {
        for channel in 0..<c {
          let at = (row * width + column) * c + channel
          if let blocks {
            y[at] += Double(blocks[(row / 2 * (width / 2) + column / 2) * c + channel])
          }
          guard let group = ends.firstIndex(where: { channel < Int($0) }) else { continue }
          let (dy, dx) = shiftOffsets[group]
          let (i, j) = (row - direction * dy, column - direction * dx)
          guard (0..<height).contains(i), (0..<width).contains(j) else { continue }
          y[at] += moved * Double(x[(i * width + j) * c + channel])
        }
      }
    }
    return y
  }

  /// Calls `body` with each product of a convolution with a kernel of its own at every position:
  /// indices of the output, the input and the weight.
  public static func adaptive(
    kernel: Int, group: Int, height: Int, width: Int, c: Int,
    _ body: (_ output: Int, _ input: Int, _ weight: Int) -> Void
  ) {
    for row in 0..<height {
      for column in 0..<width {
        for channel in 0..<c {
          for i in 0..<kernel {
            for j in 0..<kernel {
              let (r, s) = (row + i - kernel / 2, column + j - kernel / 2)
              guard (0..<height).contains(r), (0..<width).contains(s) else { continue }
              let pixel = row * width + column
              body(
                pixel * c + channel, (r * width + s) * c + channel,
                (pixel * (c / group) + channel / group) * kernel * kernel + i * kernel + j)
            }
          }
        }
      }
    }
  }
}
