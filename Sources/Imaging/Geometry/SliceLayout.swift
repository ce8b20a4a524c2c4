/// A plane of the body.
public enum AnatomicalPlane: String, Sendable, CaseIterable, Codable {
  /// Seen from the feet: across the superior-inferior axis.
  case axial
  /// Seen from the front: across the anterior-posterior axis.
  case coronal
  /// Seen from the side: across the left-right axis.
  case sagittal

  /// The world axis (0 = x, 1 = y, 2 = z) that stands on the plane.
  public var normalAxis: Int {
    switch self {
    case .sagittal: 0
    case .coronal: 1
    case .axial: 2
    }
  }

  init(normalTo worldAxis: Int) {
    self = [.sagittal, .coronal, .axial][worldAxis]
  }

  /// The directions in which slices, rows and columns of the canonical slice run.
  ///
  /// Slices are laid out as radiologists look at them: the patient's right (or front, in a sagittal
  /// slice) is on the left of the picture and the front (or head) on top; slice indices follow the
  /// DICOM axes L, P, S.
  var directions:
    (slice: AnatomicalDirection, row: AnatomicalDirection, column: AnatomicalDirection)
  {
    switch self {
    case .axial: (.superior, .posterior, .left)
    case .coronal: (.posterior, .inferior, .left)
    case .sagittal: (.left, .inferior, .posterior)
    }
  }
}

/// How the slices of one anatomical plane lie in the work array.
///
/// A slice has `height` rows and `width` columns in a canonical orientation that does not depend on
/// the storage order: in axial and coronal slices columns run towards the patient's left and rows
/// towards posterior (axial) or inferior (coronal); in sagittal slices columns run towards posterior
/// and rows towards inferior. Slices are counted towards superior, posterior and left. The map
/// is a permutation of the storage axes with flips, so that taking a slice out and putting it back
/// changes no bit. On an oblique grid each storage axis stands for its nearest anatomical one.
public struct SliceLayout: Sendable, Equatable {
  /// The plane of the slices.
  public let plane: AnatomicalPlane
  /// The number of slices.
  public let count: Int
  /// The number of rows of a slice.
  public let height: Int
  /// The number of columns of a slice.
  public let width: Int
  /// The distance of neighbouring slices, rows and columns in mm.
  public let spacing: (slice: Double, row: Double, column: Double)
  /// The letters at the edges of a slice, or nil if the orientation is unknown.
  public let edges: SliceEdges?

  let first: Int
  let sliceStride: Int
  let rowStride: Int
  let columnStride: Int

  /// The layout of a plane's slices in a volume.
  ///
  /// - Parameters:
  ///   - plane: The anatomical plane.
  ///   - geometry: The grid of the volume.
  public init(_ plane: AnatomicalPlane, of geometry: Geometry) {
    let size = geometry.size
    let strides = size.strides
    var first = 0
    func axis(towards direction: AnatomicalDirection) -> (storage: Int, stride: Int) {
      let (storage, _) = geometry.orientation.storageAxis(alongWorldAxis: direction.worldAxis)
      guard geometry.orientation.directions[storage] != direction else {
        return (storage, strides[storage])
      }
      first += (size[storage] - 1) * strides[storage]
      return (storage, -strides[storage])
    }
    let directions = plane.directions
    let slice = axis(towards: directions.slice)
    let row = axis(towards: directions.row)
    let column = axis(towards: directions.column)
    self.plane = plane
    count = size[slice.storage]
    height = size[row.storage]
    width = size[column.storage]
    let spacing = geometry.spacing
    self.spacing = (spacing[slice.storage], spacing[row.storage], spacing[column.storage])
    edges =
      geometry.isOrientationKnown
      ? SliceEdges(
        left: directions.column.opposite, right: directions.column, top: directions.row.opposite,
        bottom: directions.row) : nil
    self.first = first
    sliceStride = slice.stride
    rowStride = row.stride
    columnStride = column.stride
  }

  /// Whether two layouts read the same voxels in the same order.
  public static func == (a: SliceLayout, b: SliceLayout) -> Bool {
    a.plane == b.plane && a.count == b.count && a.height == b.height && a.width == b.width
      && a.spacing == b.spacing && a.edges == b.edges && a.first == b.first
      && a.sliceStride == b.sliceStride && a.rowStride == b.rowStride
      && a.columnStride == b.columnStride
  }
}

/// The anatomical directions at the four edges of a slice.
public struct SliceEdges: Sendable, Equatable {
  /// The direction at the left edge, for instance the patient's right.
  public let left: AnatomicalDirection
  /// The direction at the right edge.
  public let right: AnatomicalDirection
  /// The direction at the top edge.
  public let top: AnatomicalDirection
  /// The direction at the bottom edge.
  public let bottom: AnatomicalDirection
}

// MARK: - Moving slices

extension SliceLayout {
  /// Copies one slice out of a volume.
  ///
  /// - Parameters:
  ///   - index: The slice, in `0 ..< count`.
  ///   - volume: The voxels of one volume, shape `[z, y, x]`.
  ///   - pixels: Receives the slice, shape `[height, width]`.
  public func copySlice(
    _ index: Int, from volume: UnsafeBufferPointer<Float>,
    into pixels: UnsafeMutableBufferPointer<Float>
  ) {
    check(index, volume: volume.count, pixels: pixels.count)
    var at = first + index * sliceStride
    var pixel = 0
    for _ in 0..<height {
      var voxel = at
      for _ in 0..<width {
        pixels[pixel] = volume[voxel]
        voxel += columnStride
        pixel += 1
      }
      at += rowStride
    }
  }

  /// Puts one slice back to where ``copySlice(_:from:into:)`` took it from.
  ///
  /// - Parameters:
  ///   - index: The slice, in `0 ..< count`.
  ///   - pixels: The slice, shape `[height, width]`.
  ///   - volume: The voxels of one volume, shape `[z, y, x]`; only this slice changes.
  public func putSlice(
    _ index: Int, _ pixels: UnsafeBufferPointer<Float>,
    into volume: UnsafeMutableBufferPointer<Float>
  ) {
    check(index, volume: volume.count, pixels: pixels.count)
    var at = first + index * sliceStride
    var pixel = 0
    for _ in 0..<height {
      var voxel = at
      for _ in 0..<width {
        volume[voxel] = pixels[pixel]
        voxel += columnStride
        pixel += 1
      }
      at += rowStride
    }
  }

  private func check(_ index: Int, volume: Int, pixels: Int) {
    precondition((0..<count).contains(index), "SliceLayout: slice \(index) of \(count)")
    precondition(
      volume == count * height * width && pixels == height * width,
      "SliceLayout: \(count) slices of [\(height), \(width)], given \(volume) voxels, "
        + "\(pixels) pixels")
  }
}
