import Foundation
import Imaging
import Randomness
import Testing

@Suite("Rician noise")
struct DegradationTests {
  private func constant(_ value: Float, size: GridSize) -> Volume {
    Volume(voxels: [Float](repeating: value, count: size.count), geometry: Geometry(size: size))
  }

  @Test(
    "second and fourth moments are those of the distribution", arguments: [0, 1, 5] as [Double])
  func moments(signal: Double) {
    let size = GridSize(x: 100, y: 100, z: 10)
    let sigma = 2.0
    let noisy = RicianNoise(sigma: sigma).applied(
      to: constant(Float(signal), size: size), seed: 3, image: 0)
    let count = Double(size.count)
    let second = noisy.voxels.reduce(0) { $0 + Double($1) * Double($1) } / count
    let fourth = noisy.voxels.reduce(0) { $0 + pow(Double($1), 4) } / count
    // E[y²] = A² + 2σ², E[y⁴] = A⁴ + 8σ²A² + 8σ⁴.
    let (a, s) = (signal * signal, sigma * sigma)
    let variance = 4 * s * a + 4 * s * s
    #expect(abs(second - (a + 2 * s)) < 4 * (variance / count).squareRoot())
    #expect(abs(fourth / (a * a + 8 * s * a + 8 * s * s) - 1) < 0.03)
  }

  @Test("without signal the magnitudes follow the Rayleigh distribution")
  func rayleigh() {
    let size = GridSize(x: 50, y: 50, z: 4)
    let noisy = RicianNoise(fraction: 0.1, ofScale: 30)
      .applied(to: constant(0, size: size), seed: 1, image: 0)
    let sorted = noisy.voxels.sorted()
    let count = Double(sorted.count)
    let gap = sorted.enumerated().reduce(0) { gap, entry in
      let exact = 1 - exp(-Double(entry.element) * Double(entry.element) / (2 * 9))
      return max(gap, abs(exact - (Double(entry.offset) + 0.5) / count))
    }
    #expect(gap < 1.95 / count.squareRoot())
  }

  @Test("each voxel is the magnitude of its own two numbers of the slice's stream")
  func definition() {
    let size = GridSize(x: 3, y: 2, z: 2)
    let clean = Volume(
      voxels: (0..<12).map(Float.init), geometry: Geometry(size: size))
    let noisy = RicianNoise(sigma: 0.5).applied(to: clean, seed: 7, image: 4)
    for slice in 0..<2 {
      var generator = SeededGenerator(seed: 7, stream: 4, UInt64(slice))
      for index in slice * 6..<(slice + 1) * 6 {
        let real = Double(index) + 0.5 * generator.nextNormalDouble()
        let imaginary = 0.5 * generator.nextNormalDouble()
        let magnitude = Float(hypot(real, imaginary))
        #expect(abs(noisy.voxels[index] - magnitude) <= magnitude.ulp, "voxel \(index)")
      }
    }
    #expect(noisy.geometry == clean.geometry)
  }

  @Test("noise depends on the seed, the image and the slice, and on nothing else")
  func streams() {
    let size = GridSize(x: 4, y: 4, z: 3)
    let noise = RicianNoise(sigma: 1)
    let clean = constant(10, size: size)
    let noisy = noise.applied(to: clean, seed: 1, image: 2)
    #expect(noise.applied(to: clean, seed: 1, image: 2) == noisy)
    #expect(noise.applied(to: clean, seed: 1, image: 3) != noisy)
    #expect(noise.applied(to: clean, seed: 2, image: 2) != noisy)
    let thinner = noise.applied(
      to: constant(10, size: GridSize(x: 4, y: 4, z: 1)), seed: 1, image: 2)
    #expect(thinner.voxels == Array(noisy.voxels.prefix(16)))
    #expect(Set(noisy.voxels).count == size.count)
    #expect(RicianNoise(sigma: 0).applied(to: clean, seed: 1, image: 2) == clean)
  }
}
