import Imaging
import Testing

@Suite("What a restoration did to intensities")
struct IntensityChangeTests {
  private func volume(_ voxels: [Float]) -> Volume {
    let affine = Affine(
      i: SIMD3(1, 0, 0), j: SIMD3(0, 1, 0), k: SIMD3(0, 0, 1), origin: SIMD3(0, 0, 0))
    return Volume(
      voxels: voxels,
      geometry: Geometry(size: GridSize(x: voxels.count, y: 1, z: 1), affine: affine))
  }

  @Test("mean and root mean square of output minus input, over the voxels that count")
  func figures() throws {
    let (input, output) = (volume([1, 2, 3, 100]), volume([2, 5, 2, 0]))
    let all = try #require(IntensityChange(from: input, to: output))
    #expect(all.mean == -24.25 && all.rootMeanSquare == (10_011.0 / 4).squareRoot())
    let some = try #require(
      IntensityChange(from: input, to: output, counting: [true, true, true, false]))
    #expect(some.mean == 1 && some.rootMeanSquare == (11.0 / 3).squareRoot())
    let none = [false, false, false, false]
    #expect(IntensityChange(from: input, to: output, counting: none) == nil)
    #expect(IntensityChange(from: input, to: volume([1])) == nil)
  }
}
