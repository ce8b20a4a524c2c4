import Foundation
public import Randomness

/// The shape of a left heart through one cycle: a truncated ellipsoid of revolution (the ventricle), a
/// wall whose volume is constant, and an atrium below the valve.
///
/// Lengths are millimetres, volumes millilitres, angles radians. The long axis lies in the image; the
/// apex is fixed and the base moves towards it, as in a beating heart.
public struct HeartGeometry: Sendable {
  /// The ventricle's volume at end-diastole, when the cycle begins, in ml.
  public var endDiastolicVolume: Double
  /// The percentage of it that is ejected.
  public var ejectionFraction: Double
  /// Length over diameter at end-diastole.
  public var elongation: Double
  /// By how much the long axis shortens until end-systole, as a part of its length.
  public var longShortening: Double
  /// Thickness of the wall at end-diastole, mm.
  public var wallThickness: Double
  /// Half the length of the atrium at end-diastole, as a part of the ventricle's half length.
  public var atriumSize: Double
  /// The apex, mm from the probe: to the right and down.
  public var apex: (x: Double, y: Double)
  /// How far the long axis leans from the vertical, positive towards the right below the apex.
  public var tilt: Double
  /// When the ventricle is smallest, as a part of the cycle.
  public var systole: Double

  /// Where the valve's plane cuts the ellipsoid, as a part of its half length below the centre.
  static let truncation = 0.5

  /// A heart drawn from a range of plausible ones.
  public init(using generator: inout SeededGenerator) {
    func draw(_ low: Double, _ high: Double) -> Double {
      low + (high - low) * generator.nextUniformDouble()
    }
    endDiastolicVolume = draw(60, 160)
    ejectionFraction = draw(25, 72)
    elongation = draw(1.6, 2.1)
    longShortening = draw(0.08, 0.18)
    wallThickness = draw(7, 12)
    atriumSize = draw(0.42, 0.6)
    apex = (draw(-10, 10), draw(18, 28))
    tilt = draw(-0.3, 0.3)
    systole = draw(0.32, 0.42)
  }

  /// The heart at one moment.
  public struct Moment: Equatable, Sendable {
    /// Half length of the ventricle's ellipse, mm.
    public let long: Double
    /// Half width of the ventricle's ellipse, mm.
    public let short: Double
    /// Thickness of the wall, mm.
    public let wall: Double
    /// Half length of the atrium's ellipse, mm.
    public let atriumLong: Double
    /// Half width of the atrium's ellipse, mm.
    public let atriumShort: Double
    /// The volume of the ventricle, ml.
    public let volume: Double

    /// The part of the cavity's ellipse that counts: from the apex to the valve's plane.
    public var base: Double { HeartGeometry.truncation * long }
  }

  /// How far the contraction has come at a time of the cycle, from 0 to 1.
  ///
  /// Falls to systole and relaxes as half cosines; a cycle is one long.
  public func contraction(at time: Double) -> Double {
    let phase = time - time.rounded(.down)
    if phase < systole { return 0.5 - 0.5 * cos(.pi * phase / systole) }
    // Filling is fast at first and has ended before the next beat.
    let rest = min(1, (phase - systole) / (0.85 * (1 - systole)))
    return 0.5 + 0.5 * cos(.pi * rest)
  }

  /// The volume of a truncated ellipsoid in ml, for half axes in mm.
  static func volume(long: Double, short: Double) -> Double {
    let c = truncation
    return Double.pi * short * short * long * (2.0 / 3 + c - c * c * c / 3) / 1000
  }

  /// The heart at a time of the cycle.
  public func moment(at time: Double) -> Moment {
    let contraction = contraction(at: time)
    // From the cavity's length a + truncation · a to a half length, at the given shape.
    let unit = Self.volume(long: elongation, short: 1)
    let short0 = cbrt(endDiastolicVolume / unit)
    let long0 = elongation * short0
    let volume = endDiastolicVolume * (1 - ejectionFraction / 100 * contraction)
    let long = long0 * (1 - longShortening * contraction)
    let short = (volume / Self.volume(long: long, short: 1)).squareRoot()
    // The wall keeps its volume: bisection, because the shell's volume rises with the thickness.
    func shell(_ a: Double, _ b: Double, _ w: Double) -> Double {
      Self.volume(long: a + w, short: b + w) - Self.volume(long: a, short: b)
    }
    let muscle = shell(long0, short0, wallThickness)
    var (low, high) = (0.0, 60.0)
    for _ in 0..<50 {
      let middle = (low + high) / 2
      if shell(long, short, middle) < muscle { low = middle } else { high = middle }
    }
    // The atrium fills while the ventricle empties.
    let growth = 1 + 0.25 * contraction
    return Moment(
      long: long, short: short, wall: (low + high) / 2, atriumLong: atriumSize * long0 * growth,
      atriumShort: 0.8 * atriumSize * long0 * growth, volume: volume)
  }

  /// A position in the image as one relative to the ellipse's centre: across and along the axis, the
  /// base at positive values.
  func local(x: Double, y: Double, at moment: Moment) -> (across: Double, along: Double) {
    let (dx, dy) = (x - apex.x, y - apex.y)
    let (s, c) = (sin(tilt), cos(tilt))
    return (dx * c - dy * s, dx * s + dy * c - moment.long)
  }

  /// The inverse of ``local(x:y:at:)``.
  func position(across: Double, along: Double, at moment: Moment) -> (x: Double, y: Double) {
    let depth = along + moment.long
    let (s, c) = (sin(tilt), cos(tilt))
    return (apex.x + across * c + depth * s, apex.y - across * s + depth * c)
  }
}

/// What is at a point of a heart; the values are the labels of CAMUS.
public enum HeartLabel: UInt8, Sendable, CaseIterable {
  /// Anything else.
  case background = 0
  /// The cavity of the left ventricle.
  case ventricle = 1
  /// The wall of the left ventricle.
  case myocardium = 2
  /// The left atrium.
  case atrium = 3

  /// All but the background, by their values.
  public static let structures: [HeartLabel] = [.ventricle, .myocardium, .atrium]

  /// The name in tables and model cards, as in `left_ventricle`.
  public var name: String {
    switch self {
    case .background: "background"
    case .ventricle: "left_ventricle"
    case .myocardium: "myocardium"
    case .atrium: "left_atrium"
    }
  }
}

extension HeartGeometry.Moment {
  /// The structure at a point across and along the axis from the ventricle's centre.
  func label(across p: Double, along q: Double) -> HeartLabel {
    func isInside(_ a: Double, _ b: Double, _ along: Double) -> Bool {
      (p / b) * (p / b) + (along / a) * (along / a) <= 1
    }
    if q <= base {
      if isInside(long, short, q) { return .ventricle }
      return isInside(long + wall, short + wall, q) ? .myocardium : .background
    }
    // The atrium's ellipse reaches a little above the plane, so that the valve is its widest opening.
    return isInside(atriumLong, atriumShort, q - base - 0.75 * atriumLong)
      ? .atrium : .background
  }

  /// The radius of an ellipse in a direction.
  static func radius(_ long: Double, _ short: Double, _ direction: (p: Double, q: Double)) -> Double
  {
    let (u, v) = (direction.p / short, direction.q / long)
    return 1 / (u * u + v * v).squareRoot()
  }
}
