import Foundation
import Randomness

/// A simulated photograph of the back of an eye with its exact labels.
public struct FundusPhantom: Sendable {
  /// Rows and columns.
  public let side: Int
  /// Eight-bit colours.
  public let image: PNGImage
  /// 0 outside of the disc, 1 in its rim, 2 in the cup, row by row.
  public let labels: [UInt8]

  /// The labels as a grey picture.
  public var mask: PNGImage {
    PNGImage(
      samples: labels.map(UInt16.init), height: side, width: side, colour: .grey, bitDepth: 8)
  }
}

/// Makes pictures of optic discs.
///
/// Disc and cup with soft borders, branching vessels, pigment, uneven light, another camera's colours each
/// time, blur and noise. Labels are those of the outlines at the centres of pixels.
public struct FundusSimulator: Sendable {
  /// What a picture shows.
  public enum View: String, Sendable, CaseIterable {
    /// A square around the disc, which fills about half of it.
    case disc
    /// The whole round field of a camera, black around it.
    case field
  }

  private typealias Colour = SIMD3<Double>

  private let eye: FundusEye
  private let seed: UInt64
  private let retina: Colour
  private let rim: Colour
  private let cup: Colour
  private let rimSoftness: Double
  private let cupSoftness: Double
  private let halo: (strength: Double, width: Double, angle: Double)
  private let light: (slope: SIMD2<Double>, fall: Double)
  private let waves: [(direction: SIMD2<Double>, phase: Double, amplitude: Double)]
  private let gain: Colour
  private let gamma: Double
  private let blur: Double
  private let noise: Double
  private let window: (centre: SIMD2<Double>, half: Double)

  private static let stream: UInt64 = 0x6675_6e64
  private static let noiseStream: UInt64 = 0x6675_6e65

