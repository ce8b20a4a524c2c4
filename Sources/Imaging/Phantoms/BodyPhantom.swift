import Foundation
import Randomness

/// Synthetic slices of the trunk in Hounsfield units, made of ellipses.
///
/// Skin and fat around muscle, then lungs with vessels and a heart, or liver, kidneys and bowel,
/// always with a spine and ribs; small round lesions of low contrast; a smooth texture inside all
/// tissue. A subject is a seed; its slices vary smoothly from one to the next.
public struct BodyPhantom: Sendable, Equatable {
  /// Rows and columns of a slice.
  public let side: Int
  /// Slices.
  public let slices: Int
  /// Side of the field of view, mm.
  public let fieldOfView: Double

  /// Phantoms of one size.
  ///
  /// - Parameters:
  ///   - side: Rows and columns, ≥ 16.
  ///   - slices: Slices, ≥ 1.
  ///   - fieldOfView: Side of the field of view, mm.
  public init(side: Int = 256, slices: Int = 8, fieldOfView: Double = 360) {
    precondition(
      side >= 16 && slices >= 1 && fieldOfView > 0,
      "BodyPhantom: side \(side), \(slices) slices, \(fieldOfView) mm")
    self.side = side
    self.slices = slices
    self.fieldOfView = fieldOfView
  }

  /// One subject's slices.
  ///
  /// - Parameter subject: The seed of the subject.
  /// - Returns: HU, `slices` axial slices 5 mm apart.
  public func image(subject: UInt64) -> Volume {
    var generator = SeededGenerator(seed: subject, stream: 2)
    let body = Self.organs(using: &generator)
    let size = GridSize(x: side, y: side, z: slices)
    let texture = SmoothField(modes: 24, highest: 60, using: &generator).values(size: size)
    let pixel = fieldOfView / Double(side)
    var voxels = [Float](repeating: -1000, count: size.count)
    voxels.withUnsafeMutableBufferPointer { voxels in
      for z in 0..<slices {
        let height = Double(z) - Double(slices - 1) / 2
        for organ in body {
          paint(organ.moved(by: height * 5), pixel, z, texture, voxels)
        }
      }
    }
    return Volume(
      voxels: voxels, geometry: Geometry(size: size, spacing: SIMD3(pixel, pixel, 5)))
  }

  private func paint(
    _ organ: Ellipse, _ pixel: Double, _ z: Int, _ texture: [Float],
    _ voxels: UnsafeMutableBufferPointer<Float>
  ) {
    let middle = Double(side) / 2
    let reach = max(organ.radii.x, organ.radii.y) / pixel + 2
    let (cx, cy) = (organ.centre.x / pixel + middle, organ.centre.y / pixel + middle)
    let rows = max(0, Int(cy - reach))..<max(0, min(side, Int(cy + reach) + 1))
    let columns = max(0, Int(cx - reach))..<max(0, min(side, Int(cx + reach) + 1))
    guard !rows.isEmpty, !columns.isEmpty else { return }
    for y in rows {
      for x in columns {
        let point = SIMD2(Double(x) + 0.5 - middle, Double(y) + 0.5 - middle) * pixel
        let cover = organ.cover(of: point, pixel: pixel)
        guard cover > 0 else { continue }
        let index = (z * side + y) * side + x
        let value = organ.value + organ.texture * texture[index]
        voxels[index] += cover * (value - voxels[index])
      }
    }
  }

