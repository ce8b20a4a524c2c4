/// The sizes of a translation-variant convolution, as its naive loop wants them.
public struct TVConvProblem: Sendable, CustomStringConvertible {
  /// Images.
  public let batch: Int
  /// Channels.
  public let c: Int
  /// Side of the kernels, odd.
  public let kernel: Int
  /// Steps along both axes.
  public let stride: Int
  /// Rows of the input.
  public let height: Int
  /// Columns of the input.
  public let width: Int

  /// A problem of the given sizes.
  public init(batch: Int, c: Int, kernel: Int, stride: Int, height: Int, width: Int) {
    self.batch = batch
    self.c = c
    self.kernel = kernel
    self.stride = stride
    self.height = height
    self.width = width
  }

  /// Rows of the output.
  public var rows: Int { (height - 1) / stride + 1 }
  /// Columns of the output.
  public var columns: Int { (width - 1) / stride + 1 }
  /// Elements of the input.
  public var inputCount: Int { batch * height * width * c }
  /// Elements of the output.
  public var outputCount: Int { batch * rows * columns * c }
  /// Elements of the weights.
  public var weightCount: Int { rows * columns * kernel * kernel * c }

  /// The sizes in words.
  public var description: String {
    "\(kernel)x\(kernel), stride \(stride), \(batch)x\(height)x\(width)x\(c)"
  }

  /// Calls `body` with the indices of every product of an input element and a weight, and of the output
  /// element that it is added to.
  public func forEachProduct(_ body: (_ output: Int, _ input: Int, _ weight: Int) -> Void) {
    for n in 0..<batch {
      for row in 0..<rows {
        for column in 0..<columns {
          for i in 0..<kernel {
            for j in 0..<kernel {
              let y = row * stride + i - kernel / 2
              let x = column * stride + j - kernel / 2
              guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
              for channel in 0..<c {
                let position = row * columns + column
                body(
                  (n * rows * columns + position) * c + channel,
                  ((n * height + y) * width + x) * c + channel,
                  (position * kernel * kernel + i * kernel + j) * c + channel)
              }
            }
          }
        }
      }
    }
  }
}
