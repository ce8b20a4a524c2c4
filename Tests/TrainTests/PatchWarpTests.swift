import Foundation
import Imaging
import Inference
import Randomness
import TensorCore
import Testing
import Train

@Suite("Deformed patches")
struct PatchWarpTests {
  private func distance(_ a: SIMD3<Float>, _ b: SIMD3<Float>) -> Float {
    let d = a - b
    return (d * d).sum().squareRoot()
  }

  @Test("a quarter turn turns, a scaling scales about the centre, in millimetres")
  func places() {
    let patch = [5, 5, 5]
    let turn = PatchWarp(patch: patch, spacing: [1, 1, 1], angles: [.pi / 2, 0, 0], scale: 1)
    // Row 1 of column 4 comes from the same distance along the other axis.
    let place = turn.place(3, 1, 4)
    #expect(distance(place, SIMD3(3, 0, 1)) < 1e-5)
    let larger = PatchWarp(patch: patch, spacing: [1, 1, 1], angles: [0, 0, 0], scale: 2)
    #expect(distance(larger.place(0, 2, 4), SIMD3(1, 2, 3)) < 1e-5)
    // Slices three times as far apart: a turn out of the plane moves a third as many of them.
    let tilt = PatchWarp(patch: patch, spacing: [3, 1, 1], angles: [0, 0, .pi / 2], scale: 1)
    let moved = tilt.place(2, 4, 2)
    #expect(abs(abs(moved.x - 2) - 2 / 3) < 1e-5 && abs(moved.y - 2) < 1e-5)
  }

  @Test("about half of the patches change, all within bounds; two axes leave slices alone")
  func draws() {
    var changed = 0
    for seed in 0..<200 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let axes = seed % 2 == 0 ? 2 : 3
      let patch = axes == 2 ? [1, 32, 32] : [16, 32, 32]
      guard
        let warp = PatchWarp(patch: patch, spacing: [2, 1, 1], axes: axes, using: &generator)
      else { continue }
      changed += 1
      var again = SeededGenerator(seed: UInt64(seed))
      let same = PatchWarp(patch: patch, spacing: [2, 1, 1], axes: axes, using: &again)
      for (y, x) in [(0, 0), (31, 7), (16, 16)] {
        let place = warp.place(0, y, x)
        #expect(same?.place(0, y, x) == place)
        if axes == 2 { #expect(place.x == 0) }
        // The corner moves by less than the patch: half of its diagonal, 1.43 times as far.
        #expect(abs(place.y - Float(y)) < 32 && abs(place.z - Float(x)) < 32)
      }
    }
    // 1 − 0.8³ of 200 are 98.
    #expect((70...125).contains(changed))
  }

  @Test("labels go with their image")
  func labels() throws {
    let folder = try SegmentationTrainerTests.dataset(
      cases: 2, size: [24, 24, 24], spacing: [1, 1, 1])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let set = try SegmentationDataset(
      NNUNetFolder(path: folder), TrainingConfiguration().data,
      planner: SegmentationPlanner(axes: .three))
    let voxels = set.plan.patchVolume.reduce(1, *)
    var differs = 0
    for step in 0..<10 {
      let plain = set.batch(step: step, count: 1, seed: 9, flips: false, deforms: false)
      let (images, labels) = set.batch(step: step, count: 1, seed: 9, flips: false, deforms: true)
      differs += plain.labels.values == labels.values ? 0 : 1
      // The shell (200) is brighter than the core (150), that than the background (100).
      var (sums, counts) = ([0.0, 0, 0], [0.0, 0, 0])
      let (values, classes) = (images.values, labels.values)
      for voxel in 0..<voxels {
        guard let label = (0..<3).first(where: { classes[3 * voxel + $0] == 1 }) else { continue }
        sums[label] += Double(values[voxel])
        counts[label] += 1
      }
      #expect(counts.reduce(0, +) == Double(voxels))
      guard counts.allSatisfy({ $0 > 20 }) else { continue }
      let means = zip(sums, counts).map { $0 / $1 }
      #expect(means[1] > means[2] + 0.5 && means[2] > means[0] + 0.3, "\(means)")
    }
    #expect((2...8).contains(differs))
  }
}
