import Foundation
import Randomness

/// The anatomy of a simulated eye's back: disc, cup, vessels, the darker spot of sharpest sight.
///
/// Lengths are in mean radii of the disc, positions from its centre, x to the right and y down.
public struct FundusEye: Sendable {
  /// A point.
  typealias Point = SIMD2<Double>

  /// A closed outline around a centre: an ellipse with a few slow waves.
  struct Outline: Sendable {
    var centre = Point(0, 0)
    /// Half axes across and along.
    var axes = Point(1, 1)
    /// The angle of the first axis.
    var tilt = 0.0
    /// Amplitude and phase of the waves with 2, 3 and 4 periods.
    var waves: [(amplitude: Double, phase: Double)] = []

    /// How far a point lies outside, negative inside, along the ray from the centre.
    func excess(_ point: Point) -> Double {
      let offset = point - centre
      let angle = atan2(offset.y, offset.x)
      let (c, s) = (cos(angle - tilt) / axes.x, sin(angle - tilt) / axes.y)
      var radius = 1 / (c * c + s * s).squareRoot()
      for (index, wave) in waves.enumerated() {
        radius *= 1 + wave.amplitude * cos(Double(index + 2) * angle + wave.phase)
      }
      return (offset * offset).sum().squareRoot() - radius
    }
  }

  /// A vessel as points with half widths.
  struct Vessel: Sendable {
    var points: [Point] = []
    var halfWidths: [Double] = []
    /// The part of green light that its middle takes away.
    var depth: Double
  }

  /// 1 if the temple is to the right in the picture, -1 if to the left.
  let temple: Double
  let disc: Outline
  let cup: Outline
  let vessels: [Vessel]
  /// The centre of the dark spot.
  let macula: Point
  /// The centre of the round field that a camera shows.
  let fieldCentre: Point
  /// The radius of that field.
  let fieldRadius: Double

  /// An eye with everything drawn from plausible ranges.
  init(using generator: inout SeededGenerator) {
    func draw(_ low: Double, _ high: Double) -> Double {
      low + (high - low) * generator.nextUniformDouble()
    }
    func waves(_ deviation: Double) -> [(amplitude: Double, phase: Double)] {
      (0..<3).map { _ in
        (max(-0.08, min(0.08, deviation * generator.nextNormalDouble())), draw(0, 2 * .pi))
      }
    }
    temple = generator.nextUniform() < 0.5 ? 1 : -1
    let stretch = draw(-0.03, 0.10)
    disc = Outline(
      axes: Point(1 - stretch, 1 + stretch), tilt: draw(-0.3, 0.3), waves: waves(0.012))
    let ratio = draw(0.22, 0.85)
    let reach = 0.3 * (1 - ratio)
    cup = Outline(
      centre: Point(draw(-reach, reach), draw(-reach, reach)),
      axes: Point(ratio * draw(0.85, 1.1) * (1 - stretch), ratio * (1 + stretch)),
      tilt: draw(-0.3, 0.3), waves: waves(0.03))
    macula = Point(temple * draw(4.4, 5.4), draw(0.2, 1.0))
    fieldRadius = draw(4.2, 7.5)
    let shift = fieldRadius * draw(0, 0.6)
    fieldCentre = Point(temple * shift, fieldRadius * draw(-0.12, 0.12))
    vessels = Self.vessels(temple: temple, using: &generator)
  }

  /// Whether a point lies in the disc.
  func isDisc(_ point: Point) -> Bool { disc.excess(point) < 0 }

  /// Whether a point lies in the cup, which keeps a rim of disc around it.
  func isCup(_ point: Point) -> Bool { cupExcess(point) < 0 }

  /// How far a point lies outside of the cup.
  func cupExcess(_ point: Point) -> Double {
    max(cup.excess(point), disc.excess(point) + Self.leastRim)
  }

  /// The thinnest rim between cup and the outside.
  static let leastRim = 0.05

  // MARK: - Vessels

  private static let step = 0.05
  private static let most = 90

  /// An artery and a vein into each quadrant, with branches.
  private static func vessels(
    temple: Double, using generator: inout SeededGenerator
  ) -> [Vessel] {
    var vessels: [Vessel] = []
    for vertical in [-1.0, 1.0] {
      for side in [temple, -temple] {
        for isVein in [false, true] {
          let start = Point(
            -0.2 * temple + 0.1 * generator.nextNormalDouble(),
            0.12 * generator.nextNormalDouble())
          // Towards the temple vessels go up or down first and then turn around the macula.
          let bend = side == temple ? 0.28 : 0.12
          let lean = side * (0.15 + 0.35 * generator.nextUniformDouble())
          let heading = atan2(vertical, lean)
          let turn = -vertical * side * bend * (0.7 + 0.6 * generator.nextUniformDouble())
          let width = (isVein ? 0.085 : 0.06) + 0.035 * generator.nextUniformDouble()
          let depth =
            isVein
            ? 0.6 + 0.3 * generator.nextUniformDouble() : 0.4 + 0.3 * generator.nextUniformDouble()
          grow(
            from: start, heading: heading, turn: turn, halfWidth: width, depth: depth,
            generation: 0, into: &vessels, using: &generator)
        }
      }
    }
    return vessels
  }

  /// Lets one vessel wander from a point, and its branches from it.
  private static func grow(
    from start: Point, heading: Double, turn: Double, halfWidth: Double, depth: Double,
    generation: Int, into vessels: inout [Vessel], using generator: inout SeededGenerator
  ) {
    var vessel = Vessel(depth: depth)
    var (point, heading, curve) = (start, heading, 0.0)
    let count = generation == 0 ? 220 : 60 + generator.nextInt(below: 80)
    for index in 0..<count {
      let progress = Double(index) / Double(count)
      let width = halfWidth * (1 - 0.6 * progress)
      vessel.points.append(point)
      vessel.halfWidths.append(width)
      point += Point(cos(heading), sin(heading)) * step
      curve = 0.93 * curve + 0.05 * generator.nextNormalDouble()
      heading += step * (turn + 4 * curve)
      let splits = generator.nextUniform() < (generation == 0 ? 0.03 : 0.02)
      if splits, generation < 3, vessels.count < most, index > 8 {
        let side = generator.nextUniform() < 0.5 ? -1.0 : 1.0
        grow(
          from: point, heading: heading + side * (0.4 + 0.6 * generator.nextUniformDouble()),
          turn: -side * 0.15, halfWidth: 0.7 * width, depth: 0.9 * depth,
          generation: generation + 1, into: &vessels, using: &generator)
      }
    }
    vessels.append(vessel)
  }
}
