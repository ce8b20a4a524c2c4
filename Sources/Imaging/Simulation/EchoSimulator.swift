import Foundation
import Randomness

/// A simulated echocardiography clip with everything that is true about it.
public struct EchoClip: Sendable {
  /// The number of rows of a frame.
  public let height: Int
  /// The number of columns.
  public let width: Int
  /// The size of a pixel, mm, equal along both axes.
  public let spacing: Double
  /// Intensities from 0 to 1, row by row, frame by frame.
  public let frames: [[Float]]
  /// The structure at the centre of each pixel, ``HeartLabel`` values.
  public let labels: [[UInt8]]
  /// The true volume of the ventricle in each frame, ml.
  public let volumes: [Double]
  /// The frame with the largest volume.
  public let endDiastole: Int
  /// The frame with the smallest volume.
  public let endSystole: Int

  /// The percentage ejected between the two frames.
  public var ejectionFraction: Double {
    EjectionFraction.percent(
      endDiastolic: volumes[endDiastole], endSystolic: volumes[endSystole]) ?? 0
  }

  /// One structure of one frame.
  public func mask(_ label: HeartLabel, frame: Int) -> ChamberMask {
    ChamberMask(
      labels[frame].map { $0 == label.rawValue }, height: height, width: width,
      spacing: (spacing, spacing))
  }
}

/// Makes clips of a beating heart as a sector probe sees it: speckle that moves with the tissue, a beam
/// that weakens with depth and in places drops out, and a logarithmic display.
///
/// Speckle is the magnitude of a complex normal field (Rayleigh distributed) that is fixed to the
/// tissue: each pixel is followed back to where it was at end-diastole. Blood has a field of its own
/// that does not stay. The probe is at the top in the middle.
public struct EchoSimulator: Sendable {
  /// The heart.
  public var geometry: HeartGeometry
  /// Loss of the beam there and back, in dB per mm, as far as the machine does not make up for it.
  public var attenuation: Double
  /// Directions in which the beam hardly enters the body: angle from the vertical, width and loss in dB.
  public var dropouts: [(angle: Double, width: Double, loss: Double)]
  /// Half of the sector's opening, radians.
  public var halfOpening: Double
  /// The range of the display, dB.
  public var dynamicRange: Double
  /// Amplitude of the electronic noise; 1 is that of the brightest tissue.
  public var noise: Double
  /// Added to all echoes, dB.
  public var gain: Double

  private let speckle: SpeckleField
  private let blood: SpeckleField
  private let noiseSeed: UInt64

  /// The depth that a frame shows, mm.
  public static let depth = 150.0

