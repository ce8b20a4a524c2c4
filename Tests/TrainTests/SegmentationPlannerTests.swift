import Imaging
import Inference
import Layers
import Models
import Randomness
import Testing
import Train

@Suite("Plans from a dataset's fingerprint")
struct SegmentationPlannerTests {
  private static func plan(
    _ images: [DatasetFingerprint.Image], axes: SegmentationPlanner.Axes = .automatic,
    channel: String = "T1"
  ) -> SegmentationPlan {
    SegmentationPlanner(axes: axes).plan(
      DatasetFingerprint(
        images: images,
        intensities: [.init(low: -50, high: 300, mean: 100, deviation: 40)]),
      channels: [channel], labels: [NNUNetFolder.Label(name: "x", value: 1)])
  }

  private static func image(_ size: [Int], _ spacing: [Double]) -> DatasetFingerprint.Image {
    DatasetFingerprint.Image(size: size, spacing: spacing)
  }

  @Test("the network can follow any plan, and the patch stays near its budget")
  func feasible() throws {
    var random = SeededGenerator(seed: 8)
    for _ in 0..<200 {
      let images = (0..<1 + random.nextInt(below: 4)).map { _ in
        Self.image(
          (0..<3).map { _ in 1 + random.nextInt(below: 300) },
          (0..<3).map { _ in 0.3 + 5 * random.nextUniformDouble() })
      }
      for axes in SegmentationPlanner.Axes.allCases {
        let plan = Self.plan(images, axes: axes)
        try SegmentationTrainer.network(for: plan, ConvolutionChoice()).validate()
        #expect(plan.patch.count == plan.axes && plan.batch >= 2)
        for axis in 0..<plan.axes {
          let divisor = plan.pooling.reduce(1) { $0 * $1[axis] }
          #expect(plan.patch[axis] % divisor == 0, "\(plan)")
        }
        // Rounding up to what the network divides by adds less than a factor of 1.5 an axis.
        let budget = plan.axes == 2 ? 160 * 160 : 48 * 48 * 48
        #expect(plan.patch.reduce(1, *) <= budget * 7 / 2, "\(plan)")
        #expect(plan.sliceAxis == 0 || plan.sliceAxis == 1 || plan.sliceAxis == 2)
      }
    }
  }

  @Test("millimetres do not matter where all axes share them")
  func scale() {
    let sizes = [[40, 120, 100], [44, 128, 96], [36, 110, 90]]
    let plans = [1.0, 0.1, 7].map { unit in
      Self.plan(sizes.map { Self.image($0, [2 * unit, unit, unit]) })
    }
    #expect(plans[0].patch == plans[1].patch && plans[0].patch == plans[2].patch)
    #expect(plans[0].pooling == plans[2].pooling)
    #expect(plans[2].spacing == [14, 7, 7])
  }

  @Test("thick slices: two axes; in three they are halved later than pixels")
  func anisotropy() {
    let images = [Self.image([20, 200, 200], [6, 0.8, 0.8])]
    let automatic = Self.plan(images)
    #expect(automatic.axes == 2 && automatic.sliceAxis == 2)
    let volume = Self.plan(images, axes: .three)
    #expect(volume.pooling[0] == [1, 2, 2])
    let slices = volume.pooling.reduce(1) { $0 * $1[0] }
    let rows = volume.pooling.reduce(1) { $0 * $1[1] }
    #expect(slices < rows)
    // The patch covers about the same millimetres along all axes.
    #expect(volume.patch[1] > 3 * volume.patch[0])
  }

  @Test("slices are counted along the coarsest axis, or the one with a single voxel")
  func slices() {
    #expect(Self.plan([Self.image([200, 20, 200], [1, 5, 1])]).sliceAxis == 1)
    #expect(Self.plan([Self.image([200, 200, 20], [1, 1, 5])]).sliceAxis == 0)
    let picture = Self.plan([Self.image([1, 300, 200], [1, 1, 1])])
    #expect(picture.axes == 2 && picture.sliceAxis == 2)
    #expect(Self.plan([Self.image([64, 64, 64], [1, 1, 1])]).axes == 3)
  }

  @Test("the spacing is the median, of a very coarse axis its finer cases")
  func spacing() {
    let images = [4.0, 5, 6, 8, 10].map { Self.image([30, 100, 100], [$0, 1, 1]) }
    let plan = Self.plan(images, axes: .three)
    #expect(plan.spacing[1] == 1 && abs(plan.spacing[0] - 4.4) < 1e-9)
    let even = [1.0, 1.2, 2].map { Self.image([50, 100, 100], [$0, 1, 1]) }
    #expect(Self.plan(even).spacing[0] == 1.2)
  }

  @Test("CT is normalised by the dataset, other channels by each image")
  func normalization() {
    let images = [Self.image([32, 64, 64], [1, 1, 1])]
    #expect(
      Self.plan(images, channel: "ct").channels[0].normalization
        == .ofDataset(low: -50, high: 300, mean: 100, deviation: 40))
    #expect(Self.plan(images, channel: "MRI").channels[0].normalization == .ofImage)
  }

  @Test("a small image is one patch")
  func whole() {
    let plan = Self.plan([Self.image([1, 50, 60], [1, 1, 1])])
    #expect(plan.patch[0] >= 50 && plan.patch[1] >= 60)
  }
}
