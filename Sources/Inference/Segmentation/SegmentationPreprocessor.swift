public import Imaging
public import TensorCore

/// Brings the channels of a case to what the plan of a network says, and label maps with them.
public struct SegmentationPreprocessor: Sendable {
  /// The plan.
  public let plan: SegmentationPlan

  /// A preprocessor.
  public init(_ plan: SegmentationPlan) { self.plan = plan }

  /// Reads the channels of a case.
  ///
  /// - Parameters:
  ///   - files: One a channel; a colour PNG is several.
  ///   - channels: How many there must be.
  /// - Returns: One volume a channel, all on one grid, and the files; there is at least one.
  /// - Throws: ``InferenceError/channelMismatch(file:model:expected:found:)``, ``ImagingError`` if the
  ///   grids differ, or what reading throws.
  public static func read(
    _ files: [String], channels: Int
  ) throws -> (volumes: [Volume], scans: [ScanFile]) {
    var volumes: [Volume] = []
    var scans: [ScanFile] = []
    for file in files {
      let scan = try ScanFile.read(file)
      if let first = scans.first {
        guard scan.volume.size == first.volume.size,
          scan.volume.geometry.matches(first.volume.geometry, tolerance: 1e-3)
        else {
          try scan.volume.volume(at: 0).requireGrid(
            of: first.volume.volume(at: 0), file: file, referenceFile: first.path)
          preconditionFailure("segmentation: grids that differ and do not")
        }
      }
      scans.append(scan)
      volumes += (0..<scan.volume.volumeCount).map(scan.volume.volume(at:))
    }
    guard !scans.isEmpty, volumes.count == channels else {
      throw InferenceError.channelMismatch(
        file: files.first ?? "", model: "segmentation", expected: channels, found: volumes.count)
    }
    return (volumes, scans)
  }

  /// The channels, normalised and resampled.
  ///
  /// Linear between voxels; a voxel of the new grid lies where its part of the field of view has its
  /// middle.
  ///
  /// - Parameter volumes: One a channel, all on one grid.
  /// - Returns: `[1, slices, rows, columns, channels]`.
  public func image(_ volumes: [Volume]) -> Tensor {
    precondition(volumes.count == plan.channels.count, "segmentation: \(volumes.count) channels")
    return Engine.shared.perform {
      let grid = plan.grid(of: volumes[0].geometry)
      let channels = zip(volumes, plan.channels).map { volume, channel in
        Tensor(
          Shape(grid.size), Self.normalized(grid.array(of: volume.voxels), channel.normalization)
        ).permuted(plan.order)
      }
      let s = channels[0].shape
      let joined = Tensor.concatenate(
        channels.map { $0.reshaped(to: [1, s[0], s[1], s[2], 1]) }, axis: -1)
      return joined.resized(
        to: plan.size(of: volumes[0].geometry), mode: .linear(alignCorners: false))
    }
  }

  static func normalized(
    _ voxels: [Float], _ normalization: SegmentationPlan.Normalization
  ) -> [Float] {
    switch normalization {
    case .ofImage:
      var (sum, squares, count) = (0.0, 0.0, 0.0)
      for voxel in voxels where voxel.isFinite {
        sum += Double(voxel)
        count += 1
      }
      let mean = count > 0 ? sum / count : 0
      for voxel in voxels where voxel.isFinite {
        squares += (Double(voxel) - mean) * (Double(voxel) - mean)
      }
      // A constant image becomes 0 everywhere.
      let deviation = max((squares / max(count, 1)).squareRoot(), 1e-8)
      return voxels.map { $0.isFinite ? Float((Double($0) - mean) / deviation) : 0 }
    case .ofDataset(let low, let high, let mean, let deviation):
      return voxels.map { voxel in
        guard voxel.isFinite else { return 0 }
        return Float((min(max(Double(voxel), low), high) - mean) / max(deviation, 1e-8))
      }
    }
  }

  /// A label map on the grid of ``image(_:)``: the nearest voxel's label.
  ///
  /// - Parameter map: On the grid of the channels.
  /// - Returns: Slice by slice, row by row.
  public func labels(_ map: LabelMap) -> [UInt8] {
    let grid = plan.grid(of: map.geometry)
    let target = plan.size(of: map.geometry)
    // For each axis of the network, where its voxels lie in storage.
    let offsets = plan.order.enumerated().map { place, axis in
      (0..<target[place]).map { index in
        let nearest = (2 * index + 1) * grid.size[axis] / (2 * target[place])
        return nearest * grid.strides[axis]
      }
    }
    var result: [UInt8] = []
    result.reserveCapacity(target.reduce(1, *))
    for slice in offsets[0] {
      for row in offsets[1] {
        for column in offsets[2] {
          result.append(UInt8(clamping: map.labels[grid.first + slice + row + column]))
        }
      }
    }
    return result
  }

  /// Probabilities back on the grid of an image.
  ///
  /// - Parameters:
  ///   - probabilities: `[1, slices, rows, columns, classes]`, the background first.
  ///   - geometry: The image's grid.
  /// - Returns: `[z, y, x, classes]`.
  public func onGrid(_ probabilities: Tensor, of geometry: Geometry) -> [Float] {
    let grid = plan.grid(of: geometry)
    let classes = probabilities.shape.channels
    let sizes = plan.order.map { grid.size[$0] }
    let values = Engine.shared.perform {
      probabilities.resized(to: sizes, mode: .linear(alignCorners: false))
        .reshaped(to: Shape(sizes + [classes])).permuted(plan.inverseOrder + [3]).values
    }
    return plan.isAnatomical ? grid.voxels(of: values, channels: classes) : values
  }

  /// The most probable class of each voxel of an image.
  ///
  /// - Parameters:
  ///   - values: Probabilities on its grid, `[z, y, x, classes]`, the background first.
  ///   - geometry: The grid.
  /// - Returns: 0 for the background.
  /// - Throws: ``InferenceError/outputNotFinite(slice:)`` with the first of the slices, if one is not.
  public func labelMap(
    _ values: [Float], on geometry: Geometry
  ) throws(InferenceError) -> LabelMap {
    let classes = plan.labels.count + 1
    let labels = values.withUnsafeBufferPointer { mostProbableClasses($0, classes: classes) }
    guard let labels else {
      let first = values.firstIndex { !$0.isFinite } ?? 0
      throw .outputNotFinite(slice: first / classes / (geometry.size.x * geometry.size.y))
    }
    return LabelMap(labels: labels.map(Int32.init), geometry: geometry)
  }
}
