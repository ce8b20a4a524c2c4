/// Volumes of the left ventricle estimated from its outline in a two-dimensional view, and the ejection
/// fraction that follows.
public enum EjectionFraction {
  /// The percentage of the end-diastolic volume that is ejected, `100 (V_ED − V_ES) / V_ED`.
  ///
  /// - Returns: Percent; nil if the end-diastolic volume is not above 0.
  public static func percent(endDiastolic: Double, endSystolic: Double) -> Double? {
    guard endDiastolic > 0 else { return nil }
    return 100 * (endDiastolic - endSystolic) / endDiastolic
  }
}

/// A plane mask of one chamber with the size of its pixels.
public struct ChamberMask: Equatable, Sendable {
  /// Whether a pixel belongs to the chamber, row by row.
  public let isInside: [Bool]
  /// The number of rows.
  public let height: Int
  /// The number of columns.
  public let width: Int
  /// Row and column spacing; in millimetres, volumes then are in cubic millimetres.
  public let spacing: (y: Double, x: Double)

  /// A mask; stops unless there are `height · width` pixels and the spacing is above 0.
  public init(
    _ isInside: [Bool], height: Int, width: Int, spacing: (y: Double, x: Double) = (1, 1)
  ) {
    precondition(
      isInside.count == height * width && spacing.y > 0 && spacing.x > 0,
      "chamber mask: \(isInside.count) pixels, \(height) x \(width), spacing \(spacing)")
    self.isInside = isInside
    self.height = height
    self.width = width
    self.spacing = spacing
  }

  /// Compares pixels and spacing.
  public static func == (a: ChamberMask, b: ChamberMask) -> Bool {
    a.isInside == b.isInside && a.height == b.height && a.width == b.width
      && a.spacing == b.spacing
  }

  /// The number of pixels inside.
  public var pixelCount: Int { isInside.count { $0 } }

  /// The area, in squared units of the spacing.
  public var area: Double { Double(pixelCount) * spacing.y * spacing.x }

  /// Mean position and principal axis of the pixels inside; nil without any.
  ///
  /// Positions are pixel centres times the spacing. The variance along the axis is the larger
  /// eigenvalue of the population covariance.
  public var moments: ChamberMoments? {
    let count = Double(pixelCount)
    guard count > 0 else { return nil }
    var (sumX, sumY) = (0.0, 0.0)
    forEachInside { x, y in
      sumX += x
      sumY += y
    }
    let (meanX, meanY) = (sumX / count, sumY / count)
    var (xx, xy, yy) = (0.0, 0.0, 0.0)
    forEachInside { x, y in
      xx += (x - meanX) * (x - meanX)
      xy += (x - meanX) * (y - meanY)
      yy += (y - meanY) * (y - meanY)
    }
    (xx, xy, yy) = (xx / count, xy / count, yy / count)
    let half = (xx - yy) / 2
    let root = (half * half + xy * xy).squareRoot()
    let largest = (xx + yy) / 2 + root
    // The eigenvector (xy, λ − xx), or its equal (λ − yy, xy), whichever does not cancel.
    var direction = half > 0 ? (x: largest - yy, y: xy) : (x: xy, y: largest - xx)
    let length = (direction.x * direction.x + direction.y * direction.y).squareRoot()
    // A disc has no axis: the vertical one stands for all.
    direction = length > 0 ? (direction.x / length, direction.y / length) : (0, 1)
    if direction.y < 0 { direction = (-direction.x, -direction.y) }
    return ChamberMoments(
      center: (meanX, meanY), direction: direction, largestVariance: max(0, largest))
  }

  /// Calls `body` with the position of each pixel inside.
  func forEachInside(_ body: (_ x: Double, _ y: Double) -> Void) {
    for row in 0..<height {
      for column in 0..<width where isInside[row * width + column] {
        body(Double(column) * spacing.x, Double(row) * spacing.y)
      }
    }
  }
}

/// Mean position and principal axis of a chamber.
public struct ChamberMoments: Sendable {
  /// The mean position.
  public let center: (x: Double, y: Double)
  /// The unit vector of the longest extent; its y is not negative.
  public let direction: (x: Double, y: Double)
  /// The variance of positions along it.
  public let largestVariance: Double
}

/// The area-length formula: a chamber as an ellipsoid of revolution, `V = 8A² / (3πL)`.
///
/// The length is that of an ellipse with the mask's second moments, `L = 4√λ₁` with λ₁ the larger
/// eigenvalue of the population covariance of the pixel positions. A single-view surrogate.
///
/// Source: Dodge et al., *Am. J. Cardiol.* 1966, in the form of GDKVM's evaluation.
public enum AreaLengthVolume {
  /// The volume in cubed units of the mask's spacing: 0 for an empty mask, nil if the length is 0.
  public static func volume(of mask: ChamberMask) -> Double? {
    guard let moments = mask.moments else { return 0 }
    let length = 4 * moments.largestVariance.squareRoot()
    guard length > 0 else { return nil }
    return 8 * mask.area * mask.area / (3 * Double.pi * length)
  }
}
