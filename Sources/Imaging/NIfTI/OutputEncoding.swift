/// The voxel type of an image that is written.
public enum OutputDataType: String, Sendable, Codable, CaseIterable {
  /// The type of the input.
  case same
  /// IEEE single precision.
  case float32
  /// Signed 16 bit, scaled if need be.
  case int16
  /// The smallest of uint8, int16 and int32 that holds all labels, without scaling.
  case labels
}

/// How intensities become stored numbers, and what of that the header must say anew.
struct OutputEncoding {
  let encoder: VoxelEncoder
  /// The slope and intercept to write into the header, or nil if its fields stay as they are.
  let patch: (slope: Double, intercept: Double)?
  let warnings: [NIfTIWarning]

  /// Chooses type and scaling for a volume.
  ///
  /// - Parameters:
  ///   - volume: The true values.
  ///   - wanted: The type that was asked for.
  ///   - source: The header that the result takes over, if any.
  ///   - keepsScaling: Whether values beyond the range saturate instead of getting a new scaling.
  ///   - isSwapped: Whether the byte order is not that of this machine.
  ///   - file: The name of the output in errors.
  /// - Throws: ``ImagingError/labelMapNotInteger(file:value:)``.
  init(
    _ volume: Volume, as wanted: OutputDataType, source: NIfTIHeader?, keepsScaling: Bool,
    isSwapped: Bool, file: String
  ) throws(ImagingError) {
    let sourceType = source.flatMap { NIfTIDataType(rawValue: $0.integer(.dataType)) }
    let sourceScaling = source?.scaling
    switch (wanted, sourceType) {
    case (.labels, _):
      let type = try volume.labelType(file: file)
      encoder = VoxelEncoder(type: type, isSwapped: isSwapped, scaling: nil)
      patch = (1, 0)
      warnings = []
    case (.same, nil), (.float32, _):
      let keeps = sourceType == .float32
      encoder = VoxelEncoder(
        type: .float32, isSwapped: isSwapped, scaling: keeps ? sourceScaling : nil)
      patch = keeps || (source != nil && sourceScaling == nil) ? nil : (1, 0)
      warnings = []
    case (.same, let type?) where !type.isInteger:
      encoder = VoxelEncoder(type: type, isSwapped: isSwapped, scaling: sourceScaling)
      patch = nil
      warnings = []
    case (.same, let type?),
      (.int16, let type?) where type.isInteger:
      let target = wanted == .int16 ? .int16 : type
      self = Self.reusing(
        VoxelEncoder(type: target, isSwapped: isSwapped, scaling: sourceScaling), volume,
        keepsScaling: keepsScaling)
    case (.same, _), (.int16, _):
      self = Self.scaled(to: .int16, volume, isSwapped: isSwapped)
    }
  }

  private init(
    encoder: VoxelEncoder, patch: (slope: Double, intercept: Double)?, warnings: [NIfTIWarning]
  ) {
    self.encoder = encoder
    self.patch = patch
    self.warnings = warnings
  }

  /// The input's scaling, unless more than 0.1 % of the voxels are beyond its range.
  private static func reusing(
    _ encoder: VoxelEncoder, _ volume: Volume, keepsScaling: Bool
  ) -> OutputEncoding {
    let total = volume.voxels.count
    let beyond = volume.voxels.withUnsafeBufferPointer { encoder.countBeyondRange($0) }
    guard beyond * 1000 > total else {
      return OutputEncoding(encoder: encoder, patch: nil, warnings: [])
    }
    guard !keepsScaling else {
      return OutputEncoding(
        encoder: encoder, patch: nil, warnings: [.saturated(count: beyond, total: total)])
    }
    return scaled(to: encoder.type, volume, isSwapped: encoder.isSwapped)
  }

  /// A scaling that fits the range of the finite values.
  ///
  /// If the type reaches them that way, 0 stays 0 exactly, since background is what people mask by.
  private static func scaled(
    to type: NIfTIDataType, _ volume: Volume, isSwapped: Bool
  ) -> OutputEncoding {
    var (low, high) = (0.0, 0.0)
    for voxel in volume.voxels where voxel.isFinite {
      low = min(low, Double(voxel))
      high = max(high, Double(voxel))
    }
    let (least, most) = type.storedRange
    // Whole numbers within the range need no scaling, and none is exact.
    if low >= least, high <= most, volume.voxels.allSatisfy({ $0 == $0.rounded() || !$0.isFinite })
    {
      return OutputEncoding(
        encoder: VoxelEncoder(type: type, isSwapped: isSwapped, scaling: nil), patch: (1, 0),
        warnings: [])
    }
    var slope = max(high / most, least < 0 ? low / least : 0)
    var intercept = 0.0
    if low < 0 && least == 0 {
      slope = (high - low) / most
      intercept = low
    }
    // Header fields are single precision in NIfTI-1; rounding up keeps the extremes in range.
    let stored = slope > 0 ? Double(Float(slope).nextUp) : 1
    let scaling = (slope: stored, intercept: Double(Float(intercept)))
    return OutputEncoding(
      encoder: VoxelEncoder(type: type, isSwapped: isSwapped, scaling: scaling),
      patch: scaling,
      warnings: [.rescaled(slope: scaling.slope, intercept: scaling.intercept)])
  }
}

extension NIfTIDataType {
  /// The range of an integer type.
  fileprivate var storedRange: (least: Double, most: Double) {
    precondition(isInteger, "NIfTIDataType: \(self) has no integer range")
    let bits = Double(size * 8)
    switch self {
    case .uint8, .uint16, .uint32, .uint64: return (0, exp2(bits) - 1)
    default: return (-exp2(bits - 1), exp2(bits - 1) - 1)
    }
  }

  private func exp2(_ exponent: Double) -> Double {
    Double(sign: .plus, exponent: Int(exponent), significand: 1)
  }
}

// MARK: - Labels

extension Volume {
  /// The labels of a label map, in ascending order.
  ///
  /// - Parameter file: The name of the file in errors.
  /// - Returns: Each label that occurs.
  /// - Throws: ``ImagingError/labelMapNotInteger(file:value:)`` for a fraction, NaN, infinity or
  ///   a number beyond 32 bits.
  public func labels(file: String) throws(ImagingError) -> [Int] {
    var seen: Set<Int> = []
    var last: Float?
    // Labels come in runs, so most voxels need one comparison.
    for voxel in voxels where voxel != last {
      guard let label = Int32(exactly: voxel) else {
        throw .labelMapNotInteger(file: file, value: voxel)
      }
      seen.insert(Int(label))
      last = voxel
    }
    return seen.sorted()
  }

  /// The smallest type for the labels.
  fileprivate func labelType(file: String) throws(ImagingError) -> NIfTIDataType {
    let labels = try labels(file: file)
    let (low, high) = (labels.first ?? 0, labels.last ?? 0)
    if low >= 0 && high <= 255 { return .uint8 }
    return low >= Int(Int16.min) && high <= Int(Int16.max) ? .int16 : .int32
  }
}
