import Foundation
import Imaging
import Testing

@Suite("Echo simulator")
struct EchoSimulatorTests {
  private static let size = (height: 112, width: 112)

  private static func clean(_ seed: UInt64) -> EchoSimulator {
    var simulator = EchoSimulator(seed: seed)
    simulator.dropouts = []
    simulator.attenuation = 0
    simulator.noise = 0
    return simulator
  }

  @Test("equal seeds give equal clips, others do not")
  func seeds() {
    let a = EchoSimulator(seed: 5).clip(frames: 2, size: Self.size)
    let b = EchoSimulator(seed: 5).clip(frames: 2, size: Self.size)
    let c = EchoSimulator(seed: 6).clip(frames: 2, size: Self.size)
    #expect(a.frames == b.frames)
    #expect(a.labels == b.labels)
    #expect(a.frames != c.frames)
    #expect(a.frames.joined().allSatisfy { (0...1).contains($0) })
  }

  @Test("the volume falls from end-diastole to end-systole and returns", arguments: 1...4)
  func volumes(seed: Int) {
    let simulator = EchoSimulator(seed: UInt64(seed))
    let half = simulator.clip(frames: 9, size: (32, 32))
    #expect(zip(half.volumes, half.volumes.dropFirst()).allSatisfy { $0 > $1 })
    #expect(half.endDiastole == 0 && half.endSystole == 8)
    #expect(abs(half.ejectionFraction - simulator.geometry.ejectionFraction) < 1e-6)
    #expect(abs(half.volumes[0] - simulator.geometry.endDiastolicVolume) < 1e-6)
    let cycle = simulator.clip(frames: 2, size: (32, 32), times: 0...1)
    #expect(abs(cycle.volumes[1] - cycle.volumes[0]) < 1e-6)
  }

