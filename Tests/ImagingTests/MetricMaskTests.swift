import Imaging
import Randomness
import Testing

@Suite("Figures over counted voxels")
struct MetricMaskTests {
  private func noise(_ count: Int, seed: UInt64) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in generator.nextUniform() }
  }

  @Test("errors and the data range are those of the samples that count alone")
  func errors() {
    let (image, reference) = (noise(60, seed: 1), noise(60, seed: 2))
    let counted = (0..<60).map { $0 % 5 != 0 }
    let kept = (0..<60).filter { counted[$0] }
    let expected = Fidelity(of: kept.map { image[$0] }, against: kept.map { reference[$0] })
    let spoilt = reference.indices.map { counted[$0] ? reference[$0] : 1e30 }
    let other = image.indices.map { counted[$0] ? image[$0] : .nan }
    #expect(Fidelity(of: other, against: spoilt, counting: counted) == expected)
    let whole = Fidelity(of: image, against: reference)
    let all = [Bool](repeating: true, count: 60)
    #expect(Fidelity(of: image, against: reference, counting: all) == whole)
    let none = Fidelity(of: image, against: reference, counting: all.map { !$0 })
    #expect(none.rootMeanSquaredError.isNaN && none.peakSignalToNoiseRatio().isNaN)
    #expect(Fidelity(of: other, against: spoilt, counting: all).meanAbsoluteError.isNaN)
  }

  @Test("SSIM over a mask is that of the part that it leaves", arguments: [2, 3])
  func similarity(rank: Int) throws {
    // The first three columns and rows, and in 3D planes, do not count.
    let shape = rank == 2 ? [16, 18] : [15, 16, 18]
    let count = shape.reduce(1, *)
    let (image, reference) = (noise(count, seed: 3), noise(count, seed: 4))
    let isIn = (0..<count).map { index in
      let (x, y, z) = (index % 18, index / 18 % 16, index / (18 * 16))
      return x >= 3 && y >= 3 && (rank == 2 || z >= 3)
    }
    let kept = (0..<count).filter { isIn[$0] }
    for variant in [StructuralSimilarity.gaussian, .uniform7] {
      let expected = try variant.score(
        of: kept.map { image[$0] }, against: kept.map { reference[$0] },
        shape: shape.map { $0 - 3 }, dataRange: 1)
      let found = try variant.score(
        of: image, against: reference.indices.map { isIn[$0] ? reference[$0] : .nan },
        counting: isIn, shape: shape, dataRange: 1)
      #expect(abs(found - expected) < 1e-12, "\(variant)")
    }
    let all = [Bool](repeating: true, count: count)
    for variant in [StructuralSimilarity.gaussian, .uniform7, .restoreRWKV] {
      let plain = try variant.score(of: image, against: reference, shape: shape, dataRange: 1)
      let masked = try variant.score(
        of: image, against: reference, counting: all, shape: shape, dataRange: 1)
      #expect(plain == masked)
      let none = try variant.score(
        of: image, against: reference, counting: all.map { !$0 }, shape: shape, dataRange: 1)
      #expect(none.isNaN)
    }
    // With padding the window stands on every voxel: one corner spoils those within five of it.
    let corner = (0..<count).map { $0 != 0 }
    let padded = try StructuralSimilarity.restoreRWKV.score(
      of: image.indices.map { corner[$0] ? image[$0] : .nan }, against: reference,
      counting: corner, shape: shape, dataRange: 1)
    #expect(padded.isFinite)
  }

  @Test("unknown voxels of a reference are left out of every figure, in slices and in volumes")
  func comparison() throws {
    for z in [2, 12] {
      let size = GridSize(x: 16, y: 14, z: z)
      let geometry = Geometry(size: size, spacing: SIMD3(1, 1, 4))
      let reference = Volume(
        voxels: noise(size.count * 2, seed: 5).map { 50 + 100 * $0 }, geometry: geometry,
        volumeCount: 2)
      // One at an edge, one in a corner, so that windows are left.
      let last = reference.voxels.count - 1
      let counted = reference.voxels.indices.map { $0 != 5 && $0 != last }
      var image = reference
      image.voxels = reference.voxels.map { $0 + 2 }
      let plain = try ImageComparison(of: image, against: reference)
      let all = counted.map { _ in true }
      let same = try ImageComparison(of: image, against: reference, counting: all)
      #expect(same.fidelity == plain.fidelity && abs(same.similarity - plain.similarity) < 1e-12)
      // As files are read: 0 in the reference, anything in the image.
      var unknown = reference
      for index in counted.indices where !counted[index] {
        unknown.voxels[index] = 0
        image.voxels[index] = .nan
      }
      let found = try ImageComparison(of: image, against: unknown, counting: counted)
      #expect(abs(found.fidelity.rootMeanSquaredError - 2) < 1e-4)
      #expect(found.dataRange < 101 && found.similarity > 0.9)
      #expect(found.similarityKind == (z == 2 ? .slices : .volume))
      let foreground = try ForegroundPSNR.mean(of: image, against: unknown, counting: counted)
      #expect(foreground.isFinite && foreground > 30)
      let slices = try SliceFigures.all(of: image, against: unknown, counting: counted)
      #expect(slices.allSatisfy { abs($0.rootMeanSquaredError - 2) < 1e-4 })
      // Beside a voxel that does not count, where no window looks, a NaN is seen all the same.
      image.voxels[6] = .nan
      let broken = try ImageComparison(of: image, against: unknown, counting: counted)
      #expect(broken.psnr.isNaN && broken.similarity.isNaN)
      #expect(try ForegroundPSNR.mean(of: image, against: unknown, counting: counted).isNaN)
    }
  }
}