  /// The ellipses of a subject, each painted over those before it.
  private static func organs(using generator: inout SeededGenerator) -> [Ellipse] {
    func uniform(_ low: Double, _ high: Double) -> Double {
      low + (high - low) * generator.nextUniformDouble()
    }
    var organs: [Ellipse] = []
    func add(
      _ x: Double, _ y: Double, _ a: Double, _ b: Double, _ value: Double, turn: Double = 0,
      texture: Double = 1.5
    ) {
      organs.append(
        Ellipse(
          centre: SIMD2(x, y), radii: SIMD2(a, b), turn: turn, value: Float(value),
          texture: Float(texture), drift: SIMD2(uniform(-0.2, 0.2), uniform(-0.2, 0.2))))
    }
    let (a, b) = (uniform(120, 165), uniform(85, 120))
    let fat = uniform(8, 25)
    add(0, 0, a, b, uniform(-115, -90), texture: 3)
    add(0, 0, a - fat, b - fat, uniform(40, 65), texture: 3)
    let isChest = generator.nextInt(below: 2) == 0
    if isChest {
      for side in [-1.0, 1] {
        let (x, lungA, lungB) = (side * a * 0.42, a * uniform(0.27, 0.34), b * uniform(0.5, 0.62))
        add(x, -5, lungA, lungB, uniform(-880, -780), turn: side * uniform(-0.2, 0.2), texture: 8)
        for _ in 0..<generator.nextInt(below: 40) + 20 {
          let (r, angle) = (uniform(0, 0.85).squareRoot(), uniform(0, 2 * .pi))
          let radius = uniform(0.7, 4)
          add(
            x + r * lungA * cos(angle), -5 + r * lungB * sin(angle), radius,
            radius * uniform(0.7, 1.6), uniform(-300, 50), turn: uniform(0, .pi))
        }
      }
      add(uniform(0, 15), -uniform(15, 30), uniform(35, 48), uniform(32, 45), uniform(45, 180))
      add(uniform(-20, 0), -uniform(20, 40), uniform(10, 15), uniform(10, 15), uniform(60, 280))
    } else {
      add(-a * 0.4, -15, a * 0.36, b * uniform(0.42, 0.55), uniform(50, 120), turn: 0.3, texture: 4)
      add(a * 0.45, 0, a * 0.18, b * 0.28, uniform(45, 130), turn: -0.3, texture: 4)
      for side in [-1.0, 1] {
        add(side * 55, 35, uniform(16, 22), uniform(20, 28), uniform(30, 200), turn: side * 0.3)
      }
      for _ in 0..<generator.nextInt(below: 6) + 3 {
        let (x, y, r) = (uniform(-60, 70), uniform(-60, 5), uniform(8, 20))
        add(x, y, r, r * uniform(0.6, 1.4), uniform(10, 60))
        if generator.nextInt(below: 2) == 0 { add(x, y, r * 0.6, r * 0.5, -900) }
      }
    }
    let spine = b - fat - 25
    add(0, spine, uniform(17, 24), uniform(15, 21), uniform(250, 500), texture: 12)
    add(0, spine, uniform(11, 15), uniform(9, 13), uniform(130, 250), texture: 15)
    add(0, spine + 24, 8, 8, 30)
    add(-4, spine - 32, uniform(9, 13), uniform(9, 13), uniform(50, 300))
    for rib in 0..<generator.nextInt(below: 6) + 8 {
      let angle = Double(rib) * 2 * .pi / 13 + uniform(-0.1, 0.1)
      add(
        (a - fat - 6) * cos(angle), (b - fat - 6) * sin(angle), uniform(6, 14), uniform(3, 5),
        uniform(400, 900), turn: angle + .pi / 2, texture: 10)
    }
    for _ in 0..<generator.nextInt(below: 10) + 4 {
      let (r, angle) = (uniform(0, 0.7), uniform(0, 2 * .pi))
      let radius = uniform(1.5, 9)
      add(
        r * a * cos(angle), r * b * sin(angle), radius, radius * uniform(0.7, 1.3),
        uniform(-20, 160))
    }
    return organs
  }
}

/// A filled ellipse of a slice, in mm from the centre of the field of view.
private struct Ellipse {
  var centre: SIMD2<Double>
  var radii: SIMD2<Double>
  var turn: Double
  var value: Float
  var texture: Float
  /// Movement in the plane per mm across it.
  var drift: SIMD2<Double>

  func moved(by height: Double) -> Ellipse {
    var result = self
    result.centre += drift * height
    result.radii *= 1 - 0.002 * height
    return result
  }

  /// How much of a pixel lies inside: 1, 0, or in between in a border one pixel wide.
  func cover(of point: SIMD2<Double>, pixel: Double) -> Float {
    let offset = point - centre
    let (c, s) = (cos(turn), sin(turn))
    let x = (offset.x * c + offset.y * s) / radii.x
    let y = (offset.y * c - offset.x * s) / radii.y
    let norm = (x * x + y * y).squareRoot()
    let distance = (norm - 1) * min(radii.x, radii.y)
    return Float(min(max(0.5 - distance / pixel, 0), 1))
  }
}
