import Imaging
import Randomness
import Testing

@Suite("Foreground and percentiles")
struct MetricForegroundTests {
  @Test("percentiles equal NumPy's")
  func percentiles() throws {
    for reference in try MetricReference.load().percentiles {
      let values = MetricReference.noise(reference.seed, reference.count).map { Float($0 - 50) }
      let all = OrderStatistics(of: values)
      let positive = OrderStatistics(of: values, selection: .positive)
      for (place, percent) in reference.percents.enumerated() {
        #expect(all.percentile(percent) == reference.all[place], "\(percent) % of all")
        #expect(positive.percentile(percent) == reference.positive[place], "\(percent) % > 0")
      }
    }
  }

  @Test("order statistics are those of the sorted values, ties and signs included")
  func ranks() {
    var generator = SeededGenerator(seed: 1)
    var values = (0..<500).map { _ in Float(generator.nextInt(below: 40) - 20) / 8 }
    values += [.greatestFiniteMagnitude, -.greatestFiniteMagnitude, 0x1p-149, -0x1p-149]
    let sorted = values.sorted()
    let statistics = OrderStatistics(of: values + [.nan, .infinity, -.infinity])
    #expect(statistics.count == sorted.count)
    for rank in sorted.indices { #expect(statistics.value(atRank: rank) == sorted[rank]) }
    #expect(OrderStatistics(of: [.nan, -1], selection: .positive).percentile(50) == nil)
  }

  @Test("foreground, scale and slice figures equal NumPy's and SciPy's")
  func foreground() throws {
    for reference in try MetricReference.load().foregrounds {
      let (clean, other) = reference.images
      let shape = reference.shape
      let size = GridSize(x: shape[2], y: shape[1], z: shape[0])
      let volume = Volume(voxels: clean, geometry: Geometry(size: size))
      let metric = try ForegroundPSNR(clean: volume)
      #expect(agree(metric.scale, reference.scale, within: 1e-6))

      let raw = VoxelMask(voxels: clean.map { Double($0) > 0.05 * metric.scale }, size: size)
      #expect(fingerprint(raw.voxels) == reference.raw)
      #expect(fingerprint(raw.closed(radius: 2).voxels) == reference.closed, "\(shape)")
      #expect(fingerprint(metric.foreground.voxels) == reference.filled, "\(shape)")
      for (axis, slices) in reference.axes {
        let score = metric.score(of: other, alongAxis: try #require(Int(axis)))
        #expect(score.slices.map(\.index) == slices.map { Int($0[0]) })
        for (slice, expected) in zip(score.slices, slices) {
          #expect(agree(slice.coverage, expected[1]))
          #expect(agree(slice.psnr, expected[2]), "\(slice.psnr) is not \(expected[2])")
        }
        let mean = slices.reduce(0) { $0 + $1[2] } / Double(slices.count)
        #expect(agree(try #require(score.mean), mean))
      }
    }
  }

  @Test("closing adds, never removes, and is done after one time", arguments: [0, 1, 2, 3])
  func closingProperties(radius: Int) {
    var generator = SeededGenerator(seed: 9)
    for size in [GridSize(x: 9, y: 8, z: 7), GridSize(x: 12, y: 15, z: 1)] {
      let mask = VoxelMask(
        voxels: (0..<size.count).map { _ in generator.nextInt(below: 5) == 0 }, size: size)
      let closed = mask.closed(radius: radius)
      #expect(zip(mask.voxels, closed.voxels).allSatisfy { !$0 || $1 })
      #expect(closed.closed(radius: radius) == closed)
      #expect((closed == mask) == (radius == 0))
    }
  }

  @Test("a full grid, its edges included, stays full; an empty one empty")
  func trivialMasks() {
    for size in [GridSize(x: 5, y: 4, z: 3), GridSize(x: 1, y: 1, z: 1)] {
      let full = VoxelMask(voxels: [Bool](repeating: true, count: size.count), size: size)
      let empty = VoxelMask(voxels: [Bool](repeating: false, count: size.count), size: size)
      #expect(full.closed(radius: 2).holesFilled() == full)
      #expect(empty.closed(radius: 2).holesFilled() == empty)
    }
  }

  @Test("a hole opens through a face, not through an edge")
  func holes() {
    // A 5x5x5 box around one empty voxel, whose walls are then opened.
    let size = GridSize(x: 7, y: 7, z: 7)
    func box(without openings: [(Int, Int, Int)]) -> VoxelMask {
      var voxels = [Bool](repeating: false, count: size.count)
      for z in 2...4 {
        for y in 2...4 {
          for x in 2...4 { voxels[(z * 7 + y) * 7 + x] = true }
        }
      }
      for (x, y, z) in openings + [(3, 3, 3)] { voxels[(z * 7 + y) * 7 + x] = false }
      return VoxelMask(voxels: voxels, size: size)
    }
    #expect(box(without: []).holesFilled().count == 27)
    #expect(box(without: [(2, 2, 3)]).holesFilled().count == 26)
    #expect(box(without: [(2, 3, 3)]).holesFilled().count == 25)
  }

  @Test("slices follow the anatomical plane, whatever the storage order")
  func planes() throws {
    let reference = try #require(try MetricReference.load().foregrounds.first)
    let (clean, other) = reference.images
    let size = GridSize(x: reference.shape[2], y: reference.shape[1], z: reference.shape[0])
    // Storage x runs towards the feet, y to the left, z to the front.
    let affine = Affine(i: [0, 0, -1], j: [-1, 0, 0], k: [0, 1, 0])
    let metric = try ForegroundPSNR(
      clean: Volume(voxels: clean, geometry: Geometry(size: size, affine: affine)))
    #expect(metric.score(of: other, in: .axial) == metric.score(of: other, alongAxis: 0))
    #expect(metric.score(of: other, in: .sagittal) == metric.score(of: other, alongAxis: 1))
    #expect(metric.score(of: other, in: .coronal) == metric.score(of: other, alongAxis: 2))
  }

  @Test("an image without a positive voxel has no foreground")
  func noForeground() {
    let volume = Volume(
      voxels: [0, -1, .nan, 0], geometry: Geometry(size: GridSize(x: 2, y: 2, z: 1)))
    #expect(throws: ImagingError.noForeground(file: "a.nii")) {
      try ForegroundPSNR(clean: volume, name: "a.nii")
    }
  }

  @Test("equal images have an infinite figure; slices with little foreground do not count")
  func coverage() throws {
    // One slice of 100 voxels with 9, one with 10, one with all voxels in the foreground.
    let size = GridSize(x: 10, y: 10, z: 3)
    var voxels = [Float](repeating: 0, count: size.count)
    for x in 0..<9 { voxels[x] = 100 }
    for index in 200..<300 { voxels[index] = 100 }
    let metric = try ForegroundPSNR(
      clean: Volume(voxels: voxels, geometry: Geometry(size: size)))
    let score = metric.score(of: voxels, alongAxis: 2)
    let counts = (0..<3).map { z in
      metric.foreground.voxels[z * 100..<(z + 1) * 100].count { $0 }
    }
    #expect(score.slices.map(\.index) == counts.indices.filter { counts[$0] >= 10 })
    #expect(score.slices.allSatisfy { $0.psnr == .infinity })
    #expect(counts[2] == 100)
    #expect(counts[0] >= 9)
  }
}
