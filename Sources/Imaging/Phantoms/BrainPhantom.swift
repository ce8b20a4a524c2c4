import Foundation
import Randomness

/// A synthetic brain with the contrast of a scan: warped tissue maps, mixed and varied.
///
/// A subject is a seed: it fixes the warp (4 to 8 mm) and the size. Contrasts of one subject share
/// its anatomy:
///
///     T1 = 0.45 grey + 0.80 white + 0.15 fluid
///     T2 = 0.60 grey + 0.45 white + 1.00 fluid
///     FDG = 1.00 grey + 0.25 white + 0.02 fluid
///     FLAIR = 0.75 grey + 0.62 white + 0.12 fluid
///
/// Each tissue's intensity varies by a few percent between subjects and smoothly inside the brain; FDG
/// also by region and in a few small foci of higher or lower uptake. Peaks are about 100.
public struct BrainPhantom: Sendable {
  /// What a scan shows.
  public enum Contrast: String, Sendable, CaseIterable, Codable {
    /// White matter bright.
    case t1
    /// Fluid bright.
    case t2
    /// Uptake of glucose in positron emission tomography: grey matter bright.
    case fdg
    /// T2 with fluid suppressed: grey matter a little brighter than white.
    case flair
  }

  private let tissue: BrainTissue

  /// Phantoms made from tissue.
  ///
  /// - Parameter tissue: The average brain.
  public init(_ tissue: BrainTissue) {
    self.tissue = tissue
  }

  /// One subject's scan.
  ///
  /// - Parameters:
  ///   - contrast: What it shows.
  ///   - subject: The seed of the subject.
  /// - Returns: Intensities from 0 to about 100 on the tissue's grid; 0 outside the brain.
  public func image(_ contrast: Contrast, subject: UInt64) -> Volume {
    var anatomy = SeededGenerator(seed: subject, stream: 0)
    let amplitude = 4 + 4 * anatomy.nextUniformDouble()
    let own = tissue.warped(amplitude: amplitude, using: &anatomy)
    let order = UInt64(Contrast.allCases.firstIndex(of: contrast) ?? 0)
    var generator = SeededGenerator(seed: subject, stream: 1, order)
    let (jitter, texture) = contrast == .fdg ? (0.1, Float(0.12)) : (0.06, Float(0.03))
    var weights = contrast.weights
    for part in 0..<3 { weights[part] *= Float(1 + jitter * generator.nextNormalDouble()) }
    let size = tissue.geometry.size
    let shading = SmoothField(modes: 8, highest: 4, using: &generator).values(size: size)
    let highest = max(shading.reduce(0) { max($0, abs($1)) }, .leastNormalMagnitude)
    let foci = contrast == .fdg ? Self.foci(in: own, using: &generator) : []
    var voxels = [Float](repeating: 0, count: size.count)
    for index in voxels.indices {
      let mix =
        weights[0] * own.grey[index] + weights[1] * own.white[index]
        + weights[2] * own.fluid[index]
      guard mix > 0 else { continue }
      voxels[index] = max(0, 100 * mix * (1 + texture * shading[index] / highest))
    }
    for focus in foci { focus.apply(to: &voxels, size: size, spacing: tissue.geometry.spacing) }
    return Volume(voxels: voxels, geometry: tissue.geometry)
  }

  /// Up to six places of higher or lower uptake inside grey or white matter.
  private static func foci(
    in tissue: BrainTissue, using generator: inout SeededGenerator
  ) -> [Focus] {
    let size = tissue.geometry.size
    return (0..<generator.nextInt(below: 7)).compactMap { _ in
      let centre = generator.nextInt(below: size.count)
      let radius = 3 + 5 * generator.nextUniformDouble()
      let change = 0.25 + 0.35 * generator.nextUniformDouble()
      let sign: Double = generator.nextInt(below: 2) == 0 ? 1 : -1
      guard tissue.grey[centre] + tissue.white[centre] > 0.5 else { return nil }
      return Focus(centre: centre, radius: radius, change: Float(sign * change))
    }
  }
}

/// A Gaussian factor on the intensities around a voxel.
private struct Focus {
  let centre: Int
  /// Standard deviation, mm.
  let radius: Double
  let change: Float

  func apply(to voxels: inout [Float], size: GridSize, spacing: SIMD3<Double>) {
    let (x, y, z) = (
      centre % size.x, centre / size.x % size.y, centre / (size.x * size.y)
    )
    func range(_ position: Int, _ axis: Int) -> Range<Int> {
      let reach = Int((3 * radius / spacing[axis]).rounded(.up))
      return max(0, position - reach)..<min(size[axis], position + reach + 1)
    }
    for k in range(z, 2) {
      for j in range(y, 1) {
        for i in range(x, 0) {
          let offset = SIMD3(Double(i - x), Double(j - y), Double(k - z)) * spacing
          let weight = exp(-(offset * offset).sum() / (2 * radius * radius))
          voxels[(k * size.y + j) * size.x + i] *= 1 + change * Float(weight)
        }
      }
    }
  }
}

extension BrainPhantom.Contrast {
  /// Intensity of pure grey matter, white matter and fluid.
  var weights: SIMD3<Float> {
    switch self {
    case .t1: SIMD3(0.45, 0.8, 0.15)
    case .t2: SIMD3(0.6, 0.45, 1)
    case .fdg: SIMD3(1, 0.25, 0.02)
    case .flair: SIMD3(0.75, 0.62, 0.12)
    }
  }
}
