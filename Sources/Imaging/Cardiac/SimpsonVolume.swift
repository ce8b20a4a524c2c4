/// Simpson's rule of discs: a chamber as a stack of discs across its long axis.
///
/// The long axis is the principal axis of the mask's pixel positions through their mean, from the
/// first to the last pixel's edge along it; this needs no landmark, where a reader would take the line
/// from the apex to the middle of the valve. Along it lie `discs` slabs of equal height h; a slab's
/// diameter is the area of the mask in it divided by h, so that pixels which a border cuts count in
/// part. One view gives round discs, `V = Σ π/4 · d² · h`; two views, oval ones, `V = Σ π/4 · a·b · h`
/// with the longer of both axes.
///
/// Source: Lang et al., *Recommendations for Cardiac Chamber Quantification*, JASE 28, 2015, §1 (biplane
/// method of discs, 20 discs).
public enum SimpsonVolume {
  /// How the long axis is found, for reports.
  public static let longAxis =
    "the principal axis of the ventricle's pixels, from the first to the last pixel along it"

  /// Diameters of the slabs and the length of the long axis, in units of the mask's spacing.
  public struct Discs: Equatable, Sendable {
    /// The diameter of each slab, from one end of the axis to the other.
    public let diameters: [Double]
    /// The length of the long axis.
    public let length: Double
  }

  /// Cuts a mask into slabs across its long axis.
  ///
  /// - Parameters:
  ///   - mask: One chamber.
  ///   - count: The number of slabs, ≥ 1.
  /// - Returns: The slabs; nil for an empty mask.
  public static func discs(of mask: ChamberMask, count: Int = 20) -> Discs? {
    precondition(count >= 1, "Simpson's rule: \(count) discs")
    guard let moments = mask.moments else { return nil }
    let axis = moments.direction
    // Half of a pixel's extent along the axis.
    let half = (axis.x.magnitude * mask.spacing.x + axis.y.magnitude * mask.spacing.y) / 2
    var (first, last) = (Double.infinity, -Double.infinity)
    func along(_ x: Double, _ y: Double) -> Double {
      (x - moments.center.x) * axis.x + (y - moments.center.y) * axis.y
    }
    mask.forEachInside { x, y in
      first = min(first, along(x, y) - half)
      last = max(last, along(x, y) + half)
    }
    let height = (last - first) / Double(count)
    var areas = [Double](repeating: 0, count: count)
    let pixel = mask.spacing.x * mask.spacing.y
    mask.forEachInside { x, y in
      // The pixel's area, spread evenly over its extent along the axis.
      let (low, high) = (along(x, y) - half - first, along(x, y) + half - first)
      let from = max(0, min(count - 1, Int(low / height)))
      let to = max(from, min(count - 1, Int(high / height)))
      for slab in from...to {
        let overlap =
          min(high, Double(slab + 1) * height) - max(low, Double(slab) * height)
        areas[slab] += pixel * max(0, overlap) / (2 * half)
      }
    }
    return Discs(diameters: areas.map { $0 / height }, length: last - first)
  }

  /// The volume from one view, in cubed units of the mask's spacing; 0 for an empty mask.
  public static func volume(of mask: ChamberMask, discs count: Int = 20) -> Double {
    guard let discs = discs(of: mask, count: count) else { return 0 }
    let height = discs.length / Double(count)
    return discs.diameters.reduce(0) { $0 + Double.pi / 4 * $1 * $1 * height }
  }

  /// The volume from two perpendicular views through the same long axis; 0 if a mask is empty.
  public static func volume(
    of first: ChamberMask, and second: ChamberMask, discs count: Int = 20
  ) -> Double {
    guard let a = discs(of: first, count: count), let b = discs(of: second, count: count) else {
      return 0
    }
    let height = max(a.length, b.length) / Double(count)
    return zip(a.diameters, b.diameters).reduce(0) { $0 + Double.pi / 4 * $1.0 * $1.1 * height }
  }
}
