import Foundation
import Randomness

/// How much of each voxel is grey matter, white matter and fluid, `0 ... 1`.
public struct BrainTissue: Sendable, Equatable {
  /// The grid.
  public let geometry: Geometry
  /// Part of grey matter, shape `[z, y, x]`.
  public let grey: [Float]
  /// Part of white matter.
  public let white: [Float]
  /// Part of cerebrospinal fluid.
  public let fluid: [Float]

  /// Takes tissue from two probability maps; fluid is what is left inside the brain.
  ///
  /// The brain is where the two maps together exceed 0.1, closed by a ball of 3 voxels, holes
  /// filled.
  ///
  /// - Parameters:
  ///   - greyMatter: Probabilities, in any unit (its maximum is 1).
  ///   - whiteMatter: The same for white matter, on the same grid.
  /// - Throws: ``ImagingError/geometryDiffers(file:shape:reference:referenceShape:offset:)``, or
  ///   ``ImagingError/noForeground(file:)`` for an empty map.
  public init(greyMatter: Volume, whiteMatter: Volume) throws(ImagingError) {
    try whiteMatter.requireGrid(
      of: greyMatter, file: "white-matter map", referenceFile: "grey-matter map")
    func part(_ volume: Volume, _ name: String) throws(ImagingError) -> [Float] {
      guard let highest = volume.voxels.max(), highest > 0 else { throw .noForeground(file: name) }
      return volume.voxels.map { min(max(0, $0 / highest), 1) }
    }
    let grey = try part(greyMatter.volume(at: 0), "grey-matter map")
    let white = try part(whiteMatter.volume(at: 0), "white-matter map")
    let brain = VoxelMask(
      voxels: zip(grey, white).map { $0 + $1 > 0.1 }, size: greyMatter.size
    ).closed(radius: 3).holesFilled()
    geometry = greyMatter.geometry
    self.grey = grey
    self.white = white
    fluid = brain.voxels.indices.map { brain.voxels[$0] ? max(0, 1 - grey[$0] - white[$0]) : 0 }
  }

  private init(geometry: Geometry, grey: [Float], white: [Float], fluid: [Float]) {
    self.geometry = geometry
    self.grey = grey
    self.white = white
    self.fluid = fluid
  }

  /// A brain made of formulas, where no maps are at hand.
  ///
  /// A folded ribbon of grey matter between two surfaces of a distorted ellipsoid, white matter
  /// inside, two ventricles and deep nuclei. The folds are those of a fixed sum of waves.
  ///
  /// - Parameter spacing: Side of the voxels, mm.
  /// - Returns: A head-sized grid, 196 x 232 x 188 mm.
  public static func generated(spacing: Double = 2) -> BrainTissue {
    let extent = SIMD3<Double>(196, 232, 188)
    let size = GridSize(
      x: Int(extent.x / spacing), y: Int(extent.y / spacing), z: Int(extent.z / spacing))
    var (grey, white, fluid) = ([Float](), [Float](), [Float]())
    for z in 0..<size.z {
      for y in 0..<size.y {
        for x in 0..<size.x {
          let index = SIMD3(Double(x), Double(y), Double(z)) + 0.5
          let parts = Self.parts(at: index * spacing - extent / 2)
          grey.append(Float(parts.x))
          white.append(Float(parts.y))
          fluid.append(Float(parts.z))
        }
      }
    }
    return BrainTissue(
      geometry: Geometry(size: size, spacing: SIMD3(repeating: spacing)), grey: grey, white: white,
      fluid: fluid)
  }

  /// Grey, white and fluid parts at a point in mm from the centre; edges are 1 mm soft.
  private static func parts(at p: SIMD3<Double>) -> SIMD3<Double> {
    func inside(_ q: SIMD3<Double>, _ radii: SIMD3<Double>) -> Double {
      let r = q / radii
      let norm = (r * r).sum().squareRoot()
      return 1 / (1 + exp((norm - 1) * radii.min()))
    }
    let folds = sin(p.x / 4.1 + 2 * sin(p.y / 13)) * sin(p.y / 4.7 + 1.5 * sin(p.z / 11))
    let depth = 6 * folds * sin(p.z / 5.3 + 2 * sin(p.x / 17))
    let radii = SIMD3<Double>(68, 84, 62)
    let skull = inside(p, radii + 4)
    let brain = inside(p, radii + min(0, depth)) * (abs(p.x) < 1.2 && p.z > 0 ? 0.3 : 1)
    let core = inside(p, radii - 7 + depth)
    let mirrored = SIMD3(abs(p.x), p.y, p.z)
    let ventricle = inside(mirrored - SIMD3(11, 2, 8), SIMD3(6, 30, 9))
    let nucleus = inside(mirrored - SIMD3(24, 2, 0), SIMD3(9, 18, 12))
    let hollow = min(core, 1 - ventricle)
    let white = hollow * (1 - nucleus)
    let grey = max(0, brain - core) + hollow * nucleus
    return SIMD3(grey, white, max(0, skull - grey - white))
  }

