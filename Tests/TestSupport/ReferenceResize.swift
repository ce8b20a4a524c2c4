extension Reference {
  /// How a resampled position reads its input.
  public enum ResizeMode: CaseIterable, Sendable {
    /// Input ⌊o · scale⌋.
    case nearest
    /// Linear between pixel centres, `(o + ½) · scale − ½`.
    case linear
    /// Linear with first and last centres aligned.
    case linearCorners
  }

  /// The matrix `[output][input]` of one axis.
  public static func resizeMatrix(_ mode: ResizeMode, input: Int, output: Int) -> [[Double]] {
    let scale = Double(input) / Double(output)
    return (0..<output).map { o in
      let position: Double
      switch mode {
      case .nearest: position = (Double(o) * scale).rounded(.down)
      case .linear: position = (Double(o) + 0.5) * scale - 0.5
      case .linearCorners: position = output == 1 ? 0 : Double(o * (input - 1)) / Double(output - 1)
      }
      // A hat of width 1 around the clamped position.
      let clamped = min(max(position, 0), Double(input - 1))
      return (0..<input).map { max(0, 1 - abs(Double($0) - clamped)) }
    }
  }

  /// Resamples `x: [depth, height, width, c]` with one matrix per axis.
  public static func resize(_ x: [Float], _ matrices: [[[Double]]], c: Int) -> [Double] {
    var y: [Double] = []
    for depth in matrices[0] {
      for height in matrices[1] {
        for width in matrices[2] {
          for channel in 0..<c {
            var sum = 0.0
            for (d, a) in depth.enumerated() where a != 0 {
              for (h, b) in height.enumerated() where b != 0 {
                for (w, e) in width.enumerated() where e != 0 {
                  let input = (d * height.count + h) * width.count + w
                  sum += a * b * e * Double(x[input * c + channel])
                }
              }
            }
            y.append(sum)
          }
        }
      }
    }
    return y
  }
}
