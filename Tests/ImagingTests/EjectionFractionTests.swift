import Foundation
import Imaging
import Testing

@Suite("Ejection fraction")
struct EjectionFractionTests {
  /// An ellipse with half axes in millimetres, its long axis turned by an angle in radians.
  private static func ellipse(
    long: Double, short: Double, angle: Double, size: Int = 200,
    spacing: (y: Double, x: Double) = (0.5, 0.5)
  ) -> ChamberMask {
    let (cosine, sine) = (cos(angle), sin(angle))
    let isInside = (0..<size * size).map { index -> Bool in
      let y = (Double(index / size) - Double(size) / 2 + 0.3) * spacing.y
      let x = (Double(index % size) - Double(size) / 2 + 0.1) * spacing.x
      let (u, v) = (x * sine + y * cosine, x * cosine - y * sine)
      return u * u / (long * long) + v * v / (short * short) <= 1
    }
    return ChamberMask(isInside, height: size, width: size, spacing: spacing)
  }

  private static let angles = [0, 0.4, 1.2, .pi / 2, 2.5]

  @Test("both formulas give the volume of an ellipsoid of revolution", arguments: angles)
  func ellipsoid(angle: Double) throws {
    let (long, short) = (40.0, 22.0)
    let mask = Self.ellipse(long: long, short: short, angle: angle)
    let exact = 4 / 3 * Double.pi * long * short * short
    let areaLength = try #require(AreaLengthVolume.volume(of: mask))
    #expect(abs(areaLength / exact - 1) < 0.01)
    #expect(abs(SimpsonVolume.volume(of: mask) / exact - 1) < 0.02)
    let discs = try #require(SimpsonVolume.discs(of: mask))
    #expect(abs(discs.length / (2 * long) - 1) < 0.02)
    #expect(discs.diameters.count == 20)
    // The slabs hold the whole mask.
    let area = discs.diameters.reduce(0, +) * discs.length / 20
    #expect(abs(area / mask.area - 1) < 1e-9)
  }

  @Test("two views of an ellipsoid with three axes give its volume")
  func biplane() {
    let (long, a, b) = (42.0, 24.0, 18.0)
    let exact = 4 / 3 * Double.pi * long * a * b
    let volume = SimpsonVolume.volume(
      of: Self.ellipse(long: long, short: a, angle: 0.3),
      and: Self.ellipse(long: long, short: b, angle: 1.1))
    #expect(abs(volume / exact - 1) < 0.02)
  }

  @Test("spacing counts, also where it differs between the axes")
  func spacing() throws {
    let fine = Self.ellipse(long: 30, short: 20, angle: 0.5)
    let uneven = Self.ellipse(
      long: 30, short: 20, angle: 0.5, size: 300, spacing: (y: 0.3, x: 0.45))
    let (a, b) = (SimpsonVolume.volume(of: fine), SimpsonVolume.volume(of: uneven))
    #expect(abs(a / b - 1) < 0.02)
    let doubled = ChamberMask(
      fine.isInside, height: fine.height, width: fine.width, spacing: (1, 1))
    #expect(abs(SimpsonVolume.volume(of: doubled) / a - 8) < 1e-6)
    let areaLength = try #require(AreaLengthVolume.volume(of: doubled))
    #expect(abs(areaLength / (AreaLengthVolume.volume(of: fine) ?? 0) - 8) < 1e-6)
  }

  @Test("empty masks, single pixels and volumes of 0")
  func degenerate() {
    let empty = ChamberMask([Bool](repeating: false, count: 12), height: 3, width: 4)
    #expect(AreaLengthVolume.volume(of: empty) == 0)
    #expect(SimpsonVolume.volume(of: empty) == 0)
    #expect(SimpsonVolume.discs(of: empty) == nil)
    var pixel = [Bool](repeating: false, count: 12)
    pixel[5] = true
    let one = ChamberMask(pixel, height: 3, width: 4)
    #expect(AreaLengthVolume.volume(of: one) == nil)
    #expect(abs(SimpsonVolume.volume(of: one) - Double.pi / 4) < 1e-9)
    #expect(EjectionFraction.percent(endDiastolic: 0, endSystolic: 0) == nil)
    #expect(EjectionFraction.percent(endDiastolic: 120, endSystolic: 48) == 60)
  }
}