  /// Tissue on a coarser grid: each voxel the mean of a block of voxels.
  ///
  /// - Parameter factor: Voxels of a block along each axis, ≥ 1; what does not fill a block is cut.
  /// - Returns: The coarser tissue; the world positions of its voxels are the blocks' centres.
  /// - Throws: ``ImagingError/invalidParameter(name:value:reason:)`` if an axis is shorter than a block.
  public func averaged(by factor: Int) throws(ImagingError) -> BrainTissue {
    precondition(factor >= 1, "BrainTissue: factor \(factor)")
    guard factor > 1 else { return self }
    let old = geometry.size
    guard min(old.x, old.y, old.z) >= factor else {
      throw .invalidParameter(
        name: "average", value: "\(factor)", reason: "the maps have only \(old) voxels")
    }
    let size = GridSize(x: old.x / factor, y: old.y / factor, z: old.z / factor)
    func averaged(_ values: [Float]) -> [Float] {
      var result = [Float](repeating: 0, count: size.count)
      let share = 1 / Float(factor * factor * factor)
      for z in 0..<size.z * factor {
        for y in 0..<size.y * factor {
          let row = (z / factor * size.y + y / factor) * size.x
          let source = (z * old.y + y) * old.x
          for x in 0..<size.x * factor { result[row + x / factor] += share * values[source + x] }
        }
      }
      return result
    }
    let middle = SIMD3(repeating: Double(factor - 1) / 2)
    let affine = Affine(
      i: geometry.affine.i * Double(factor), j: geometry.affine.j * Double(factor),
      k: geometry.affine.k * Double(factor), origin: geometry.affine.world(middle))
    return BrainTissue(
      geometry: Geometry(
        size: size, affine: affine, isOrientationKnown: geometry.isOrientationKnown),
      grey: averaged(grey), white: averaged(white), fluid: averaged(fluid))
  }

  /// The brain of another "subject": moved by a smooth random displacement.
  ///
  /// - Parameters:
  ///   - amplitude: Largest displacement, mm.
  ///   - generator: Where the displacement comes from.
  /// - Returns: Tissue on the same grid; linear interpolation, 0 outside.
  func warped(amplitude: Double, using generator: inout SeededGenerator) -> BrainTissue {
    let size = geometry.size
    var displacement: [[Float]] = []
    for axis in 0..<3 {
      var values = SmoothField(modes: 8, highest: 5, using: &generator).values(size: size)
      let highest = values.reduce(0) { max($0, abs($1)) }
      let scale = highest > 0 ? Float(amplitude / geometry.spacing[axis]) / highest : 0
      // Subjects differ in size too.
      let stretch = Float(0.05 * (2 * generator.nextUniformDouble() - 1))
      let centre = Float(size[axis] - 1) / 2
      var index = 0
      for z in 0..<size.z {
        for y in 0..<size.y {
          for x in 0..<size.x {
            let position = Float(axis == 0 ? x : axis == 1 ? y : z)
            values[index] = position + values[index] * scale + stretch * (position - centre)
            index += 1
          }
        }
      }
      displacement.append(values)
    }
    var (grey, white, fluid) = (self.grey, self.white, self.fluid)
    for index in 0..<size.count {
      let sample = TrilinearSample(
        x: displacement[0][index], y: displacement[1][index], z: displacement[2][index], size)
      grey[index] = sample.value(in: self.grey)
      white[index] = sample.value(in: self.white)
      fluid[index] = sample.value(in: self.fluid)
    }
    return BrainTissue(geometry: geometry, grey: grey, white: white, fluid: fluid)
  }
}

/// Eight voxels and their weights around a point; without a weight outside the grid.
private struct TrilinearSample {
  private let first: Int
  private let strides: (y: Int, z: Int)
  private let weights: SIMD8<Float>
  private let isInside: Bool

  init(x: Float, y: Float, z: Float, _ size: GridSize) {
    let (i, j, k) = (Int(x.rounded(.down)), Int(y.rounded(.down)), Int(z.rounded(.down)))
    isInside =
      i >= 0 && j >= 0 && k >= 0 && i + 1 < size.x && j + 1 < size.y && k + 1 < size.z
    let (a, b, c) = (x - Float(i), y - Float(j), z - Float(k))
    first = (k * size.y + j) * size.x + i
    strides = (size.x, size.x * size.y)
    let low = SIMD4((1 - b) * (1 - a), (1 - b) * a, b * (1 - a), b * a)
    weights = SIMD8(lowHalf: low * (1 - c), highHalf: low * c)
  }

  func value(in values: [Float]) -> Float {
    guard isInside else { return 0 }
    let top = first + strides.z
    let voxels = SIMD8(
      values[first], values[first + 1], values[first + strides.y], values[first + strides.y + 1],
      values[top], values[top + 1], values[top + strides.y], values[top + strides.y + 1])
    return (voxels * weights).sum()
  }
}
