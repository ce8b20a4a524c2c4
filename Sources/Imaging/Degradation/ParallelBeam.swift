import Foundation

/// Line integrals of a slice in parallel beams over half a turn, and their transpose.
///
/// A ray of view θ at detector position s is the line `x cos θ + y sin θ = s`, x and y in pixels
/// from the slice's centre. Along the image axis nearest to the ray each row (or column) contributes
/// one value, interpolated linearly between its two nearest pixels, times the ray's length per row.
/// Detectors are one pixel wide and cover the diagonal; pixels outside the slice are 0.
///
/// Source: Joseph, *An Improved Algorithm for Reprojecting Rays through Pixel Images*, IEEE
/// Transactions on Medical Imaging 1(3), 1982.
public struct ParallelBeam: Sendable, Equatable {
  /// The number of columns of the slice.
  public let width: Int
  /// The number of rows of the slice.
  public let height: Int
  /// The side of a pixel and of a detector, mm.
  public let pixel: Double
  /// The number of views over 180 degrees.
  public let views: Int
  /// The number of detectors of a view.
  public let detectors: Int
  private let cosines: [Double]
  private let sines: [Double]

  /// A geometry for slices of one size.
  ///
  /// - Parameters:
  ///   - height: Rows, ≥ 1.
  ///   - width: Columns, ≥ 1.
  ///   - pixel: Side of a pixel in mm, > 0.
  ///   - views: Views over 180 degrees, ≥ 1.
  public init(height: Int, width: Int, pixel: Double, views: Int) {
    precondition(
      height > 0 && width > 0 && pixel > 0 && views > 0,
      "ParallelBeam: \([height, width]), pixel \(pixel) mm, \(views) views")
    self.height = height
    self.width = width
    self.pixel = pixel
    self.views = views
    let diagonal = Double(height * height + width * width).squareRoot()
    detectors = Int(diagonal.rounded(.up)) + 3
    let angles = (0..<views).map { Double($0) * .pi / Double(views) }
    cosines = angles.map(Self.cosine)
    sines = angles.map { Self.cosine($0 - .pi / 2) }
  }

  /// The line integrals of a slice: a sinogram of shape `[views, detectors]`.
  ///
  /// - Parameter image: Values per mm, shape `[height, width]`.
  /// - Returns: Values times mm, without unit.
  public func projected(_ image: [Float]) -> [Float] {
    let padded = PaddedSlice(image, height: height, width: width)
    var sinogram = [Float](repeating: 0, count: views * detectors)
    sinogram.withUnsafeMutableBufferPointer { lines in
      guard let base = lines.baseAddress else { return }
      for view in 0..<views { project(padded, view: view, into: base + view * detectors) }
    }
    return sinogram
  }

  /// Adds one view's line integrals of a padded slice to a line that is 0.
  func project(_ image: PaddedSlice, view: Int, into line: UnsafeMutablePointer<Float>) {
    let ray = ray(view)
    let (rows, stride) = image.rows(alongColumns: ray.isSteep)
    rows.withUnsafeBufferPointer { pixels in
      guard var row = pixels.baseAddress else { return }
      for index in 0..<ray.rows {
        let (range, start) = ray.detectors(ofRow: index, count: detectors)
        var position = start
        for detector in range {
          let left = position.whole
          line[detector] += row[left] + position.fraction * (row[left &+ 1] - row[left])
          position.move(by: ray.step)
        }
        row += stride
      }
    }
    let length = Float(pixel * ray.length)
    for detector in 0..<detectors { line[detector] *= length }
  }

  /// The transpose of ``projected(_:)`` over some of the views: `⟨A x, y⟩ = ⟨x, Aᵀ y⟩`.
  ///
  /// - Parameters:
  ///   - sinogram: Shape `[views, detectors]`.
  ///   - chosen: The views that count; all if nil.
  /// - Returns: Shape `[height, width]`.
  public func transposed(
    _ sinogram: [Float], views chosen: StrideTo<Int>? = nil
  ) -> [Float] {
    precondition(
      sinogram.count == views * detectors,
      "ParallelBeam: \(sinogram.count) values for [\(views), \(detectors)]")
    var sums = PaddedSlice(height: height, width: width)
    sinogram.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return }
      for view in chosen ?? stride(from: 0, to: views, by: 1) {
        scatter(base + view * detectors, view: view, into: &sums)
      }
    }
    return sums.folded()
  }

  private func scatter(
    _ line: UnsafePointer<Float>, view: Int, into sums: inout PaddedSlice
  ) {
    let ray = ray(view)
    let length = Float(pixel * ray.length)
    sums.update(alongColumns: ray.isSteep) { pixels, stride in
      var row = pixels
      for index in 0..<ray.rows {
        let (range, start) = ray.detectors(ofRow: index, count: detectors)
        var position = start
        for detector in range {
          let left = position.whole
          let right = length * line[detector] * position.fraction
          row[left] += length * line[detector] - right
          row[left &+ 1] += right
          position.move(by: ray.step)
        }
        row += stride
      }
    }
  }

  /// Sums a sinogram over all views at each pixel's own detector position, times π / views.
  ///
  /// This is the back-projection of filtered back-projection: with a sinogram that was filtered by
  /// the ramp in 1/mm it gives values per mm.
  ///
  /// - Parameter sinogram: Shape `[views, detectors]`.
  /// - Returns: Shape `[height, width]`.
  public func backProjected(_ sinogram: [Float]) -> [Float] {
    precondition(
      sinogram.count == views * detectors,
      "ParallelBeam: \(sinogram.count) values for [\(views), \(detectors)]")
    var image = [Float](repeating: 0, count: height * width)
    let centre = Double(detectors - 1) / 2
    image.withUnsafeMutableBufferPointer { image in
      sinogram.withUnsafeBufferPointer { sinogram in
        guard let pixels = image.baseAddress, let lines = sinogram.baseAddress else { return }
        for view in 0..<views {
          let line = lines + view * detectors
          let step = FixedPoint(cosines[view])
          for y in 0..<height {
            let row = pixels + y * width
            var position = FixedPoint(
              centre + (Double(y) - Double(height - 1) / 2) * sines[view]
                - Double(width - 1) / 2 * cosines[view])
            for x in 0..<width {
              let left = position.whole
              row[x] += line[left] + position.fraction * (line[left &+ 1] - line[left])
              position.move(by: step)
            }
          }
        }
        let factor = Float(.pi / Double(views))
        for index in 0..<height * width { pixels[index] *= factor }
      }
    }
    return image
  }

  private func ray(_ view: Int) -> Ray {
    let (c, s) = (cosines[view], sines[view])
    // A steep ray runs along y and meets one place in each row; another one in each column.
    let isSteep = abs(c) >= abs(s)
    return isSteep
      ? Ray(along: s, across: c, rows: height, columns: width, isSteep: true, detectors)
      : Ray(along: c, across: s, rows: width, columns: height, isSteep: false, detectors)
  }

  /// The cosine, exactly 0 at a right angle.
  private static func cosine(_ angle: Double) -> Double {
    let value = cos(angle)
    return abs(value) < 1e-15 ? 0 : value
  }
}

