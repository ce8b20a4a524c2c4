/// A segmentation: one label for each voxel of a grid, 0 for background.
public struct LabelMap: Sendable, Equatable {
  /// The labels, shape `[z, y, x]`.
  public let labels: [Int32]
  /// The grid.
  public let geometry: Geometry

  /// The largest label: Float32 holds whole numbers up to 2²⁴ exactly, and no label map needs larger ones.
  public static let largest = 16_777_215

  /// A segmentation of labels.
  ///
  /// - Parameters:
  ///   - labels: Shape `[z, y, x]`.
  ///   - geometry: The grid.
  public init(labels: [Int32], geometry: Geometry) {
    precondition(
      labels.count == geometry.size.count,
      "LabelMap: \(labels.count) labels for shape \(geometry.size)")
    self.labels = labels
    self.geometry = geometry
  }

  /// The labels that an image holds.
  ///
  /// - Parameters:
  ///   - volume: One volume of whole numbers.
  ///   - file: Its name in errors.
  ///   - allowed: The labels that may occur besides 0; nil for any.
  /// - Throws: ``ImagingError/labelMapNotInteger(file:value:)`` or
  ///   ``ImagingError/unexpectedLabel(file:label:allowed:)``.
  public init(_ volume: Volume, file: String, allowed: Set<Int>? = nil) throws(ImagingError) {
    precondition(volume.volumeCount == 1, "LabelMap: \(volume.volumeCount) volumes, not one")
    func isLabel(_ value: Float) -> Bool {
      value.magnitude <= Float(Self.largest) && Float(Int32(value)) == value
    }
    let voxels = volume.voxels
    let labels = [Int32](unsafeUninitializedCapacity: voxels.count) { buffer, count in
      var index = 0
      while index < voxels.count, isLabel(voxels[index]) {
        buffer[index] = Int32(voxels[index])
        index += 1
      }
      count = index
    }
    if labels.count < voxels.count {
      throw .labelMapNotInteger(file: file, value: voxels[labels.count])
    }
    self.init(labels: labels, geometry: volume.geometry)
    if let allowed, let label = self.present.first(where: { !allowed.contains($0) }) {
      throw .unexpectedLabel(file: file, label: label, allowed: allowed.sorted())
    }
  }

  /// The labels of one volume of a file.
  ///
  /// NaN is no label: a scan that was read holds 0 there, which would stand for the background.
  ///
  /// - Parameters:
  ///   - scan: The file.
  ///   - index: The volume of a series.
  ///   - allowed: The labels that may occur besides 0; nil for any.
  /// - Throws: As ``init(_:file:allowed:)``.
  public init(
    _ scan: ScanFile, ofVolume index: Int = 0, allowed: Set<Int>? = nil
  ) throws(ImagingError) {
    let count = scan.volume.size.count
    if let mask = scan.nonFinite,
      (index * count..<(index + 1) * count).contains(where: { mask[$0] })
    {
      throw .labelMapNotInteger(file: scan.path, value: .nan)
    }
    try self.init(scan.volume.volume(at: index), file: scan.path, allowed: allowed)
  }

  /// The labels that occur, ascending, without 0.
  public var present: [Int] {
    var found = Set<Int32>()
    var last: Int32 = 0
    for label in labels where label != last {
      found.insert(label)
      last = label
    }
    found.remove(0)
    return found.map(Int.init).sorted()
  }

  /// The voxels of one label.
  public func mask(of label: Int) -> VoxelMask {
    let wanted = Int32(clamping: label)
    let voxels = [Bool](unsafeUninitializedCapacity: labels.count) { buffer, count in
      labels.withUnsafeBufferPointer { labels in
        for index in labels.indices { buffer[index] = labels[index] == wanted }
      }
      count = labels.count
    }
    return VoxelMask(voxels: voxels, size: geometry.size)
  }

  /// The voxels of any of some labels.
  public func mask(ofAny wanted: Set<Int>) -> VoxelMask {
    let wanted = Set(wanted.map { Int32(clamping: $0) })
    return VoxelMask(voxels: labels.map { wanted.contains($0) }, size: geometry.size)
  }
}
