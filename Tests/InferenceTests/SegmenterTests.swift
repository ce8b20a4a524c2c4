import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing

@Suite("Segmenters of volumes and clips")
struct SegmenterTests {
  private static let plan = SegmentationPlan(
    channels: [.init(name: "T1", normalization: .ofImage)],
    labels: [.init(name: "core", value: 1)], axes: 2, sliceAxis: 2, spacing: [4, 1, 1],
    patch: [16, 16], pooling: [[2, 2]], batch: 2, medianSize: [3, 20, 18])

  private static func network() throws -> UNet {
    var configuration = UNetConfiguration()
    configuration.inChannels = 1
    configuration.outChannels = 2
    configuration.channels = [4, 8]
    configuration.isResidual = false
    var generator = SeededGenerator(seed: 3)
    let network = try UNet(configuration, using: &generator)
    network.setTraining(false)
    network.setRequiresGradient(false)
    return network
  }

  private static func image(spacing: SIMD3<Double> = SIMD3(1, 1, 4)) -> Volume {
    let size = GridSize(x: 18, y: 20, z: 3)
    let voxels = (0..<size.count).map { Float($0 % 37) }
    return Volume(voxels: voxels, geometry: Geometry(size: size, spacing: spacing))
  }

  /// Puts a NaN into every tensor of weights.
  private static func spoil(_ module: some Module) {
    for entry in module.parameters { entry.parameter.update { $0[0] = .nan } }
  }

  @Test(
    "labels lie on the image's grid; a network that makes no numbers is an error, not background")
  func volumes() throws {
    let network = try Self.network()
    let image = Self.image()
    let found = try VolumeSegmenter(network, plan: Self.plan).segment([image])
    #expect(found.labels.geometry == image.geometry)
    #expect(found.labels.labels.count == image.voxels.count)
    Self.spoil(network)
    let segmenter = try VolumeSegmenter(network, plan: Self.plan)
    #expect(throws: InferenceError.outputNotFinite(slice: 0)) { try segmenter.segment([image]) }
  }

  @Test("voxel sizes of which resampling would make too much are refused")
  func sizes() throws {
    let segmenter = try VolumeSegmenter(Self.network(), plan: Self.plan)
    for side in [2000.0, 1e20] {
      let error = try #require(throws: ImagingError.self) {
        try segmenter.segment([Self.image(spacing: SIMD3(side, side, 4))], file: "huge.nii")
      }
      guard case .invalidDimensions("huge.nii", _, _) = error else {
        Issue.record("\(side): \(error)")
        continue
      }
    }
    let brain = Self.image(spacing: SIMD3(1e20, 1, 1))
    #expect(throws: ImagingError.self) {
      try BrainField(of: brain, spacing: 1, cropsToBrain: false, multiple: 4, file: "t1")
    }
  }

  @Test(
    "a plan that cannot be is refused",
    arguments: [
      { $0.axes = -1 }, { $0.axes = 4 }, { $0.sliceAxis = 3 }, { $0.spacing = [1, 1] },
      { $0.spacing[1] = 0 }, { $0.patch = [16] }, { $0.patch[0] = 0 }, { $0.patch[0] = -16 },
      { $0.pooling = [[2]] }, { $0.pooling = [[2, 0]] }, { $0.channels = [] },
      { $0.labels = [] }, { $0.labels = [.init(name: "core", value: 2)] },
    ] as [@Sendable (inout SegmentationPlan) -> Void])
  func plans(change: @Sendable (inout SegmentationPlan) -> Void) throws {
    var plan = Self.plan
    change(&plan)
    #expect(throws: InferenceError.self) { try VolumeSegmenter(Self.network(), plan: plan) }
  }

  @Test("a clip network that makes no numbers is an error that names the frame")
  func clips() throws {
    var configuration = GDKVMConfiguration.light
    configuration.imageEncoderWidth = 8
    configuration.maskEncoderWidth = 8
    configuration.keyChannels = 8
    configuration.valueChannels = 16
    configuration.pixelChannels = 12
    configuration.sensoryChannels = 8
    configuration.embedChannels = 16
    configuration.heads = 2
    configuration.queries = 4
    configuration.feedForwardChannels = 24
    configuration.decoderChannels = [16, 12, 8]
    var generator = SeededGenerator(seed: 1)
    let model = try GDKVM(configuration, using: &generator)
    model.setTraining(false)
    model.setRequiresGradient(false)
    let frame = (0..<32 * 32).map { Float($0 % 17) / 17 }
    var segmenter = ClipSegmenter(model, networkSize: [32, 32])
    for _ in 0..<2 {
      #expect(try segmenter.segment(frame, height: 32, width: 32).allSatisfy { $0 <= 1 })
    }
    Self.spoil(model)
    let error = #expect(throws: InferenceError.self) {
      try segmenter.segment(frame, height: 32, width: 32)
    }
    #expect(error == .outputNotFinite(slice: 2))
  }
}
