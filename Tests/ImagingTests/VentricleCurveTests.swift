import Foundation
import Imaging
import Testing

@Suite("Ejection from one view and from two")
struct VentricleCurveTests {
  /// Half axes of a beating ellipsoid in mm; the largest and the smallest one are in the middle.
  private static func heart(_ scale: Double) -> (long: Double, a: Double, b: Double) {
    (36 + 8 * scale, 14 + 10 * scale, 11 + 8 * scale)
  }

  /// A section through the long axis, turned by an angle.
  private static func section(_ long: Double, _ short: Double, angle: Double) -> ChamberMask {
    let (size, spacing) = (200, 0.55)
    let (cosine, sine) = (cos(angle), sin(angle))
    let isInside = (0..<size * size).map { index -> Bool in
      let y = (Double(index / size) - Double(size) / 2 + 0.3) * spacing
      let x = (Double(index % size) - Double(size) / 2 + 0.1) * spacing
      let (u, v) = (x * sine + y * cosine, x * cosine - y * sine)
      return u * u / (long * long) + v * v / (short * short) <= 1
    }
    return ChamberMask(isInside, height: size, width: size, spacing: (spacing, spacing))
  }

  private static let empty = ChamberMask(
    [Bool](repeating: false, count: 200 * 200), height: 200, width: 200,
    spacing: (0.55, 0.55))

  /// The wide sections in frames of the given scales.
  private static func view(_ scales: [Double], wide: Bool, angle: Double) -> VentricleCurve {
    VentricleCurve(
      scales.map { scale in
        let heart = heart(scale)
        return section(heart.long, wide ? heart.a : heart.b, angle: angle)
      })
  }

  private static func volume(_ scale: Double) -> Double {
    let heart = heart(scale)
    return 4 / 3 * Double.pi * heart.long * heart.a * heart.b / 1000
  }

  @Test("two views give the volumes of an ellipsoid with three axes, whatever their frames")
  func biplane() throws {
    let four = Self.view([0.5, 1, 0.4, 0, 0.3], wide: true, angle: 0.3)
    let two = Self.view([0, 0.6, 1], wide: false, angle: -0.2)
    let found = try BiplaneEjection(four, two)
    let (diastolic, systolic) = (Self.volume(1), Self.volume(0))
    #expect(abs(found.endDiastolicVolume / diastolic - 1) < 0.02)
    #expect(abs(found.endSystolicVolume / systolic - 1) < 0.02)
    let percent = 100 * (diastolic - systolic) / diastolic
    #expect(abs(found.ejectionFraction - percent) < 1)
    #expect(found.views.map(\.endDiastole) == [1, 2])
    #expect(found.views.map(\.endSystole) == [3, 0])
    #expect(abs(found.views[0].endDiastolicLength / 88 - 1) < 0.02)
    #expect(found.lengthDifference < 2)
    #expect(found.method.contains("biplane") && found.longAxis.contains("principal axis"))
    // One view alone takes the heart to be round.
    let wide = try #require(SinglePlaneEjection.all(of: four).last)
    #expect(wide.method.contains("single plane"))
    #expect(abs(wide.endDiastolicVolume / diastolic / (24.0 / 19) - 1) < 0.03)
  }

  @Test("a foreshortened view is noticed")
  func foreshortened() throws {
    let four = Self.view([1, 0], wide: true, angle: 0)
    let short = VentricleCurve([Self.section(36, 19, angle: 0), Self.section(30, 11, angle: 0)])
    let found = try BiplaneEjection(four, short)
    #expect(abs(found.lengthDifference - 100 * 8 / 44.0) < 2)
  }

  @Test("frames without a ventricle do not count; a view without any is named")
  func missing() throws {
    let full = [Self.section(44, 24, angle: 0), Self.empty, Self.section(36, 14, angle: 0)]
    let curve = VentricleCurve(full)
    #expect(curve.emptyFrames == [1])
    let single = SinglePlaneEjection.all(of: curve)
    #expect(single.count == 2)
    for item in single { #expect(item.endDiastole == 0 && item.endSystole == 2) }
    #expect(single[0].ejectionFraction > 50 && single[0].ejectionFraction < 85)
    let once = VentricleCurve([Self.empty, full[0], Self.empty])
    #expect(SinglePlaneEjection.all(of: once).isEmpty, "one frame has no beat")
    let nothing = VentricleCurve([Self.empty, Self.empty])
    #expect(SinglePlaneEjection.all(of: nothing).isEmpty)
    #expect(throws: BiplaneError.noVentricle(view: 1)) { try BiplaneEjection(curve, nothing) }
    #expect(throws: BiplaneError.noVentricle(view: 0)) { try BiplaneEjection(nothing, curve) }
    #expect(throws: BiplaneError.noVentricle(view: 0)) {
      try BiplaneEjection(VentricleCurve([]), curve)
    }
  }
}