  /// A simulator with everything drawn from plausible ranges.
  ///
  /// - Parameter seed: Decides everything: equal seeds give equal pictures.
  public init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed, stream: Self.stream)
    self.seed = seed
    eye = FundusEye(using: &generator)
    func draw(_ low: Double, _ high: Double) -> Double {
      low + (high - low) * generator.nextUniformDouble()
    }
    let red = draw(0.45, 0.8)
    let green = red * draw(0.36, 0.62)
    retina = Colour(red, green, green * draw(0.3, 0.75))
    func mixed(_ from: Colour, _ to: Colour, _ part: Double) -> Colour {
      from + (to - from) * part
    }
    rim = mixed(retina, Colour(0.93, draw(0.58, 0.8), draw(0.3, 0.6)), draw(0.55, 1))
    cup = mixed(rim, Colour(0.99, draw(0.85, 0.98), draw(0.6, 0.9)), draw(0.5, 1))
    rimSoftness = draw(0.012, 0.06)
    cupSoftness = draw(0.02, 0.1)
    halo = (
      generator.nextUniform() < 0.45 ? draw(0.1, 0.5) : 0, draw(0.08, 0.3), draw(-0.8, 0.8)
    )
    light = (SIMD2(draw(-0.06, 0.06), draw(-0.06, 0.06)), draw(0, 0.012))
    let strength = draw(0.004, 0.02)
    // Choroid and pigment: waves of many lengths, the longer the stronger.
    waves = (0..<14).map { _ in
      let (length, angle) = (exp(draw(log(0.25), log(6))), draw(0, 2 * .pi))
      return (
        SIMD2(cos(angle), sin(angle)) * (2 * .pi / length), draw(0, 2 * .pi),
        strength * length.squareRoot()
      )
    }
    // Some cameras give very dark pictures.
    let exposure = exp(draw(log(0.4), log(1.2)))
    gain = Colour(draw(0.88, 1.12), draw(0.88, 1.12), draw(0.8, 1.2)) * exposure
    gamma = draw(0.75, 1.35)
    blur = draw(0.004, 0.03)
    noise = draw(0.004, 0.03)
    window = (SIMD2(draw(-0.3, 0.3), draw(-0.3, 0.3)), draw(1.7, 2.9))
  }

  /// Makes a picture.
  ///
  /// - Parameters:
  ///   - view: What it shows.
  ///   - side: Rows and columns, ≥ 16.
  /// - Returns: The picture and its labels.
  public func phantom(_ view: View, side: Int) -> FundusPhantom {
    precondition(side >= 16, "fundus: side \(side)")
    let (centre, half) =
      view == .disc ? window : (eye.fieldCentre, 1.02 * eye.fieldRadius)
    let pitch = 2 * half / Double(side)
    func position(_ row: Int, _ column: Int) -> SIMD2<Double> {
      SIMD2(
        centre.x + (Double(column) + 0.5 - Double(side) / 2) * pitch,
        centre.y + (Double(row) + 0.5 - Double(side) / 2) * pitch)
    }
    let vessels = darkening(centre: centre, half: half, pitch: pitch, side: side)
    var planes = [[Float]](repeating: [Float](repeating: 0, count: side * side), count: 3)
    var labels = [UInt8](repeating: 0, count: side * side)
    for row in 0..<side {
      for column in 0..<side {
        let point = position(row, column)
        let pixel = row * side + column
        let isDisc = eye.isDisc(point)
        labels[pixel] = isDisc ? (eye.isCup(point) ? 2 : 1) : 0
        let colour = self.colour(at: point, darkening: vessels[pixel])
        for channel in 0..<3 { planes[channel][pixel] = Float(colour[channel]) }
      }
    }
    // A full width from the deviation.
    let optics = GaussianBlur(fullWidth: blur * 2.3548)
    planes = planes.map { optics.applied(to: $0, height: side, width: side, spacing: pitch) }
    var generator = SeededGenerator(seed: seed, stream: Self.noiseStream, UInt64(side))
    var samples = [UInt16](repeating: 0, count: side * side * 3)
    for row in 0..<side {
      for column in 0..<side {
        let pixel = row * side + column
        let offset = position(row, column) - eye.fieldCentre
        let isShown = (offset * offset).sum() <= eye.fieldRadius * eye.fieldRadius
        for channel in 0..<3 {
          // Drawn in the dark corners too: the stream does not depend on the field.
          let hiss = noise * generator.nextNormalDouble()
          guard isShown || view == .disc else { continue }
          let value = max(0, Double(planes[channel][pixel]) * gain[channel])
          let stored = pow(value, gamma) + hiss
          samples[3 * pixel + channel] = UInt16((min(max(stored, 0), 1) * 255).rounded())
        }
      }
    }
    return FundusPhantom(
      side: side,
      image: PNGImage(samples: samples, height: side, width: side, colour: .rgb, bitDepth: 8),
      labels: labels)
  }

  /// The light that comes back from a point, before the camera.
  private func colour(at point: SIMD2<Double>, darkening: Double) -> SIMD3<Double> {
    func inside(_ excess: Double, _ softness: Double) -> Double {
      1 / (1 + exp(min(max(excess / softness, -40), 40)))
    }
    var texture = 1.0
    for wave in waves {
      texture += wave.amplitude * cos((wave.direction * point).sum() + wave.phase)
    }
    let spot = point - eye.macula
    var base = retina * texture
    base *= 1 - 0.35 * exp(-(spot * spot).sum() / 2.2)
    let excess = eye.disc.excess(point)
    if halo.strength > 0, excess > -0.2 {
      // Thinned tissue beside the disc, mostly towards the temple.
      let towards = cos(atan2(point.y, point.x * eye.temple) - halo.angle)
      let part = halo.strength * max(0, 0.3 + 0.7 * towards)
      base += (rim - base) * (part * inside(excess - halo.width, 0.4 * halo.width))
    }
    let discPart = inside(excess, rimSoftness)
    let cupPart = inside(eye.cupExcess(point), cupSoftness)
    base += (rim - base) * discPart
    base += (cup - base) * (cupPart * discPart)
    let absorbed = SIMD3(0.45, 0.8, 0.6) * darkening
    let offset = point - eye.fieldCentre
    let light = 1 + (self.light.slope * point).sum() - self.light.fall * (offset * offset).sum()
    return base * (1 - absorbed) * max(light, 0.2)
  }

  /// The part of the light that vessels take away at each pixel.
  private func darkening(
    centre: SIMD2<Double>, half: Double, pitch: Double, side: Int
  ) -> [Double] {
    var result = [Double](repeating: 0, count: side * side)
    let origin = centre - half
    for vessel in eye.vessels {
      for (point, width) in zip(vessel.points, vessel.halfWidths) {
        let place = (point - origin) / pitch - 0.5
        // A vessel thinner than a pixel darkens it only in part.
        let radius = max(width / pitch, 0.6)
        let depth = vessel.depth * min(1, width / pitch / 0.6)
        let reach = 2 * radius
        let rows = Int((place.y - reach).rounded(.up))...Int((place.y + reach).rounded(.up))
        let columns = Int((place.x - reach).rounded(.up))...Int((place.x + reach).rounded(.up))
        guard place.x > -reach, place.y > -reach, place.x < Double(side) + reach,
          place.y < Double(side) + reach
        else { continue }
        for row in rows.clamped(to: 0...side - 1) {
          for column in columns.clamped(to: 0...side - 1) {
            let offset = SIMD2(Double(column), Double(row)) - place
            let value = depth * exp(-(offset * offset).sum() / (radius * radius))
            result[row * side + column] = max(result[row * side + column], value)
          }
        }
      }
    }
    return result
  }
}
