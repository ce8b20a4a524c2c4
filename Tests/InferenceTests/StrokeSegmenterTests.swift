import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing

@Suite("Stroke segmenter and its field")
struct StrokeSegmenterTests {
  /// A ball of brain with a gradient, in an array that runs towards superior, anterior and right.
  private static func brain(_ size: [Int]) -> [Float] {
    (0..<size[0] * size[1] * size[2]).map { index -> Float in
      let place: [Int] = [index / (size[1] * size[2]), index / size[2] % size[1], index % size[2]]
      var distance = 0.0
      for axis in 0..<3 {
        let r = (Double(place[axis]) + 0.5) / Double(size[axis]) * 2 - 1
        distance += r * r
      }
      return distance < 0.8 ? Float(50 + place[0] + 3 * place[1] + 2 * place[2]) : 0
    }
  }

  /// The brain stored with axes R, A, S, or with other axes and directions.
  private static func stored(_ brain: [Float], _ size: [Int], otherwise: Bool) -> Volume {
    let geometry =
      otherwise
      // Storage axes run towards posterior, superior, left.
      ? Geometry(
        size: GridSize(x: size[1], y: size[0], z: size[2]),
        affine: Affine(
          i: SIMD3(0, -1, 0), j: SIMD3(0, 0, 1), k: SIMD3(-1, 0, 0), origin: SIMD3(9, 9, 9)))
      : Geometry(
        size: GridSize(x: size[2], y: size[1], z: size[0]),
        affine: Affine(i: SIMD3(1, 0, 0), j: SIMD3(0, 1, 0), k: SIMD3(0, 0, 1)))
    let grid = AnatomicalGrid(geometry)
    #expect(grid.size == size)
    return Volume(voxels: grid.voxels(of: brain), geometry: geometry)
  }

  @Test("storage order does not matter, and the way back is exact")
  func orientation() throws {
    let size = [12, 20, 14]
    let brain = Self.brain(size)
    for otherwise in [false, true] {
      let volume = Self.stored(brain, size, otherwise: otherwise)
      let field = try BrainField(
        of: volume, spacing: 1, cropsToBrain: false, multiple: 16, file: "t1")
      #expect(field.size == [16, 32, 16])
      let values = field.values(of: volume.voxels)
      // Margins are halved: 2 of 4, 6 of 12, 1 of 2.
      let (d0, d1, d2) = (5, 9, 7)
      let inField = ((d0 + 2) * 32 + d1 + 6) * 16 + d2 + 1
      let inBrain = (d0 * 20 + d1) * 14 + d2
      #expect(values[inField] == brain[inBrain] && brain[inBrain] > 0)
      #expect(field.voxels(of: values) == volume.voxels)
    }
  }

  @Test("a cropped field ends with the brain and is 0 beyond on the way back")
  func crop() throws {
    var brain = [Float](repeating: 0, count: 30 * 30 * 30)
    for d0 in 4..<9 {
      for d1 in 20..<29 {
        let row: Int = (d0 * 30 + d1) * 30
        for d2 in 1..<3 { brain[row + d2] = 5 }
      }
    }
    let volume = Self.stored(brain, [30, 30, 30], otherwise: true)
    let field = try BrainField(
      of: volume, spacing: 1, cropsToBrain: true, multiple: 4, file: "t1")
    #expect(field.size == [8, 12, 4])
    #expect(field.values(of: volume.voxels).count { $0 == 5 } == 5 * 9 * 2)
    let back = field.voxels(of: [Float](repeating: 1, count: field.count))
    #expect(back.count { $0 == 1 } == 5 * 9 * 2)
    let empty = Self.stored(brain.map { _ in 0 }, [30, 30, 30], otherwise: false)
    #expect(throws: ImagingError.noForeground(file: "t1")) {
      try BrainField(of: empty, spacing: 1, cropsToBrain: true, multiple: 4, file: "t1")
    }
  }

  @Test("thick slices are brought to the networks' spacing and back")
  func spacing() throws {
    let geometry = Geometry(
      size: GridSize(x: 20, y: 18, z: 6),
      affine: Affine(i: SIMD3(1, 0, 0), j: SIMD3(0, 1, 0), k: SIMD3(0, 0, 3)))
    let volume = Volume(
      voxels: (0..<20 * 18 * 6).map { Float(10 + 3 * ($0 / 360)) }, geometry: geometry)
    let field = try BrainField(
      of: volume, spacing: 1, cropsToBrain: false, multiple: 2, file: "t1")
    #expect(field.size == [18, 18, 20])
    #expect(abs(field.voxelVolume - 1) < 1e-9)
    let values = field.values(of: volume.voxels)
    // A ramp of 3 a slice is one of 1 a millimetre, but for the outermost ones.
    #expect(abs(values[5 * 360] - values[4 * 360] - 1) < 1e-4)
    let back = field.voxels(of: values)
    let worst = zip(back, volume.voxels).map { abs($0 - $1) }.max() ?? 9
    #expect(worst < 0.7, "worst \(worst)")
  }

  @Test("the same brain in another order has the same lesions in the same places")
  func segments() throws {
    var configuration = StrokeSystemConfiguration.small
    configuration.path.channels = 4
    configuration.combinerChannels = [4, 3]
    configuration.secondChannel = .mirror
    var generator = SeededGenerator(seed: 3)
    let system = try StrokeSystem(configuration, using: &generator)
    system.setTraining(false)
    system.setRequiresGradient(false)
    let size = [18, 20, 17]
    let brain = Self.brain(size)
    var found: [[Float]] = []
    for otherwise in [false, true] {
      let volume = Self.stored(brain, size, otherwise: otherwise)
      var last = (0, 0)
      let result = try StrokeSegmenter(system).segment([volume], file: "t1") { last = ($0, $1) }
      #expect(last.0 == last.1 && last.0 > 0)
      #expect(result.probability.geometry == volume.geometry)
      #expect(result.mask.voxels == result.probability.voxels.map { $0 > 0.5 })
      #expect(result.lesions.lesions.reduce(0) { $0 + $1.voxels } == result.mask.count)
      found.append(AnatomicalGrid(volume.geometry).array(of: result.probability.voxels))
    }
    #expect(found[0] == found[1])
  }
}
