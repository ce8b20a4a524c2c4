/// A picture that shows what a restoration did: input, output, reference and differences, slice by
/// slice.
///
/// Each row is a slice, each column an image. Grey panels share one window of intensities, difference
/// panels one symmetric blue-white-red scale; both are drawn with their numbers and the unit. Letters
/// at the edges of a panel say where the patient's left, right, front and back are; they are left out
/// if the orientation is unknown. Slices have their physical proportions.
public struct Montage: Sendable {
  /// An image of the picture.
  public enum Panel: Sendable, Hashable, CaseIterable {
    /// The image before.
    case input
    /// The image after.
    case output
    /// The image as it should be.
    case reference
    /// Input minus reference.
    case inputError
    /// Output minus reference.
    case outputError
    /// Output minus input.
    case change

    var isDifference: Bool {
      switch self {
      case .input, .output, .reference: false
      case .inputError, .outputError, .change: true
      }
    }
  }

  /// One slice of the picture.
  public struct Slice: Sendable, Equatable {
    /// The plane.
    public let plane: AnatomicalPlane
    /// The position, as ``Volume/slices(in:ofVolume:)`` counts.
    public let index: Int

    /// Creates a slice.
    public init(_ plane: AnatomicalPlane, at index: Int) {
      self.plane = plane
      self.index = index
    }
  }

  /// The first line of the picture; none if empty.
  public var title = ""
  /// The last lines of the picture, for instance the metrics.
  public var captions: [String] = []
  /// What stands above each panel's column.
  public var headings: [Panel: String] = [
    .input: "input", .output: "restored", .reference: "reference",
    .inputError: "input - reference", .outputError: "restored - reference",
    .change: "restored - input",
  ]
  /// A second line above a panel's column, for instance its PSNR.
  public var notes: [Panel: String] = [:]
  /// The unit of the intensities, for instance `HU`.
  public var unit = "arbitrary units"
  /// The slices, from top to bottom.
  public var slices: [Slice]
  /// The intensities that are black and white.
  public var window: ClosedRange<Double>
  /// The difference that has the strongest colour, in units of the images, > 0.
  public var differenceLimit: Double

  let input: Volume
  let output: Volume
  let reference: Volume?

  /// Creates a picture of a restoration.
  ///
  /// - Parameters:
  ///   - input: The image before, one volume.
  ///   - output: The image after, on the same grid.
  ///   - reference: The image as it should be, on the same grid, if there is one.
  ///   - planes: The planes of the rows, one slice each through the middle of what is bright. By
  ///     default all three, or the plane of acquisition alone if it has fewer than 24 slices.
  /// - Throws: ``ImagingError/geometryDiffers(file:shape:reference:referenceShape:offset:)`` if the
  ///   grids differ, ``ImagingError/noFiniteVoxel(file:)``.
  public init(
    input: Volume, output: Volume, reference: Volume? = nil, planes: [AnatomicalPlane]? = nil
  ) throws(ImagingError) {
    precondition(input.volumeCount == 1, "Montage: \(input.volumeCount) volumes, not one")
    try output.requireGrid(of: input, file: "output", referenceFile: "input")
    try reference?.requireGrid(of: input, file: "reference", referenceFile: "input")
    self.input = input
    self.output = output
    self.reference = reference
    let guide = reference ?? output
    let window = try Self.window(of: guide)
    self.window = window
    differenceLimit = Self.differenceLimit(
      of: input, against: reference ?? output, window: window)
    let center = Self.center(of: guide, window: window)
    slices = (planes ?? Self.defaultPlanes(of: input.geometry)).map { plane in
      Slice(
        plane, at: SliceLayout(plane, of: input.geometry).index(ofVoxel: center, in: input.geometry)
      )
    }
  }

  /// The columns, from left to right.
  public var panels: [Panel] {
    reference == nil
      ? [.input, .output, .change] : [.input, .output, .reference, .inputError, .outputError]
  }

  /// Writes the picture as an 8-bit RGB PNG file.
  ///
  /// - Parameters:
  ///   - path: The path; its folder must exist.
  ///   - overwrite: Whether an existing file is replaced.
  ///   - inputs: Paths of files that must survive, whatever `overwrite` says.
  /// - Throws: What ``PNGImage/write(to:overwrite:inputs:)`` throws.
  public func write(
    to path: String, overwrite: Bool = false, inputs: [String] = []
  ) throws(ImagingError) {
    try image().write(to: path, overwrite: overwrite, inputs: inputs)
  }

