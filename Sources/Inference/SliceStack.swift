/// A slice with its neighbours, as a network takes them: `[height, width, channels]`.
struct SliceStack {
  /// Interleaved intensities.
  var pixels: [Float]
  let height: Int
  let width: Int
  /// Slices, an odd number; the one in the middle is restored.
  let channels: Int

  /// Interleaves slices.
  ///
  /// - Parameters:
  ///   - slices: Each `[height, width]`, in the order of their places.
  ///   - height: Rows.
  ///   - width: Columns.
  init(_ slices: [[Float]], height: Int, width: Int) {
    self.height = height
    self.width = width
    channels = slices.count
    if slices.count == 1 {
      pixels = slices[0]
    } else {
      pixels = [Float](unsafeUninitializedCapacity: height * width * slices.count) {
        buffer, count in
        for (channel, slice) in slices.enumerated() {
          for index in slice.indices { buffer[index * slices.count + channel] = slice[index] }
        }
        count = height * width * slices.count
      }
    }
  }

  private init(pixels: [Float], height: Int, width: Int, channels: Int) {
    self.pixels = pixels
    self.height = height
    self.width = width
    self.channels = channels
  }

  /// The places of a slice and `reach` neighbours on either side among `count` slices; beyond the first
  /// and the last these stand in for what is not there.
  static func places(around place: Int, reach: Int, count: Int) -> [Int] {
    (place - reach...place + reach).map { min(max($0, 0), count - 1) }
  }

  /// A rectangle of all slices.
  func part(top: Int, left: Int, height: Int, width: Int) -> SliceStack {
    var part: [Float] = []
    part.reserveCapacity(height * width * channels)
    for row in top..<top + height {
      let first = (row * self.width + left) * channels
      part += pixels[first..<first + width * channels]
    }
    return SliceStack(pixels: part, height: height, width: width, channels: channels)
  }

  /// A mirror image, from the order of its pixels (``SliceSymmetry/order(_:_:)``).
  func mirrored(by symmetry: SliceSymmetry, _ order: [Int]) -> SliceStack {
    let size = symmetry.size(height, width)
    return SliceStack(
      pixels: channels == 1
        ? order.map { pixels[$0] }
        : order.flatMap { pixels[$0 * channels..<($0 + 1) * channels] },
      height: size.height, width: size.width, channels: channels)
  }
}
