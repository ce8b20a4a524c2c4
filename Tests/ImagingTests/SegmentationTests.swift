import Imaging
import Randomness
import Testing

@Suite("Segmentation")
struct SegmentationTests {
  private static let grids = [
    GridSize(x: 7, y: 5, z: 6), GridSize(x: 9, y: 8, z: 1), GridSize(x: 1, y: 6, z: 5),
    GridSize(x: 11, y: 1, z: 1), GridSize(x: 1, y: 1, z: 1),
  ]

  private static func random(
    _ size: GridSize, part: Double, using generator: inout SeededGenerator
  ) -> VoxelMask {
    VoxelMask(
      voxels: (0..<size.count).map { _ in generator.nextUniformDouble() < part }, size: size)
  }

  private static func place(_ index: Int, _ size: GridSize) -> SIMD3<Double> {
    SIMD3(
      Double(index % size.x), Double(index / size.x % size.y), Double(index / (size.x * size.y)))
  }

  @Test("distances equal those of a search over all voxels")
  func distanceTransform() {
    var generator = SeededGenerator(seed: 3)
    for size in Self.grids {
      for part in [0.0, 0.02, 0.3, 1] {
        let spacing = SIMD3(0.7, 1.9, 1.1)
        let mask = Self.random(size, part: part, using: &generator)
        let transform = DistanceTransform(to: mask, spacing: spacing)
        let members = mask.voxels.indices.filter { mask.voxels[$0] }
        let expected = mask.voxels.indices.map { index in
          members.map { member in
            let step = (Self.place(index, size) - Self.place(member, size)) * spacing
            return (step * step).sum().squareRoot()
          }.min() ?? .infinity
        }
        let all = transform.distances
        let queried = transform.distances(at: Array(mask.voxels.indices.reversed()))
        for index in expected.indices {
          let close: (Double) -> Bool = {
            $0 == expected[index] || abs($0 - expected[index]) < 1e-12 * expected[index]
          }
          #expect(close(all[index]), "\(size), \(part)")
          #expect(close(queried[expected.count - 1 - index]), "\(size), \(part)")
        }
      }
    }
  }

  @Test("distances of voxels near a set, and of others, have the bits of the whole transform")
  func nearDistances() {
    var generator = SeededGenerator(seed: 6)
    let spacings: [SIMD3<Double>] = [SIMD3(1, 1, 1), SIMD3(0.7, 0.7, 0.7), SIMD3(0.7, 1.9, 1.1)]
    for size in Self.grids + [GridSize(x: 40, y: 37, z: 30)] {
      for spacing in spacings {
        // Sparse queries near a sparse set; one set in a corner, so that others are far from it.
        for part in [0.002, 0.02, 0.3] {
          let mask = Self.random(size, part: part, using: &generator)
          let corner = VoxelMask(
            voxels: mask.voxels.indices.map { $0 < max(1, size.count / 50) }, size: size)
          let queries = Array(mask.voxels.indices.reversed())
          for set in [mask, corner] where set.count > 0 {
            let whole = DistanceTransform(to: set, spacing: spacing)
            let members = set.voxels.indices.filter { set.voxels[$0] }
            let targets = DistanceTransform.Targets(mask: set, voxels: members)
            for asked in [queries, members] {
              let found = DistanceTransform.distances(
                at: asked, to: targets, spacing: spacing, threads: 2)
              #expect(found == whole.distances(at: asked))
            }
            // Whatever is reported as within reach is exact, all else is farther.
            let reach = 3 * spacing.max()
            let near = DistanceTransform(to: set, spacing: spacing, threads: 1, reach: reach)
              .distances(at: queries)
            let agree = zip(near, whole.distances(at: queries)).allSatisfy {
              $1 <= reach ? $0 == $1 : $0 > reach
            }
            #expect(agree, "\(size), \(spacing), \(part)")
          }
        }
      }
    }
  }

  @Test("distances do not depend on the number of threads")
  func threads() {
    var generator = SeededGenerator(seed: 5)
    let size = GridSize(x: 20, y: 21, z: 22)
    let mask = Self.random(size, part: 0.01, using: &generator)
    let queries = Array(mask.voxels.indices)
    func distances(_ threads: Int) -> [Double] {
      DistanceTransform(to: mask, spacing: SIMD3(1, 1, 2.5), threads: threads)
        .distances(at: queries)
    }
    #expect(distances(1) == distances(3))
  }

  @Test("components equal those of a flood fill", arguments: Connectivity.allCases)
  func components(connectivity: Connectivity) {
    var generator = SeededGenerator(seed: 4)
    let reach = [Connectivity.faces: 1, .edges: 2, .corners: 3][connectivity] ?? 0
    for size in Self.grids {
      let mask = Self.random(size, part: 0.3, using: &generator)
      let found = ConnectedComponents(of: mask, connectivity: connectivity)
      var expected = [Int32](repeating: 0, count: size.count)
      var count: Int32 = 0
      for start in expected.indices where mask.voxels[start] && expected[start] == 0 {
        count += 1
        expected[start] = count
        var pending = [start]
        while let voxel = pending.popLast() {
          for other in expected.indices where mask.voxels[other] && expected[other] == 0 {
            let step = Self.place(voxel, size) - Self.place(other, size)
            let distances = [abs(step.x), abs(step.y), abs(step.z)]
            if distances.max() == 1, distances.reduce(0, +) <= Double(reach) {
              expected[other] = count
              pending.append(other)
            }
          }
        }
      }
      #expect(found.labels == expected)
      #expect(found.count == Int(count))
      #expect(found.voxelCounts.reduce(0, +) == mask.count)
      for component in 1..<max(1, found.count) {
        #expect(found.mask(of: component).count == found.voxelCounts[component - 1])
      }
    }
  }

