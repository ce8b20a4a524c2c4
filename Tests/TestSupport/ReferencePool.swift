extension Reference {
  /// One axis of a pooling: output o sees the inputs `o · stride − padding + i · dilation`, i < kernel.
  public struct PoolAxis: Sendable {
    /// Sizes and spacing, all in elements.
    public var input, output, kernel, stride, padding, dilation: Int

    /// An axis whose output size is that of windows that fit into the padded input.
    public init(input: Int, kernel: Int, stride: Int, padding: Int = 0, dilation: Int = 1) {
      self.input = input
      self.kernel = kernel
      self.stride = stride
      self.padding = padding
      self.dilation = dilation
      output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1
    }

    /// The inputs of a window, and how many taps lie in the input or its padding.
    func window(_ o: Int) -> (inputs: [Int], padded: Int) {
      let taps = (0..<kernel).map { o * stride - padding + $0 * dilation }
      return (
        taps.filter { (0..<input).contains($0) },
        taps.count { (-padding..<input + padding).contains($0) }
      )
    }
  }

  /// A window of a volume: flat input positions, and how many taps count with padding.
  private static func windows(_ axes: [PoolAxis]) -> [(inputs: [Int], padded: Int)] {
    var windows: [(inputs: [Int], padded: Int)] = []
    for d in 0..<axes[0].output {
      for h in 0..<axes[1].output {
        for w in 0..<axes[2].output {
          let parts = [axes[0].window(d), axes[1].window(h), axes[2].window(w)]
          var inputs: [Int] = []
          for i in parts[0].inputs {
            for j in parts[1].inputs {
              for k in parts[2].inputs {
                inputs.append((i * axes[1].input + j) * axes[2].input + k)
              }
            }
          }
          windows.append((inputs, parts.reduce(1) { $0 * $1.padded }))
        }
      }
    }
    return windows
  }

  /// Max pooling of `[depth, height, width, c]`: maxima and the input positions of their first
  /// occurrence (NaN: last occurrence).
  public static func maxPool(
    _ x: [Float], _ axes: [PoolAxis], c: Int
  ) -> (y: [Double], index: [Int32]) {
    var y: [Double] = []
    var index: [Int32] = []
    for window in windows(axes) {
      for channel in 0..<c {
        var best = window.inputs[0]
        for input in window.inputs {
          let value = x[input * c + channel]
          if value > x[best * c + channel] || value.isNaN { best = input }
        }
        y.append(Double(x[best * c + channel]))
        index.append(Int32(best))
      }
    }
    return (y, index)
  }

  /// The gradient of ``maxPool(_:_:c:)``.
  public static func maxPoolGradient(
    _ dy: [Float], index: [Int32], _ axes: [PoolAxis], c: Int
  ) -> [Double] {
    var dx = [Double](repeating: 0, count: axes.reduce(c) { $0 * $1.input })
    for (i, input) in index.enumerated() { dx[Int(input) * c + i % c] += Double(dy[i]) }
    return dx
  }

  /// Average pooling of `[depth, height, width, c]`.
  public static func averagePool(
    _ x: [Float], _ axes: [PoolAxis], countsPadding: Bool, c: Int
  ) -> [Double] {
    windows(axes).flatMap { window in
      let count = Double(countsPadding ? window.padded : window.inputs.count)
      return (0..<c).map { channel in
        window.inputs.reduce(0) { $0 + Double(x[$1 * c + channel]) } / count
      }
    }
  }

  /// The gradient of ``averagePool(_:_:countsPadding:c:)``.
  public static func averagePoolGradient(
    _ dy: [Float], _ axes: [PoolAxis], countsPadding: Bool, c: Int
  ) -> [Double] {
    var dx = [Double](repeating: 0, count: axes.reduce(c) { $0 * $1.input })
    for (o, window) in windows(axes).enumerated() {
      let count = Double(countsPadding ? window.padded : window.inputs.count)
      for input in window.inputs {
        for channel in 0..<c { dx[input * c + channel] += Double(dy[o * c + channel]) / count }
      }
    }
    return dx
  }
}
