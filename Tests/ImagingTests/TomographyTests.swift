import Foundation
import Imaging
import Randomness
import Testing

@Suite("Tomography")
struct TomographyTests {
  private let side = 64

  /// A disc of radius r pixels around (dx, dy) from the centre, its edge one pixel soft.
  private func disc(_ radius: Double, _ dx: Double = 0, _ dy: Double = 0) -> [Float] {
    (0..<side * side).map { index in
      let x = Double(index % side) - Double(side - 1) / 2 - dx
      let y = Double(index / side) - Double(side - 1) / 2 - dy
      return Float(min(max(radius - (x * x + y * y).squareRoot() + 0.5, 0), 1))
    }
  }

  @Test("the line integrals of a disc are its chords in every view")
  func chords() {
    let beam = ParallelBeam(height: side, width: side, pixel: 1.5, views: 36)
    let (radius, dx, dy) = (20.0, 4.0, -3.0)
    let sinogram = beam.projected(disc(radius, dx, dy))
    for view in 0..<beam.views {
      let angle = Double(view) * .pi / Double(beam.views)
      let centre = dx * cos(angle) + dy * sin(angle)
      for detector in 0..<beam.detectors {
        let s = Double(detector) - Double(beam.detectors - 1) / 2 - centre
        // The soft edge changes chords near it by its own length.
        guard abs(abs(s) - radius) > 3 else { continue }
        let chord = abs(s) < radius ? 2 * (radius * radius - s * s).squareRoot() * 1.5 : 0
        let found = Double(sinogram[view * beam.detectors + detector])
        #expect(abs(found - chord) < 0.9, "view \(view), detector \(detector)")
      }
    }
  }

