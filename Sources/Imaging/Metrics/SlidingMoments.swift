/// The windowed first and second moments of a pair of images, one output plane at a time.
///
/// The window is a product over the axes, so it is applied axis by axis. Along depth a ring of as many
/// filtered planes as the window is long suffices, whatever the depth: a 256³ pair takes 30 MB.
struct SlidingMoments {
  /// The moments of one output plane, each with `count` values.
  struct Plane {
    let x: UnsafePointer<Double>
    let y: UnsafePointer<Double>
    let xx: UnsafePointer<Double>
    let yy: UnsafePointer<Double>
    let xy: UnsafePointer<Double>
    let count: Int
  }

  private let weights: [Double]
  /// The weights along depth; a single 1 for a 2D image.
  private let depthWeights: [Double]
  private let depth: Int
  private let height: Int
  private let width: Int
  private let padding: Int
  private let depthPadding: Int

  private static let momentCount = 5

  /// Creates the moments of images of one shape.
  ///
  /// - Parameters:
  ///   - weights: The window along each axis, odd length.
  ///   - shape: `[height, width]` or `[depth, height, width]`.
  ///   - padding: The zeros that continue the image on each side; with these, no axis is shorter than
  ///     the window.
  init(weights: [Double], shape: [Int], padding: Int) {
    let isFlat = shape.count == 2
    self.weights = weights
    depthWeights = isFlat ? [1] : weights
    depth = isFlat ? 1 : shape[0]
    height = shape[shape.count - 2]
    width = shape[shape.count - 1]
    self.padding = padding
    depthPadding = isFlat ? 0 : padding
  }

  private var paddedHeight: Int { height + 2 * padding }
  private var paddedWidth: Int { width + 2 * padding }
  private var outputHeight: Int { paddedHeight - weights.count + 1 }
  private var outputWidth: Int { paddedWidth - weights.count + 1 }
  private var outputArea: Int { outputHeight * outputWidth }

  /// Calls a closure with the moments of each output plane, in order of depth.
  func forEachPlane(
    of first: [Float], and second: [Float], _ body: (Plane) -> Void
  ) {
    let taps = depthWeights.count
    let planeSize = Self.momentCount * outputArea
    let products = Workspace(Self.momentCount * paddedHeight * paddedWidth)
    let row = Workspace(paddedWidth)
    let ring = Workspace(taps * planeSize)
    let sums = Workspace(planeSize)

    for position in 0..<depth + 2 * depthPadding {
      let slice = position - depthPadding
      let slot = ring.pointer + position % taps * planeSize
      if (0..<depth).contains(slice) {
        multiply(first, second, slice: slice, into: products.pointer)
        for moment in 0..<Self.momentCount {
          filter(
            products.pointer + moment * paddedHeight * paddedWidth,
            into: slot + moment * outputArea, row: row.pointer)
        }
      } else {
        slot.update(repeating: 0, count: planeSize)
      }
      guard position >= taps - 1 else { continue }
      sums.pointer.update(repeating: 0, count: planeSize)
      for tap in 0..<taps {
        let plane = ring.pointer + (position - taps + 1 + tap) % taps * planeSize
        add(plane, times: depthWeights[tap], to: sums.pointer, count: planeSize)
      }
      let base = UnsafePointer(sums.pointer)
      body(
        Plane(
          x: base, y: base + outputArea, xx: base + 2 * outputArea, yy: base + 3 * outputArea,
          xy: base + 4 * outputArea, count: outputArea))
    }
  }

  /// Writes x, y, x², y², xy of one slice, each a padded plane.
  private func multiply(
    _ first: [Float], _ second: [Float], slice: Int, into products: UnsafeMutablePointer<Double>
  ) {
    let area = paddedHeight * paddedWidth
    for y in 0..<height {
      let source = (slice * height + y) * width
      let target = (y + padding) * paddedWidth + padding
      for x in 0..<width {
        let a = Double(first[source + x])
        let b = Double(second[source + x])
        let at = target + x
        products[at] = a
        products[at + area] = b
        products[at + 2 * area] = a * a
        products[at + 3 * area] = b * b
        products[at + 4 * area] = a * b
      }
    }
  }

  /// Applies the window along both axes of a padded plane.
  private func filter(
    _ plane: UnsafePointer<Double>, into output: UnsafeMutablePointer<Double>,
    row: UnsafeMutablePointer<Double>
  ) {
    for y in 0..<outputHeight {
      row.update(repeating: 0, count: paddedWidth)
      for (tap, weight) in weights.enumerated() {
        add(plane + (y + tap) * paddedWidth, times: weight, to: row, count: paddedWidth)
      }
      let target = output + y * outputWidth
      target.update(repeating: 0, count: outputWidth)
      for (tap, weight) in weights.enumerated() {
        add(row + tap, times: weight, to: target, count: outputWidth)
      }
    }
  }

  @inline(__always)
  private func add(
    _ source: UnsafePointer<Double>, times weight: Double,
    to target: UnsafeMutablePointer<Double>, count: Int
  ) {
    for index in 0..<count { target[index] += weight * source[index] }
  }
}

/// Memory for intermediate values, zero at first.
private final class Workspace {
  let pointer: UnsafeMutablePointer<Double>

  init(_ count: Int) {
    pointer = .allocate(capacity: count)
    pointer.initialize(repeating: 0, count: count)
  }

  deinit { pointer.deallocate() }
}