  /// The contents of a panel in one slice.
  package func slice(_ slice: Slice, of panel: Panel) -> ImageSlice {
    func pixels(_ volume: Volume) -> ImageSlice { volume.slices(in: slice.plane)[slice.index] }
    func difference(_ a: Volume, _ b: Volume) -> ImageSlice {
      var result = pixels(a)
      for (index, value) in pixels(b).pixels.enumerated() { result.pixels[index] -= value }
      return result
    }
    return switch panel {
    case .input: pixels(input)
    case .output: pixels(output)
    case .reference: pixels(reference ?? output)
    case .inputError: difference(input, reference ?? output)
    case .outputError: difference(output, reference ?? output)
    case .change: difference(output, input)
    }
  }
}

// MARK: - Choices

extension Montage {
  /// Fewer slices than this do not make pictures of the other two planes.
  private static let leastSliceCount = 24

  private static func defaultPlanes(of geometry: Geometry) -> [AnatomicalPlane] {
    let acquired = geometry.acquisitionPlane
    return SliceLayout(acquired, of: geometry).count < leastSliceCount
      ? [acquired] : [.axial, .coronal, .sagittal]
  }

  /// From the 0.5th to the 99.5th percentile; only positive voxels count for the upper end of an
  /// image without negative ones, because most of a picture may be air.
  private static func window(of volume: Volume) throws(ImagingError) -> ClosedRange<Double> {
    let all = OrderStatistics(of: volume.voxels)
    guard let low = all.percentile(0.5), let high = all.percentile(99.5) else {
      throw .noFiniteVoxel(file: "image")
    }
    // Wide enough to differ from its lower end in any unit.
    let narrowest = low...low + max(1, abs(low) * 1e-6)
    guard low >= 0 else { return low < high ? low...high : narrowest }
    let signal = OrderStatistics(of: volume.voxels, selection: .positive).percentile(99.5) ?? high
    return low < signal ? low...signal : narrowest
  }

  /// The 99.5th percentile of the differences, rounded up; 1 % of the window if there are none.
  private static func differenceLimit(
    of a: Volume, against b: Volume, window: ClosedRange<Double>
  ) -> Double {
    let differences = zip(a.voxels, b.voxels).map { abs($0 - $1) }
    let span = window.upperBound - window.lowerBound
    let typical = OrderStatistics(of: differences, selection: .positive).percentile(99.5) ?? 0
    return DifferenceScale.roundedUp(typical > 0 ? typical : span / 100)
  }

  /// The voxel in the middle of the brightness inside the window, along x, y, z.
  private static func center(of volume: Volume, window: ClosedRange<Double>) -> [Int] {
    let size = volume.size
    let span = window.upperBound - window.lowerBound
    var sums = [0.0, 0.0, 0.0]
    var total = 0.0
    var index = 0
    for z in 0..<size.z {
      for y in 0..<size.y {
        for x in 0..<size.x {
          let brightness = (Double(volume.voxels[index]) - window.lowerBound) / span
          index += 1
          // Noise in the air must not pull the middle towards that of the grid.
          guard brightness > 0.1 else { continue }
          let weight = min(brightness, 1)
          total += weight
          sums[0] += weight * Double(x)
          sums[1] += weight * Double(y)
          sums[2] += weight * Double(z)
        }
      }
    }
    guard total > 0 else { return (0..<3).map { size[$0] / 2 } }
    return sums.map { Int(($0 / total).rounded()) }
  }
}

extension SliceLayout {
  /// The slice that holds a voxel.
  ///
  /// - Parameters:
  ///   - voxel: The place along x, y, z.
  ///   - geometry: The grid of the layout.
  /// - Returns: The position of the slice, in `0 ..< count`.
  fileprivate func index(ofVoxel voxel: [Int], in geometry: Geometry) -> Int {
    let axis = geometry.orientation.storageAxis(alongWorldAxis: plane.normalAxis).axis
    let isForward = geometry.orientation.directions[axis] == plane.directions.slice
    return isForward ? voxel[axis] : count - 1 - voxel[axis]
  }
}