  @Test("lesions are found, missed and invented one by one, in classes of size")
  func lesions() {
    let size = GridSize(x: 20, y: 1, z: 1)
    func mask(_ text: String) -> VoxelMask {
      VoxelMask(voxels: text.map { $0 == "#" }, size: size)
    }
    let detection = LesionDetection(
      of: mask("##....#....##......#"), against: mask(".###....####..#....."),
      voxelVolume: 0.5)
    #expect(detection.reference.map(\.volume) == [1.5, 2, 0.5])
    #expect(detection.reference.map(\.isFound) == [true, true, false])
    #expect(detection.predictedCount == 4)
    #expect(detection.falsePositives == [0.5, 0.5])
    #expect(abs(detection.f1 - 4.0 / 7) < 1e-15)
    let classes = detection.bySize(edges: [1, 2])
    #expect(classes.map(\.count) == [1, 1, 1])
    #expect(classes.map(\.found) == [0, 1, 1])
    #expect(classes.map(\.falsePositives) == [2, 0, 0])
    let none = mask("....................")
    #expect(LesionDetection(of: none, against: none, voxelVolume: 1).f1 == 1)
    #expect(
      LesionDetection(of: none, against: mask("#..................#"), voxelVolume: 1).f1 == 0)
  }

  @Test("empty masks are scored, not dropped")
  func empty() {
    let size = GridSize(x: 4, y: 3, z: 2)
    let none = VoxelMask(voxels: [Bool](repeating: false, count: 24), size: size)
    let some = VoxelMask(voxels: (0..<24).map { $0 == 5 }, size: size)
    let spacing = SIMD3(1.0, 2, 3)
    func score(
      _ a: VoxelMask, _ b: VoxelMask, _ rule: EmptyMaskRule = .infinite
    ) -> SegmentationScore {
      SegmentationScore(of: a, against: b, spacing: spacing, tolerance: 1, emptyRule: rule)
    }
    let both = score(none, none)
    #expect(both.emptiness == .both)
    #expect(both.figures[.dice] == 1 && both.figures[.hausdorff95] == 0)
    for (a, b) in [(none, some), (some, none)] {
      #expect(score(a, b).figures[.dice] == 0)
      #expect(score(a, b).figures[.assd] == .infinity)
      #expect(score(a, b).figures[.nsdSurfel] == 0)
      let diagonal = (9.0 + 16 + 9).squareRoot()
      #expect(score(a, b, .diagonal).figures[.hausdorff] == diagonal)
      #expect(score(a, b, .nan).figures[.hausdorff] == .infinity)
    }
    #expect(score(none, some).emptiness == .prediction)
    #expect(score(some, none).emptiness == .reference)
    let undefined = score(none, none, .nan).figures.values.filter { !$0.isNaN }
    #expect(undefined.isEmpty)
    #expect(score(some, some).figures[.volumeDifference] == 0)
  }

  @Test("the protocols of the papers differ where their code does")
  func protocols() {
    let size = GridSize(x: 6, y: 5, z: 1)
    let none = VoxelMask(voxels: [Bool](repeating: false, count: 30), size: size)
    let some = VoxelMask(voxels: (0..<30).map { $0 < 8 }, size: size)
    let spacing = SIMD3(2.0, 1, 1)
    let stroke = SegmentationProtocol.stroke
    #expect(stroke.figures(of: none, against: none, spacing: spacing)[.dice] == 0)
    #expect(
      stroke.figures(of: some, against: some, spacing: spacing)[.dice] == 16 / (16 + 1e-4))
    let gdkvm = SegmentationProtocol.gdkvm
    #expect(gdkvm.figures(of: none, against: none, spacing: spacing)[.dice]?.isNaN == true)
    let diagonal = (100.0 + 16).squareRoot()
    let missed = gdkvm.figures(of: none, against: some, spacing: spacing)
    #expect(missed[.hausdorff95] == diagonal && missed[.iou] == 0)
    let tvconv = SegmentationProtocol.tvconv
    let absent = tvconv.figures(of: none, against: some, spacing: spacing)
    #expect(absent[.asd] == 100 && absent[.dice] == 1.0 / 9)
    #expect(tvconv.figures(of: some, against: some, spacing: spacing)[.dice] == 1)
  }

  @Test("label maps take whole numbers and listed labels only")
  func labels() throws {
    let geometry = Geometry(size: GridSize(x: 3, y: 1, z: 1), affine: Affine(spacing: [1, 1, 1]))
    func map(_ values: [Float], _ allowed: Set<Int>?) throws -> LabelMap {
      try LabelMap(
        Volume(voxels: values, geometry: geometry), file: "l.nii", allowed: allowed)
    }
    let labels = try map([0, 7, 2], nil)
    #expect(labels.present == [2, 7])
    #expect(labels.mask(of: 7).voxels == [false, true, false])
    #expect(labels.mask(ofAny: [2, 7]).voxels == [false, true, true])
    #expect(throws: ImagingError.labelMapNotInteger(file: "l.nii", value: 0.5)) {
      _ = try map([0, 0.5, 1], nil)
    }
    #expect(throws: ImagingError.unexpectedLabel(file: "l.nii", label: 7, allowed: [1, 2])) {
      _ = try map([0, 7, 2], [1, 2])
    }
  }
}
