/// The left ventricle of a clip in one view: its volume in each frame by both single-plane formulas.
public struct VentricleCurve: Sendable {
  /// One mask per frame.
  public let masks: [ChamberMask]
  /// ``AreaLengthVolume`` of each frame, thousands of cubed units of the spacing (ml for mm).
  public let areaLength: [Double?]
  /// ``SimpsonVolume`` of each frame with 20 discs, likewise.
  public let simpson: [Double]

  /// Measures every frame.
  public init(_ masks: [ChamberMask]) {
    self.masks = masks
    areaLength = masks.map { AreaLengthVolume.volume(of: $0).map { $0 / 1000 } }
    simpson = masks.map { SimpsonVolume.volume(of: $0) / 1000 }
  }

  /// Frames in which there is no ventricle; no ejection fraction counts them.
  public var emptyFrames: [Int] { masks.indices.filter { masks[$0].pixelCount == 0 } }

  /// The frames of the largest and of the smallest volume above 0; nil if there is none.
  static func extremes(_ volumes: [Double?]) -> (endDiastole: Int, endSystole: Int)? {
    let known = volumes.enumerated().compactMap { index, volume in
      volume.flatMap { $0 > 0 ? (index, $0) : nil }
    }
    guard let largest = known.max(by: { $0.1 < $1.1 }),
      let smallest = known.min(by: { $0.1 < $1.1 })
    else { return nil }
    return (largest.0, smallest.0)
  }
}

/// An ejection fraction from one view; its end-diastole and end-systole are the frames with the largest
/// and the smallest volume by the same formula.
public struct SinglePlaneEjection: Encodable, Equatable, Sendable {
  /// The formula.
  public let method: String
  /// How the long axis is found.
  public let longAxis: String
  /// The frame of the largest volume.
  public let endDiastole: Int
  /// The frame of the smallest volume.
  public let endSystole: Int
  /// Thousands of cubed units of the spacing: ml for mm.
  public let endDiastolicVolume: Double
  /// Likewise.
  public let endSystolicVolume: Double
  /// Percent.
  public let ejectionFraction: Double

  /// Both formulas for a ventricle: area-length, Simpson's 20 discs; none unless two frames show a ventricle.
  public static func all(of curve: VentricleCurve) -> [SinglePlaneEjection] {
    [
      SinglePlaneEjection(
        "area-length, 8A²/(3πL), single plane",
        longAxis: "L = 4√λ₁, the length of the ellipse with the second moments of the pixels",
        curve.areaLength),
      SinglePlaneEjection(
        "Simpson's 20 discs, single plane", longAxis: SimpsonVolume.longAxis, curve.simpson),
    ].compactMap(\.self)
  }

  private init?(_ method: String, longAxis: String, _ volumes: [Double?]) {
    // One frame has no beat.
    guard volumes.count(where: { $0 ?? 0 > 0 }) > 1,
      let (largest, smallest) = VentricleCurve.extremes(volumes),
      let diastolic = volumes[largest], let systolic = volumes[smallest],
      let percent = EjectionFraction.percent(endDiastolic: diastolic, endSystolic: systolic)
    else { return nil }
    (self.method, self.longAxis) = (method, longAxis)
    (endDiastole, endSystole) = (largest, smallest)
    (endDiastolicVolume, endSystolicVolume) = (diastolic, systolic)
    ejectionFraction = percent
  }
}

/// An ejection fraction from two perpendicular views through the long axis, apical four- and two-chamber,
/// by Simpson's biplane rule of 20 discs.
///
/// Each view has an end-diastole and an end-systole of its own, the frames of its largest and smallest
/// single-plane volume, so that the clips need not have the same number of frames.
public struct BiplaneEjection: Encodable, Equatable, Sendable {
  /// One view.
  public struct View: Encodable, Equatable, Sendable {
    /// The frame of the largest volume.
    public let endDiastole: Int
    /// The frame of the smallest volume.
    public let endSystole: Int
    /// The long axis at end-diastole, in units of the spacing.
    public let endDiastolicLength: Double
    /// The long axis at end-systole.
    public let endSystolicLength: Double
  }

  /// The formula.
  public let method: String
  /// How the long axis is found.
  public let longAxis: String
  /// The two views in the order given.
  public let views: [View]
  /// Thousands of cubed units of the spacing: ml for mm.
  public let endDiastolicVolume: Double
  /// Likewise.
  public let endSystolicVolume: Double
  /// Percent.
  public let ejectionFraction: Double
  /// By how much the end-diastolic axes differ, percent of the longer one.
  ///
  /// Above 10 one of the views is likely to be foreshortened.
  public let lengthDifference: Double

  /// Measures the ventricle in two views.
  ///
  /// - Throws: ``BiplaneError/noVentricle(view:)`` if a view has no ventricle in any frame.
  public init(_ first: VentricleCurve, _ second: VentricleCurve) throws(BiplaneError) {
    var (views, diastolic, systolic): ([View], [ChamberMask], [ChamberMask]) = ([], [], [])
    for (index, curve) in [first, second].enumerated() {
      guard let frames = VentricleCurve.extremes(curve.simpson),
        let large = SimpsonVolume.discs(of: curve.masks[frames.endDiastole]),
        let small = SimpsonVolume.discs(of: curve.masks[frames.endSystole])
      else { throw .noVentricle(view: index) }
      views.append(
        View(
          endDiastole: frames.endDiastole, endSystole: frames.endSystole,
          endDiastolicLength: large.length, endSystolicLength: small.length))
      diastolic.append(curve.masks[frames.endDiastole])
      systolic.append(curve.masks[frames.endSystole])
    }
    self.views = views
    method = "Simpson's 20 discs, biplane"
    longAxis =
      SimpsonVolume.longAxis + ", in each view; discs are as high as the longer axis asks for"
    endDiastolicVolume = SimpsonVolume.volume(of: diastolic[0], and: diastolic[1]) / 1000
    endSystolicVolume = SimpsonVolume.volume(of: systolic[0], and: systolic[1]) / 1000
    ejectionFraction =
      EjectionFraction.percent(
        endDiastolic: endDiastolicVolume, endSystolic: endSystolicVolume) ?? 0
    let lengths = views.map(\.endDiastolicLength)
    lengthDifference = 100 * abs(lengths[0] - lengths[1]) / max(lengths[0], lengths[1])
  }
}

/// Why two views give no volume; views count from 0.
public enum BiplaneError: Error, Equatable, Sendable {
  /// No frame of a view has a ventricle.
  case noVentricle(view: Int)
}