  /// A simulator with everything drawn from plausible ranges.
  ///
  /// - Parameter seed: Decides everything: equal seeds give equal clips.
  public init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed, stream: 0x6563_686f)
    func draw(_ low: Double, _ high: Double) -> Double {
      low + (high - low) * generator.nextUniformDouble()
    }
    geometry = HeartGeometry(using: &generator)
    attenuation = draw(0.02, 0.12)
    halfOpening = draw(0.6, 0.75)
    dynamicRange = draw(50, 65)
    noise = draw(0.002, 0.01)
    gain = draw(-4, 4)
    let opening = halfOpening
    dropouts = (0..<generator.nextInt(below: 4)).map { _ in
      (draw(-opening, opening), draw(0.03, 0.12), draw(6, 25))
    }
    speckle = SpeckleField(using: &generator)
    blood = SpeckleField(using: &generator)
    noiseSeed = generator.next()
  }

  /// Makes a clip over one or more cycles.
  ///
  /// - Parameters:
  ///   - count: The number of frames, ≥ 1.
  ///   - size: Rows and columns of a frame, ≥ 8; the depth always fits.
  ///   - times: The time of the first and of the last frame; a cycle is 1 long, end-diastole at 0. Nil
  ///     for the half from end-diastole to end-systole.
  /// - Returns: The clip.
  public func clip(
    frames count: Int, size: (height: Int, width: Int), times: ClosedRange<Double>? = nil
  ) -> EchoClip {
    precondition(
      count >= 1 && size.height >= 8 && size.width >= 8, "echo: \(count) frames of \(size)")
    let times = times ?? 0...geometry.systole
    let spacing = Self.depth / Double(size.height)
    let step = (times.upperBound - times.lowerBound) / Double(max(1, count - 1))
    let moments = (0..<count).map {
      geometry.moment(at: times.lowerBound + step * Double($0))
    }
    var images: [[Float]] = []
    var labels: [[UInt8]] = []
    for (index, moment) in moments.enumerated() {
      let frame = render(moment, index: index, size, spacing)
      images.append(frame.image)
      labels.append(frame.labels)
    }
    let volumes = moments.map(\.volume)
    return EchoClip(
      height: size.height, width: size.width, spacing: spacing, frames: images, labels: labels,
      volumes: volumes,
      endDiastole: volumes.indices.max { volumes[$0] < volumes[$1] } ?? 0,
      endSystole: volumes.indices.min { volumes[$0] < volumes[$1] } ?? 0)
  }

  /// The position of a pixel's centre, mm right of and below the probe.
  public static func position(
    row: Int, column: Int, width: Int, spacing: Double
  ) -> (x: Double, y: Double) {
    ((Double(column) + 0.5 - Double(width) / 2) * spacing, (Double(row) + 0.5) * spacing)
  }

  private func render(
    _ moment: HeartGeometry.Moment, index: Int, _ size: (height: Int, width: Int),
    _ spacing: Double
  ) -> (image: [Float], labels: [UInt8]) {
    let start = geometry.moment(at: 0)
    var generator = SeededGenerator(seed: noiseSeed, stream: UInt64(index))
    var image = [Float](repeating: 0, count: size.height * size.width)
    var labels = [UInt8](repeating: 0, count: size.height * size.width)
    for row in 0..<size.height {
      for column in 0..<size.width {
        let (x, y) = Self.position(
          row: row, column: column, width: size.width, spacing: spacing)
        let (p, q) = geometry.local(x: x, y: y, at: moment)
        let label = moment.label(across: p, along: q)
        let pixel = row * size.width + column
        labels[pixel] = label.rawValue
        // One draw per pixel, inside the sector or not, keeps streams of all shapes alike.
        let hiss = generator.nextNormalDouble()
        let (range, angle) = ((x * x + y * y).squareRoot(), atan2(x, y))
        guard abs(angle) <= halfOpening, range <= Self.depth else { continue }
        let echo =
          reflectivity(label, p, q, moment) * texture(label, p, q, moment, start, index)
        let amplitude = abs(echo * transmission(range: range, angle: angle) + noise * hiss)
        let decibels = 20 * log10(max(amplitude, 1e-9)) + gain
        image[pixel] = Float(min(1, max(0, 1 + decibels / dynamicRange)))
      }
    }
    return (image, labels)
  }

  /// The part of an echo's amplitude that comes back from a place.
  public func transmission(range: Double, angle: Double) -> Double {
    var loss = attenuation * range
    for dropout in dropouts {
      let distance = (angle - dropout.angle) / dropout.width
      loss += dropout.loss * exp(-0.5 * distance * distance)
    }
    return pow(10, -loss / 20)
  }

  /// Mean amplitude of what is at a point: blood is dark, muscle grey, the sac around it bright.
  private func reflectivity(
    _ label: HeartLabel, _ p: Double, _ q: Double, _ moment: HeartGeometry.Moment
  ) -> Double {
    switch label {
    case .ventricle, .atrium: return 0.012
    case .myocardium: return 0.22
    case .background:
      let radius = (p * p + q * q).squareRoot()
      guard radius > 0 else { return 0.08 }
      let epicardium = HeartGeometry.Moment.radius(
        moment.long + moment.wall, moment.short + moment.wall, (p / radius, q / radius))
      let beyond = (radius - epicardium) / 2.5
      let sac = q <= moment.base ? 0.5 * exp(-0.5 * beyond * beyond) : 0
      // The valve: a thin plane across the base.
      let plane = (q - moment.base) / 1.5
      let valve = abs(p) < moment.short + moment.wall ? 0.3 * exp(-0.5 * plane * plane) : 0
      return 0.08 + sac + valve
    }
  }

  private func texture(
    _ label: HeartLabel, _ p: Double, _ q: Double, _ moment: HeartGeometry.Moment,
    _ start: HeartGeometry.Moment, _ index: Int
  ) -> Double {
    switch label {
    case .ventricle, .atrium:
      // Blood is another one in every frame.
      let shift = Double(index) * 37.7
      return blood.magnitude(x: p + shift, y: q + 0.61 * shift)
    case .myocardium, .background:
      let (across, along) = Self.origin(across: p, along: q, moment, start)
      return speckle.magnitude(x: across, y: along)
    }
  }

  /// Where tissue at a point across and along the axis was at end-diastole.
  ///
  /// Along each ray from the centre, the cavity's and the wall's radius are stretched to what they were;
  /// what lies outside follows less and less with the distance.
  static func origin(
    across p: Double, along q: Double, _ moment: HeartGeometry.Moment,
    _ start: HeartGeometry.Moment
  ) -> (across: Double, along: Double) {
    let radius = (p * p + q * q).squareRoot()
    guard radius > 0 else { return (0, 0) }
    let ray = (p: p / radius, q: q / radius)
    func endocardium(_ m: HeartGeometry.Moment) -> Double {
      HeartGeometry.Moment.radius(m.long, m.short, ray)
    }
    func epicardium(_ m: HeartGeometry.Moment) -> Double {
      HeartGeometry.Moment.radius(m.long + m.wall, m.short + m.wall, ray)
    }
    let (inner, outer) = (endocardium(moment), epicardium(moment))
    let (inner0, outer0) = (endocardium(start), epicardium(start))
    let then: Double
    if radius <= inner {
      then = radius * inner0 / inner
    } else if radius <= outer {
      then = inner0 + (radius - inner) * (outer0 - inner0) / (outer - inner)
    } else {
      then = radius + (outer0 - outer) * exp(-(radius - outer) / 25)
    }
    return (ray.p * then, ray.q * then)
  }

  /// Where tissue of the wall is in the image at a time of the cycle.
  ///
  /// - Parameters:
  ///   - angle: Its direction from the ventricle's centre at any time, from across the axis (0) towards
  ///     the base.
  ///   - depth: From the cavity's surface (0) to the outer one (1).
  ///   - time: A time of the cycle.
  /// - Returns: mm right of and below the probe.
  public func wallPosition(
    angle: Double, depth: Double, time: Double
  ) -> (x: Double, y: Double) {
    let moment = geometry.moment(at: time)
    let ray = (p: cos(angle), q: sin(angle))
    let inner = HeartGeometry.Moment.radius(moment.long, moment.short, ray)
    let outer = HeartGeometry.Moment.radius(
      moment.long + moment.wall, moment.short + moment.wall, ray)
    let radius = inner + depth * (outer - inner)
    return geometry.position(across: ray.p * radius, along: ray.q * radius, at: moment)
  }
}

