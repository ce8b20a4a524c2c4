public import TensorCore

/// A plane in which the stroke system slices a volume `[D0, D1, D2]`, by the authors' names.
///
/// D0 is inferior–superior, D1 anterior–posterior, D2 left–right.
public enum StrokePlane: String, Sendable, CaseIterable, Codable {
  /// Across D0, slices `[D1, D2]`: axial.
  case xy = "XY"
  /// Across D1, slices `[D0, D2]`: coronal.
  case zy = "ZY"
  /// Across D2, slices `[D0, D1]`: sagittal.
  case zx = "ZX"

  /// The axis of `[D0, D1, D2]` that counts the slices.
  public var sliceAxis: Int {
    switch self {
    case .xy: 0
    case .zy: 1
    case .zx: 2
    }
  }

  /// The axes of a volume `[D0, D1, D2, C]` in the order of slices `[L, a, b, C]`.
  private var axes: [Int] { [sliceAxis] + (0..<3).filter { $0 != sliceAxis } + [3] }

  /// The slices `[L, a, b, C]` of a volume `[D0, D1, D2, C]`.
  public func slices(of volume: Tensor) -> Tensor { volume.permuted(axes) }

  /// The volume `[D0, D1, D2, C]` of slices `[L, a, b, C]`.
  public func volume(of slices: Tensor) -> Tensor {
    var inverse = [0, 0, 0, 3]
    for (place, axis) in axes.enumerated() { inverse[axis] = place }
    return slices.permuted(inverse)
  }
}

/// What stands beside T1 in the slices of a path.
public enum StrokeSecondChannel: String, Sendable, CaseIterable, Codable {
  /// The second modality, FLAIR.
  case modality
  /// The first modality, mirrored left to right where the slice shows both sides; the first itself in
  /// sagittal slices.
  case mirror
}

/// One of the nine paths: a plane and a normalisation.
public struct StrokePath: Sendable, Hashable, Codable {
  /// The plane of the slices.
  public let plane: StrokePlane
  /// The normalisation of the slices.
  public let normalization: StrokeNormalization

  /// The nine paths in the order of the second stage's channels.
  public static let all: [StrokePath] = [StrokePlane.xy, .zx, .zy].flatMap { plane in
    StrokeNormalization.allCases.map { StrokePath(plane: plane, normalization: $0) }
  }

  /// A path.
  public init(plane: StrokePlane, normalization: StrokeNormalization) {
    self.plane = plane
    self.normalization = normalization
  }

  /// As in `XY_12`.
  public var name: String { "\(plane.rawValue)_\(normalization.rawValue)" }

  /// The slices of a volume with both channels, not yet normalised.
  ///
  /// - Parameters:
  ///   - volume: `[D0, D1, D2, C]`; one channel is enough for `mirror`.
  ///   - second: What stands beside the first channel.
  /// - Returns: `[L, a, b, 2]`.
  public func slices(of volume: Tensor, second: StrokeSecondChannel) -> Tensor {
    Self.slices(of: volume, in: plane, second: second)
  }

  /// The slices of a volume with both channels in a plane; see ``slices(of:second:)``.
  public static func slices(
    of volume: Tensor, in plane: StrokePlane, second: StrokeSecondChannel
  ) -> Tensor {
    let slices = plane.slices(of: volume)
    switch second {
    case .modality:
      precondition(
        volume.shape.channels == 2, "stroke path: volume \(volume.shape), two channels needed")
      return slices
    case .mirror:
      let first = slices.sliced(axis: 3, 0..<1)
      let width = first.shape[2]
      let mirrored =
        plane == .zx ? first : first.gathered((0..<width).reversed(), axis: 2)
      return .concatenate([first, mirrored], axis: -1)
    }
  }

  /// What the path hands to the second stage: its mask and its two normalised channels, as a volume.
  ///
  /// - Parameters:
  ///   - mask: 0 or 1, `[L, a, b, 1]`.
  ///   - normalized: `[L, a, b, 2]`.
  /// - Returns: `[D0, D1, D2, 3]`.
  public func assembled(mask: Tensor, normalized: Tensor) -> Tensor {
    plane.volume(of: .concatenate([mask, normalized], axis: -1))
  }
}
