/// Something about an image that is worth telling, although it could be read or written.
public enum NIfTIWarning: Sendable, Equatable, CustomStringConvertible {

  // MARK: - Reading

  /// The name ends in .gz, but the contents are plain NIfTI.
  case notCompressed
  /// Bytes follow the voxels; at least that many. Past the first 64 KiB of a compressed file
  /// nothing was read, so that its checksum could not be verified.
  case trailingData(bytes: UInt64, checksumVerified: Bool)
  /// Bytes that are no gzip member follow the compressed data.
  case trailingGarbage
  /// A header extension states an impossible size, or is announced but not there.
  case damagedExtension
  /// The file does not say how the patient lies.
  case orientationUnknown
  /// The matrix form and the quaternion form differ by that many mm at a corner.
  case formsDiffer(offset: Double, used: AffineForm)
  /// The form that was asked for is not in the file.
  case formUnavailable(requested: AffineForm, used: AffineForm)
  /// The voxel size was given by the user; the reason is what is wrong with the file's.
  case assumedSpacing(reason: String)
  /// The header measures space in another unit than mm; its numbers were taken as mm.
  case spaceUnit(String)
  /// The intercept is NaN or infinite and was taken as 0.
  case interceptIgnored
  /// Voxels that are NaN or infinite; they were replaced by 0.
  case nonFinite(count: Int)
  /// All voxels have the same value.
  case constantImage(value: Float)

  // MARK: - Writing

  /// Voxels beyond the range of the data type were set to its nearest value.
  case saturated(count: Int, total: Int)
  /// The input's slope and intercept did not fit the result; these were used.
  case rescaled(slope: Double, intercept: Double)
  /// NaN was written as 0, because the data type has no NaN.
  case nonFiniteAsZero(count: Int)
  /// The affine has a shear, which the quaternion form cannot express, so it was left out.
  case quaternionFormOmitted

  /// The warning as one line.
  public var description: String {
    switch self {
    case .notCompressed: "plain NIfTI data in a file whose name ends in .gz"
    case .trailingData(let bytes, let verified):
      verified
        ? "trailing data: \(bytes) bytes follow the voxels"
        : "trailing data: at least \(bytes) bytes follow the voxels; not read further, "
          + "so the checksum is not verified"
    case .trailingGarbage: "trailing data: bytes that are not gzip follow the compressed data"
    case .damagedExtension: "the header extensions are damaged; copied as they are"
    case .orientationUnknown: "orientation unknown: the header has neither sform nor qform"
    case .formsDiffer(let offset, let used):
      "sform and qform differ by \(ImagingError.decimal(offset, digits: 3)) mm; used \(used)"
    case .formUnavailable(let requested, let used): "the header has no \(requested); used \(used)"
    case .assumedSpacing(let reason): "voxel size assumed as asked: \(reason)"
    case .spaceUnit(let unit): "the header measures space in \(unit); taken as mm"
    case .interceptIgnored: "scl_inter is not finite; taken as 0"
    case .nonFinite(let count): "\(count) voxels are NaN or infinite; replaced by 0"
    case .constantImage(let value): "constant image: every voxel is \(value)"
    case .saturated(let count, let total):
      "\(count) of \(total) voxels are beyond the range of the data type; saturated"
    case .rescaled(let slope, let intercept):
      "stored with new scaling: slope \(slope), intercept \(intercept)"
    case .nonFiniteAsZero(let count):
      "\(count) voxels are NaN; written as 0, the data type has no NaN"
    case .quaternionFormOmitted: "qform left out: it cannot express the shear of the affine"
    }
  }
}