/// One view's rays in the frame in which they meet each row once.
private struct Ray {
  let isSteep: Bool
  let rows: Int
  /// Ray length per row, in pixels.
  let length: Double
  /// How far neighbouring detectors' rays are apart in a row, in pixels.
  let step: FixedPoint
  private let spacing: Double
  private let first: Double
  private let slope: Double
  private let width: Double

  init(
    along: Double, across: Double, rows: Int, columns: Int, isSteep: Bool, _ detectors: Int
  ) {
    self.isSteep = isSteep
    self.rows = rows
    length = 1 / abs(across)
    spacing = 1 / across
    step = FixedPoint(spacing)
    // Column of detector 0 in row 0, counted in the padded row.
    let (s, y) = (-Double(detectors - 1) / 2, -Double(rows - 1) / 2)
    first = (s - y * along) / across + Double(columns - 1) / 2 + 1
    slope = -along / across
    width = Double(columns)
  }

  /// The detectors whose rays meet a row inside its padded width, and the first one's column.
  func detectors(ofRow row: Int, count: Int) -> (range: Range<Int>, start: FixedPoint) {
    let step = spacing
    let column = first + Double(row) * slope
    // Wanted: 0 ≤ column + j · step < width + 1, with a margin for the rounding of the steps.
    let (low, high) = (1e-3, width + 1 - 1e-3)
    let ends = step > 0 ? (low, high) : (high, low)
    let lower = max(0, Int(((ends.0 - column) / step).rounded(.up)))
    let upper = min(count, Int(((ends.1 - column) / step).rounded(.down)) + 1)
    guard lower < upper else { return (0..<0, FixedPoint(0)) }
    return (lower..<upper, FixedPoint(column + Double(lower) * step))
  }
}

/// A position along a line in steps of 2⁻²⁴, whose parts cost no conversion with a check.
///
/// A thousand steps are off by less than 1e-4.
private struct FixedPoint {
  private var bits: Int

  init(_ value: Double) { bits = Int((value * 0x1p24).rounded()) }

  /// The position rounded down.
  @inline(__always) var whole: Int { bits &>> 24 }

  /// What is left, in `0 ..< 1`.
  @inline(__always) var fraction: Float {
    Float(Int32(truncatingIfNeeded: bits & 0xFF_FFFF)) * 0x1p-24
  }

  @inline(__always) mutating func move(by step: FixedPoint) { bits &+= step.bits }
}

/// A slice with a border of one zero pixel, by rows and by columns.
struct PaddedSlice {
  let height: Int
  let width: Int
  private var byRows: [Float]
  private var byColumns: [Float]

  /// Zeros.
  init(height: Int, width: Int) {
    self.height = height
    self.width = width
    byRows = [Float](repeating: 0, count: height * (width + 2))
    byColumns = [Float](repeating: 0, count: width * (height + 2))
  }

  /// The pixels of a slice, shape `[height, width]`.
  init(_ image: [Float], height: Int, width: Int) {
    precondition(
      image.count == height * width, "ParallelBeam: \(image.count) pixels for \([height, width])")
    self.init(height: height, width: width)
    for y in 0..<height {
      for x in 0..<width {
        let value = image[y * width + x]
        byRows[y * (width + 2) + x + 1] = value
        byColumns[x * (height + 2) + y + 1] = value
      }
    }
  }

  /// The rows (or the columns) and how far they are apart.
  func rows(alongColumns isSteep: Bool) -> (pixels: [Float], stride: Int) {
    isSteep ? (byRows, width + 2) : (byColumns, height + 2)
  }

  /// Changes the rows (or the columns).
  mutating func update(
    alongColumns isSteep: Bool, _ body: (UnsafeMutablePointer<Float>, Int) -> Void
  ) {
    if isSteep {
      byRows.withUnsafeMutableBufferPointer { $0.baseAddress.map { body($0, width + 2) } }
    } else {
      byColumns.withUnsafeMutableBufferPointer { $0.baseAddress.map { body($0, height + 2) } }
    }
  }

  /// Both arrays added up, without the border: shape `[height, width]`.
  func folded() -> [Float] {
    var image = [Float](repeating: 0, count: height * width)
    for y in 0..<height {
      for x in 0..<width {
        image[y * width + x] =
          byRows[y * (width + 2) + x + 1] + byColumns[x * (height + 2) + y + 1]
      }
    }
    return image
  }
}
