/// A slice of a volume in canonical orientation (see ``SliceLayout``).
public struct ImageSlice: Sendable, Equatable {
  /// The number of rows.
  public let height: Int
  /// The number of columns.
  public let width: Int
  /// The intensities, shape `[height, width]`, top row first.
  public var pixels: [Float]
  /// The distance of neighbouring rows in mm.
  public let rowSpacing: Double
  /// The distance of neighbouring columns in mm.
  public let columnSpacing: Double

  /// Creates a slice.
  ///
  /// - Parameters:
  ///   - pixels: Intensities, shape `[height, width]`.
  ///   - height: The number of rows.
  ///   - width: The number of columns.
  ///   - rowSpacing: The distance of neighbouring rows in mm.
  ///   - columnSpacing: The distance of neighbouring columns in mm.
  public init(
    pixels: [Float], height: Int, width: Int, rowSpacing: Double = 1, columnSpacing: Double = 1
  ) {
    precondition(
      pixels.count == height * width,
      "ImageSlice: \(pixels.count) pixels for shape \([height, width])")
    self.pixels = pixels
    self.height = height
    self.width = width
    self.rowSpacing = rowSpacing
    self.columnSpacing = columnSpacing
  }
}

/// The slices of one volume in one anatomical plane, made when asked for.
public struct VolumeSlices: RandomAccessCollection, Sendable {
  /// How the slices lie in the volume.
  public let layout: SliceLayout
  private let volume: Volume
  private let range: Range<Int>

  init(_ volume: Volume, plane: AnatomicalPlane, at index: Int) {
    layout = SliceLayout(plane, of: volume.geometry)
    range = volume.range(ofVolume: index)
    self.volume = volume
  }

  /// The first slice's index, 0.
  public var startIndex: Int { 0 }

  /// The number of slices.
  public var endIndex: Int { layout.count }

  /// One slice in canonical orientation.
  public subscript(index: Int) -> ImageSlice {
    let pixels = [Float](unsafeUninitializedCapacity: layout.height * layout.width) {
      buffer, count in
      volume.voxels.withUnsafeBufferPointer { voxels in
        layout.copySlice(
          index, from: UnsafeBufferPointer(rebasing: voxels[range]),
          into: UnsafeMutableBufferPointer(rebasing: buffer[..<(layout.height * layout.width)]))
      }
      count = layout.height * layout.width
    }
    return ImageSlice(
      pixels: pixels, height: layout.height, width: layout.width,
      rowSpacing: layout.spacing.row, columnSpacing: layout.spacing.column)
  }
}

extension Volume {
  /// The slices of an anatomical plane, whatever the storage order; nearest axis if oblique.
  ///
  /// - Parameters:
  ///   - plane: The anatomical plane.
  ///   - index: The volume of a series, in `0 ..< volumeCount`.
  /// - Returns: The slices, each extracted when it is asked for.
  public func slices(in plane: AnatomicalPlane, ofVolume index: Int = 0) -> VolumeSlices {
    VolumeSlices(self, plane: plane, at: index)
  }

  /// Puts a slice in canonical orientation back to its place, by permutation and flips only.
  ///
  /// - Parameters:
  ///   - position: The slice, as counted by ``slices(in:ofVolume:)``.
  ///   - plane: The anatomical plane.
  ///   - index: The volume of a series, in `0 ..< volumeCount`.
  ///   - slice: The new contents, of the plane's height and width.
  public mutating func replaceSlice(
    at position: Int, in plane: AnatomicalPlane, ofVolume index: Int = 0, with slice: ImageSlice
  ) {
    let layout = SliceLayout(plane, of: geometry)
    precondition(
      slice.height == layout.height && slice.width == layout.width,
      "replaceSlice: \([slice.height, slice.width]) into \([layout.height, layout.width])")
    let range = range(ofVolume: index)
    voxels.withUnsafeMutableBufferPointer { voxels in
      slice.pixels.withUnsafeBufferPointer { pixels in
        layout.putSlice(
          position, pixels, into: UnsafeMutableBufferPointer(rebasing: voxels[range]))
      }
    }
  }
}