  @Test("the wall keeps its volume", arguments: 1...4)
  func wall(seed: Int) {
    let geometry = EchoSimulator(seed: UInt64(seed)).geometry
    func shell(_ time: Double) -> Double {
      let m = geometry.moment(at: time)
      func volume(_ long: Double, _ short: Double) -> Double {
        // Discs across the axis from the apex to the plane at half of the half length.
        let steps = 4000
        let height = 1.5 * long / Double(steps)
        return (0..<steps).reduce(0) { sum, step in
          let z = (-long + (Double(step) + 0.5) * height) / long
          return sum + Double.pi * short * short * (1 - z * z) * height
        } / 1000
      }
      #expect(abs(volume(m.long, m.short) / m.volume - 1) < 1e-4)
      return volume(m.long + m.wall, m.short + m.wall) - volume(m.long, m.short)
    }
    let start = shell(0)
    for time in [0.1, 0.3, geometry.systole, 0.7] { #expect(abs(shell(time) / start - 1) < 1e-4) }
    #expect(geometry.moment(at: geometry.systole).wall > geometry.moment(at: 0).wall)
  }

  @Test(
    "mask areas follow the volume, and discs of the mask give the true volume", arguments: 1...5)
  func masks(seed: Int) {
    let clip = Self.clean(UInt64(seed)).clip(frames: 5, size: (224, 224))
    for frame in 0..<5 {
      let estimate = SimpsonVolume.volume(of: clip.mask(.ventricle, frame: frame)) / 1000
      // The principal axis of a truncated ellipse leans a little: a few per cent.
      #expect(abs(estimate / clip.volumes[frame] - 1) < 0.08)
    }
    let areas = (0..<5).map { clip.mask(.ventricle, frame: $0).area }
    #expect(areas[4] < areas[0])
    #expect(Set(clip.labels[0]) == [0, 1, 2, 3])
  }

  @Test("blood is darker than muscle", arguments: 1...4)
  func contrast(seed: Int) {
    let clip = EchoSimulator(seed: UInt64(seed)).clip(frames: 3, size: Self.size)
    for frame in 0..<3 {
      func mean(_ label: HeartLabel) -> Float {
        let values = zip(clip.frames[frame], clip.labels[frame])
          .filter { $0.0 > 0 && $0.1 == label.rawValue }.map(\.0)
        return values.reduce(0, +) / Float(max(1, values.count))
      }
      #expect(mean(.myocardium) > mean(.ventricle) + 0.1)
    }
  }

  @Test("speckle moves with the wall", arguments: 1...4)
  func tracking(seed: Int) {
    var simulator = Self.clean(UInt64(seed))
    // Upright, in the middle and seen as a whole: a wall outside the sector has no speckle.
    simulator.geometry.tilt = 0
    simulator.geometry.apex = (0, 24)
    simulator.halfOpening = 1.3
    let clip = simulator.clip(frames: 5, size: (448, 448))
    let step = simulator.geometry.systole / 4
    /// Intensities along the wall; `time` says where the tissue is taken to be.
    func values(frame: Int, time: Double) -> [Double] {
      (0..<400).map { index in
        // The side wall, which moves most.
        let angle = -0.7 + Double(index % 100) / 100
        let place = simulator.wallPosition(
          angle: angle, depth: 0.2 + 0.2 * Double(index / 100), time: time)
        let column = Int((place.x / clip.spacing + Double(clip.width) / 2).rounded(.down))
        let row = Int((place.y / clip.spacing).rounded(.down))
        return Double(clip.frames[frame][row * clip.width + column])
      }
    }
    func correlation(_ a: [Double], _ b: [Double]) -> Double {
      let n = Double(a.count)
      let (ma, mb) = (a.reduce(0, +) / n, b.reduce(0, +) / n)
      let ab = zip(a, b).reduce(0) { $0 + ($1.0 - ma) * ($1.1 - mb) }
      let aa = a.reduce(0) { $0 + ($1 - ma) * ($1 - ma) }
      let bb = b.reduce(0) { $0 + ($1 - mb) * ($1 - mb) }
      return ab / (aa * bb).squareRoot()
    }
    let start = values(frame: 0, time: 0)
    let followed = correlation(start, values(frame: 4, time: 4 * step))
    let unmoved = correlation(start, values(frame: 4, time: 0))
    #expect(followed > 0.7)
    #expect(followed > unmoved + 0.3)
  }

  @Test("echoes weaken with depth and drop out in a direction")
  func beam() {
    var simulator = EchoSimulator(seed: 3)
    simulator.attenuation = 0.1
    simulator.dropouts = [(angle: 0.2, width: 0.05, loss: 20)]
    let ratio =
      simulator.transmission(range: 100, angle: -0.5)
      / simulator.transmission(range: 40, angle: -0.5)
    #expect(abs(ratio - pow(10, -0.1 * 60 / 20)) < 1e-9)
    let dropped =
      simulator.transmission(range: 80, angle: 0.2)
      / simulator.transmission(range: 80, angle: -0.5)
    #expect(abs(dropped - 0.1) < 1e-6)
  }

  @Test("outside the sector there is nothing")
  func sector() {
    let simulator = EchoSimulator(seed: 9)
    let clip = simulator.clip(frames: 1, size: Self.size)
    var outside = 0
    for row in 0..<clip.height {
      for column in 0..<clip.width {
        let (x, y) = EchoSimulator.position(
          row: row, column: column, width: clip.width, spacing: clip.spacing)
        guard abs(atan2(x, y)) > simulator.halfOpening else { continue }
        outside += 1
        #expect(clip.frames[0][row * clip.width + column] == 0)
      }
    }
    #expect(outside > 1000)
  }

  @Test("speckle in muscle is Rayleigh distributed: its mean is 1.91 of its deviation")
  func rayleigh() {
    var ratios: [Double] = []
    for seed in 1...6 {
      var simulator = Self.clean(UInt64(seed))
      // A wide display, so that nothing is cut off.
      simulator.dynamicRange = 200
      simulator.gain = 0
      let clip = simulator.clip(frames: 1, size: (448, 448))
      let echoes = zip(clip.frames[0], clip.labels[0])
        .filter { $0.0 > 0 && $0.1 == HeartLabel.myocardium.rawValue }
        .map { pow(10, (Double($0.0) - 1) * 200 / 20) }
      let mean = echoes.reduce(0, +) / Double(echoes.count)
      let variance = echoes.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(echoes.count)
      ratios.append(mean / variance.squareRoot())
    }
    #expect(abs(ratios.reduce(0, +) / 6 - 1.91) < 0.25)
  }
}
