import CNIfTI

/// The anatomical direction in which an index grows.
public enum AnatomicalDirection: Character, Sendable, CaseIterable {
  /// Towards the patient's right.
  case right = "R"
  /// Towards the patient's left.
  case left = "L"
  /// Towards the front.
  case anterior = "A"
  /// Towards the back.
  case posterior = "P"
  /// Towards the head.
  case superior = "S"
  /// Towards the feet.
  case inferior = "I"

  /// The other end of the same axis.
  public var opposite: AnatomicalDirection {
    switch self {
    case .right: .left
    case .left: .right
    case .anterior: .posterior
    case .posterior: .anterior
    case .superior: .inferior
    case .inferior: .superior
    }
  }

  /// The world axis (0 = x, 1 = y, 2 = z) that the direction lies on.
  public var worldAxis: Int {
    switch self {
    case .right, .left: 0
    case .anterior, .posterior: 1
    case .superior, .inferior: 2
    }
  }

  init(code: Int32) {
    self =
      switch code {
      case NIFTI_L2R: .right
      case NIFTI_R2L: .left
      case NIFTI_P2A: .anterior
      case NIFTI_A2P: .posterior
      case NIFTI_I2S: .superior
      case NIFTI_S2I: .inferior
      default: preconditionFailure("libnifti: orientation code \(code)")
      }
  }
}

/// The anatomical directions in which the indices i, j, k grow, for instance `RAS` or `LPI`.
///
/// For an oblique grid these are the nearest directions; the three axes are always different.
public struct Orientation: Sendable, Equatable, CustomStringConvertible {
  /// The directions of i, j, k.
  public let directions: [AnatomicalDirection]

  /// The orientation of a grid.
  ///
  /// - Parameter affine: A usable affine.
  public init(_ affine: Affine) {
    precondition(affine.isUsable, "Orientation: the affine \(affine.rows) is not usable")
    var (i, j, k): (Int32, Int32, Int32) = (0, 0, 0)
    nifti_dmat44_to_orientation(affine.dmat44, &i, &j, &k)
    directions = [i, j, k].map(AnatomicalDirection.init(code:))
  }

  /// The three letters, i first.
  public var description: String { String(directions.map(\.rawValue)) }

  /// The storage index (0 = i, 1 = j, 2 = k) that runs along a world axis (0 = x, 1 = y, 2 = z),
  /// and whether it grows against the RAS+ direction of that axis.
  func storageAxis(alongWorldAxis axis: Int) -> (axis: Int, isReversed: Bool) {
    for (index, direction) in directions.enumerated() where direction.worldAxis == axis {
      let reversed = direction == .left || direction == .posterior || direction == .inferior
      return (index, reversed)
    }
    preconditionFailure("Orientation: \(description) has no axis \(axis)")
  }
}