/// A periodic field of speckle: the magnitude of a smoothed complex normal field, with mean square 1.
struct SpeckleField: Sendable {
  private static let size = 256
  /// The distance of two samples, mm.
  private static let step = 0.5

  private let values: [Float]

  init(using generator: inout SeededGenerator) {
    let (size, count) = (Self.size, Self.size * Self.size)
    func field() -> [Float] {
      var noise = [Float](repeating: 0, count: count)
      noise.withUnsafeMutableBufferPointer { generator.fillNormal($0) }
      // The beam is wider than its pulse is long: 1.2 mm by 0.6 mm.
      return Self.smoothed(noise, lateral: 2.4, axial: 1.2)
    }
    let (real, imaginary) = (field(), field())
    var magnitudes = [Float](repeating: 0, count: count)
    var power = 0.0
    for index in 0..<count {
      let square = real[index] * real[index] + imaginary[index] * imaginary[index]
      power += Double(square)
      magnitudes[index] = square.squareRoot()
    }
    let scale = Float(1 / (power / Double(count)).squareRoot())
    values = magnitudes.map { $0 * scale }
    precondition(values.count == size * size)
  }

  /// Periodic Gaussian smoothing, deviations in samples.
  private static func smoothed(_ x: [Float], lateral: Double, axial: Double) -> [Float] {
    func pass(_ x: [Float], _ deviation: Double, alongRows: Bool) -> [Float] {
      let radius = Int((3 * deviation).rounded(.up))
      let taps = (-radius...radius).map {
        Float(exp(-0.5 * Double($0 * $0) / (deviation * deviation)))
      }
      var y = [Float](repeating: 0, count: x.count)
      for (offset, tap) in zip(-radius...radius, taps) {
        for row in 0..<size {
          let source = alongRows ? row : (row + offset + size) % size
          for column in 0..<size {
            let from = alongRows ? (column + offset + size) % size : column
            y[row * size + column] += tap * x[source * size + from]
          }
        }
      }
      return y
    }
    return pass(pass(x, lateral, alongRows: true), axial, alongRows: false)
  }

  /// The magnitude at a position in mm, linear between samples.
  func magnitude(x: Double, y: Double) -> Double {
    let (u, v) = (x / Self.step, y / Self.step)
    let (left, top) = (u.rounded(.down), v.rounded(.down))
    let (du, dv) = (u - left, v - top)
    func wrapped(_ index: Int) -> Int { (index % Self.size + Self.size) % Self.size }
    let (c0, c1) = (wrapped(Int(left)), wrapped(Int(left) + 1))
    let (r0, r1) = (wrapped(Int(top)) * Self.size, wrapped(Int(top) + 1) * Self.size)
    let upper = (1 - du) * Double(values[r0 + c0]) + du * Double(values[r0 + c1])
    let lower = (1 - du) * Double(values[r1 + c0]) + du * Double(values[r1 + c1])
    return (1 - dv) * upper + dv * lower
  }
}