  @Test("the transpose is the transpose: ⟨A x, y⟩ = ⟨x, Aᵀ y⟩", arguments: [(40, 64), (64, 23)])
  func transpose(height: Int, width: Int) {
    let beam = ParallelBeam(height: height, width: width, pixel: 0.7, views: 17)
    var generator = SeededGenerator(seed: 3)
    let x = (0..<height * width).map { _ in generator.nextUniform() }
    let y = (0..<beam.views * beam.detectors).map { _ in generator.nextUniform() }
    func dot(_ a: [Float], _ b: [Float]) -> Double {
      zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    let forward = dot(beam.projected(x), y)
    #expect(abs(forward - dot(x, beam.transposed(y))) < 1e-5 * abs(forward))
    // Over two halves of the views it is the sum of both.
    let halves = [0, 1].map { beam.transposed(y, views: stride(from: $0, to: 17, by: 2)) }
    #expect(abs(forward - dot(x, halves[0]) - dot(x, halves[1])) < 1e-5 * abs(forward))
  }

  @Test("filtered back-projection returns a disc's value and nothing outside")
  func reconstruction() {
    let beam = ParallelBeam(height: side, width: side, pixel: 2, views: 120)
    let image = disc(20).map { 0.02 * $0 }
    let result = FilteredBackProjection(beam).reconstructed(beam.projected(image))
    for index in result.indices {
      let x = Double(index % side) - Double(side - 1) / 2
      let y = Double(index / side) - Double(side - 1) / 2
      let r = (x * x + y * y).squareRoot()
      if r < 16 { #expect(abs(result[index] - 0.02) < 4e-4, "inside, \(index)") }
      if r > 24 && r < 31 { #expect(abs(result[index]) < 6e-4, "outside, \(index)") }
    }
  }

  @Test("the Hann window lowers noise")
  func window() {
    let beam = ParallelBeam(height: side, width: side, pixel: 1, views: 60)
    var generator = SeededGenerator(seed: 1)
    let noise = (0..<beam.views * beam.detectors).map { _ in generator.nextNormal() }
    func power(_ window: FilteredBackProjection.Window) -> Float {
      FilteredBackProjection(beam, window: window).reconstructed(noise).reduce(0) { $0 + $1 * $1 }
    }
    #expect(power(.hann) < 0.25 * power(.ramLak))
  }

  private var slice: ImageSlice {
    ImageSlice(
      pixels: disc(24).map { -1000 + 1040 * $0 }, height: side, width: side, rowSpacing: 4,
      columnSpacing: 4)
  }

  @Test("a noiseless scan keeps HU; noise falls with the square root of the dose")
  func dose() throws {
    var simulator = LowDoseCT()
    simulator.electronicNoise = 0
    let measured = try simulator.measured(slice)
    let centre = 32 * side + 32
    #expect(abs(measured.reference[centre] - 40) < 15)
    #expect(measured.reference[0] <= -950)
    func deviation(_ photons: Double) -> Double {
      simulator.photons = photons
      var generator = SeededGenerator(seed: 9)
      let noisy = simulator.degraded(measured, using: &generator)
      let inside = disc(20).indices.filter { disc20[$0] == 1 }
      let squares = inside.reduce(0.0) {
        $0 + pow(Double(noisy[$1] - measured.reference[$1]), 2)
      }
      return (squares / Double(inside.count)).squareRoot()
    }
    let disc20 = disc(20)
    let ratio = deviation(1e5) / deviation(4e5)
    #expect(abs(ratio - 2) < 0.15)
  }

  @Test("noise has the variance that theory gives for a uniform sinogram")
  func variance() throws {
    // Air only: every detector counts N₀, so Var(p) = 1/N₀, and for a ramp filter and linear
    // interpolation the variance of a pixel is π² / (12 views τ²) · Var(p), times 2/3 at most and 1/3
    // at least for the interpolation between two independent detectors.
    var simulator = LowDoseCT()
    simulator.electronicNoise = 0
    simulator.photons = 1e4
    let water = ImageSlice(
      pixels: [Float](repeating: 0, count: side * side), height: side, width: side, rowSpacing: 1,
      columnSpacing: 1)
    let measured = try simulator.measured(water)
    var generator = SeededGenerator(seed: 2)
    let noisy = simulator.degraded(measured, using: &generator)
    let centre = (24..<40).flatMap { y in (24..<40).map { y * side + $0 } }
    let found =
      centre.reduce(0.0) {
        $0 + pow(Double(noisy[$1] - measured.reference[$1]) * 0.02 / 1000, 2)
      } / Double(centre.count)
    let views = 96.0
    // The mean path through the square seen from its centre is about 64 to 90 mm of 0.02 / mm.
    let expected = Double.pi * .pi / (12 * views) * exp(1.45) / 1e4
    #expect(found > 0.3 * expected && found < 1.1 * expected)
  }

  @Test(
    "noise of the scanner: in the reference as in what is degraded, less with photons and smoothing"
  )
  func scannerNoise() throws {
    var simulator = LowDoseCT()
    simulator.electronicNoise = 0
    let clean = try simulator.measured(slice).reference
    let inside = disc(20).indices.filter { disc(18)[$0] == 1 }
    func measured(_ photons: Double, _ smoothing: Double) throws -> LowDoseCT.Measured {
      var generator = SeededGenerator(seed: 4)
      let noise = LowDoseCT.ScannerNoise(photons: photons, smoothing: smoothing)
      return try simulator.measured(slice, with: noise, using: &generator)
    }
    func deviation(_ one: [Float], _ other: [Float]) -> Double {
      let squares = inside.map { pow(Double(one[$0] - other[$0]), 2) }
      return (squares.reduce(0, +) / Double(inside.count)).squareRoot()
    }
    // The same random numbers: twice the deviation, but for what is cut at the ends of the range.
    let strong = try measured(1e5, 0)
    let ratio =
      try deviation(strong.reference, clean) / deviation(measured(4e5, 0).reference, clean)
    #expect(abs(ratio - 2) < 0.02)
    let smooth = try measured(1e5, 2)
    #expect(deviation(smooth.reference, clean) < 0.5 * deviation(strong.reference, clean))
    #expect(deviation(smooth.reference, clean) > 1)
    // With photons without number the degraded slice is the reference, noise of the scanner included.
    simulator.photons = 1e14
    var generator = SeededGenerator(seed: 5)
    let degraded = simulator.degraded(strong, using: &generator)
    #expect(deviation(degraded, strong.reference) < 0.01 * deviation(strong.reference, clean))
  }

  @Test("slices and threads do not change each other's noise; pixels must be square")
  func volume() throws {
    let size = GridSize(x: 24, y: 20, z: 4)
    let voxels = (0..<size.count).map { Float(($0 * 37) % 200) - 100 }
    let volume = Volume(voxels: voxels, geometry: Geometry(size: size, spacing: SIMD3(3, 3, 5)))
    let simulator = LowDoseCT()
    let one = try simulator.applied(to: volume, seed: 1, image: 0)
    let two = try simulator.applied(to: volume, seed: 1, image: 0, threads: 3)
    #expect(one.degraded == two.degraded && one.reference == two.reference)
    #expect(try simulator.applied(to: volume, seed: 2, image: 0).degraded != one.degraded)
    let oblong = Volume(voxels: voxels, geometry: Geometry(size: size, spacing: SIMD3(3, 2, 5)))
    #expect(throws: ImagingError.self) { try simulator.applied(to: oblong, seed: 1, image: 0) }
  }

  private var activity: ImageSlice {
    let small = disc(5, 10, 0)
    return ImageSlice(
      pixels: zip(disc(22), small).map { 10 * $0 + 20 * $1 }, height: side, width: side,
      rowSpacing: 2, columnSpacing: 2)
  }

  @Test("expected counts reconstruct the activity; noise falls with counts; the mean is kept")
  func emission() throws {
    var simulator = LowCountPET()
    simulator.pointSpread = 0
    simulator.postFilter = 0
    simulator.background = 0.1
    simulator.iterations = 12
    let measured = try simulator.measured(activity)
    let inside = disc(15, -3, 0).indices.filter { disc(15, -5, 0)[$0] == 1 }
    let mean = inside.reduce(0.0) { $0 + Double(measured.reference[$1]) } / Double(inside.count)
    let truth = inside.reduce(0.0) { $0 + Double(activity.pixels[$1]) } / Double(inside.count)
    #expect(abs(mean - truth) < 0.05 * truth)
    simulator.iterations = 4
    func noisy(_ counts: Double) throws -> (error: Double, sum: Double) {
      simulator.counts = counts
      let measured = try simulator.measured(activity)
      var generator = SeededGenerator(seed: 4)
      let image = simulator.degraded(measured, using: &generator)
      let error = inside.reduce(0.0) { $0 + pow(Double(image[$1] - measured.reference[$1]), 2) }
      return (error.squareRoot(), image.reduce(0) { $0 + Double($1) })
    }
    let (few, many) = (try noisy(2e4), try noisy(1e6))
    #expect(few.error > 3 * many.error)
    let total = activity.pixels.reduce(0) { $0 + Double($1) }
    #expect(abs(many.sum - total) < 0.03 * total)
    #expect(abs(few.sum - total) < 0.1 * total)
  }

  @Test("counts are shared among slices by their activity; an empty slice stays empty")
  func shares() throws {
    let size = GridSize(x: side, y: side, z: 3)
    let pixels = activity.pixels
    let volume = Volume(
      voxels: pixels + pixels.map { 0.25 * $0 } + pixels.map { _ in 0 },
      geometry: Geometry(size: size, spacing: SIMD3(2, 2, 4)))
    let sum = pixels.reduce(0) { $0 + Double($1) }
    #expect(abs(LowCountPET.meanActivity(of: volume) - 0.625 * sum) < 1e-4 * sum)
    let result = try LowCountPET().applied(to: volume, seed: 3, image: 0)
    let area = side * side
    #expect(result.degraded.voxels.suffix(area).allSatisfy { $0 == 0 })
    func relative(_ slice: Int) -> Double {
      let range = slice * area..<(slice + 1) * area
      let error = range.reduce(0.0) {
        $0 + pow(Double(result.degraded.voxels[$1] - result.reference.voxels[$1]), 2)
      }
      let power = range.reduce(0.0) { $0 + pow(Double(result.reference.voxels[$1]), 2) }
      return (error / power).squareRoot()
    }
    // A quarter of the counts has twice the relative noise.
    #expect(abs(relative(1) / relative(0) - 2) < 0.4)
  }

  @Test("a blur keeps the sum and has the width that it is named by")
  func blur() {
    var image = [Float](repeating: 0, count: side * side)
    image[32 * side + 32] = 1
    let blurred = GaussianBlur(fullWidth: 8).applied(
      to: image, height: side, width: side, spacing: 2)
    #expect(abs(blurred.reduce(0, +) - 1) < 1e-4)
    let peak = blurred[32 * side + 32]
    // Half the width is 4 mm, two pixels.
    #expect(abs(blurred[32 * side + 34] / peak - 0.5) < 1e-3)
    #expect(abs(blurred[30 * side + 32] / peak - 0.5) < 1e-3)
  }
}
