import Foundation
import Imaging
import Layers
import Randomness
import TensorCore
import Testing
import Train

/// Samples that look otherwise than their scans: finer, in another contrast, of another scanner.
extension DatasetTests {
  @Test("pairs of field strengths are powers of one clean image where nothing else is lost")
  func fieldStrengths() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try write("\(root)/sub-1/sub-1_T1w.nii")
    try write("\(root)/sub-2/sub-2_T1w.nii")
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.simulator = "mri-7t"
      $0.split = root
      $0.factor = [1, 1]
      $0.noisePercent = [0, 0]
      $0.gamma = [1, 1]
      $0.intensityScale = [1, 1]
      $0.validationShare = 0.5
    }
    let (input, target) = try SliceDataset(configuration).batch(step: 0, batch: 2)
    let pair = FieldStrengthPair()
    let exponent = Float(pair.sourceGamma / pair.targetGamma)
    #expect(zip(input.values, target.values).allSatisfy { abs($0 - pow($1, exponent)) < 1e-4 })
    #expect(zip(input.values, target.values).contains { abs($0 - $1) > 0.02 })
    configuration.data.noisePercent = [3, 3]
    let noisy = try SliceDataset(configuration).batch(step: 0, batch: 2)
    #expect(noisy.clean.values == target.values && noisy.noisy.values != input.values)
  }

  @Test("a magnified crop is the image on a finer grid")
  func magnification() throws {
    let crop = MagnifiedCrop(side: 32, factor: 1.5)
    let side = crop.sourceSide
    func image(_ y: Double, _ x: Double) -> Double { 0.5 + 0.3 * sin(0.7 * y) * cos(0.5 * x) }
    let slice = (0..<side * side).map { Float(image(Double($0 / side), Double($0 % side))) }
    var generator = SeededGenerator(seed: 1, stream: 0)
    let window = CropWindow(crop: side, height: side, width: side, flips: false, &generator)
    let cut = crop.cut(slice, by: window)
    // 1.5 times 28 pixels are 42, of which 5 are margin on each side.
    func position(_ pixel: Int) -> Double { (Double(pixel) + 5.5) / 1.5 - 0.5 }
    #expect(side == 28 && cut.count == 32 * 32)
    let worst = cut.indices.map {
      abs(Double(cut[$0]) - image(position($0 / 32), position($0 % 32)))
    }.max()
    #expect(try #require(worst) < 0.01)
    // Below 0 there is nothing.
    let edge = (0..<side * side).map { Float($0 % side < side / 2 ? 0 : 1) }
    #expect(crop.cut(edge, by: window).allSatisfy { $0 >= 0 })
  }

  @Test("magnified samples: finer, the same for each seed, refused for truncated k-space")
  func magnifiedSamples() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try write("\(root)/sub-1/sub-1_T1w.nii")
    try write("\(root)/sub-2/sub-2_T1w.nii")
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.split = root
      $0.noisePercent = [0, 0]
      $0.gamma = [1, 1]
      $0.intensityScale = [1, 1]
      $0.validationShare = 0.5
      $0.neighbours = 1
    }
    func roughness(_ batch: (noisy: Tensor, clean: Tensor)) -> Float {
      let values = batch.clean.values
      let crop = batch.clean.shape[2]
      return zip(values, values.dropFirst()).enumerated()
        .reduce(0) { ($1.offset + 1) % crop == 0 ? $0 : $0 + abs($1.element.0 - $1.element.1) }
    }
    let plain = try SliceDataset(configuration).batch(step: 0, batch: 4)
    configuration.data.magnification = [2, 2]
    let magnified = try SliceDataset(configuration).batch(step: 0, batch: 4)
    #expect(roughness(magnified) < 0.75 * roughness(plain))
    // Without noise the middle of each stack is the clean crop.
    let middles = stride(from: 1, to: magnified.noisy.count, by: 3).map {
      magnified.noisy.values[$0]
    }
    #expect(middles == magnified.clean.values)
    let again = try SliceDataset(configuration).batch(step: 0, batch: 4)
    #expect(again.noisy.values == magnified.noisy.values)
    try configuration.validate()
    configuration.data.simulator = "mri-sr"
    #expect(throws: TrainingError.self) { try configuration.validate() }
  }

  @Test(
    "samples in another contrast: as many as asked for, degraded after it, refused for other tasks")
  func contrastPart() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try write("\(root)/sub-1/sub-1_T1w.nii")
    try write("\(root)/sub-2/sub-2_T1w.nii")
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.split = root
      $0.gamma = [1, 1]
      $0.noisePercent = [0, 0]
      $0.intensityScale = [1, 1]
      $0.validationShare = 0.5
      $0.flips = false
    }
    for simulator in ["rician", "mri-sr"] {
      configuration.data.simulator = simulator
      configuration.data.contrastPart = 0
      let plain = try SliceDataset(configuration).batch(step: 0, batch: 2)
      configuration.data.contrastPart = 1
      try configuration.validate()
      let other = try SliceDataset(configuration).batch(step: 0, batch: 2)
      #expect(other.clean.values != plain.clean.values)
      #expect(other.clean.values.allSatisfy { $0 >= 0 })
      // Without noise the degraded image is the clean one, in the same contrast.
      if simulator == "rician" { #expect(other.noisy.values == other.clean.values) }
    }
    configuration.data.simulator = "mri-7t"
    #expect(throws: TrainingError.self) { try configuration.validate() }
    configuration.data.simulator = "rician"
    configuration.data.contrastPart = 1.5
    #expect(throws: TrainingError.self) { try configuration.validate() }
  }

  @Test(
    "CT as another scanner shows it: on a finer grid, with noise of its own; in training, not in validation"
  )
  func otherScanners() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    let split = root + "/split.json"
    let text = """
      {"train": [{"subject": "a", "files": ["phantom:ct:1"]}],
       "validation": [{"subject": "b", "files": ["phantom:ct:2"]}]}
      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: split))
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.split = split
      $0.simulator = "ct-lowdose"
      $0.normalization = "all"
      $0.photons = [1e9, 1e9]
      $0.realisations = 1
      $0.slicesPerVolume = 2
      $0.flips = false
      $0.intensityScale = [1, 1]
      $0.crop = 64
    }
    func roughness(_ values: [Float]) -> Float {
      zip(values, values.dropFirst()).reduce(0) { $0 + abs($1.0 - $1.1) }
    }
    func clean() throws -> [Float] {
      try SliceDataset(configuration).batch(step: 0, batch: 8).clean.values
    }
    // What a validation measures before a network: it has no draws of the training's.
    func degraded() throws -> Double? {
      var small = configuration
      small.model.arch = "dncnn"
      small.model.preset = "light"
      small.train.iterations = 1
      small.train.batch = 1
      small.train.validationSlices = 1
      let run = root + "/run-\(UUID().uuidString)"
      let trainer = try Trainer(small, folder: run, resume: false)
      _ = try trainer.run(shouldStop: { false }, report: { _ in })
      return try RunLog(contentsOf: run).degradedPSNR
    }
    let validation = try #require(try degraded())
    let plain = try clean()
    configuration.data.magnification = [2, 2]
    #expect(try roughness(clean()) < 0.8 * roughness(plain))
    configuration.data.magnification = [1, 1]
    configuration.data.scannerPhotons = [1e3, 1e3]
    try configuration.validate()
    let (noisy, again) = (try clean(), try clean())
    #expect(roughness(noisy) > 1.2 * roughness(plain) && noisy == again)
    #expect(try degraded() == validation)
    configuration.data.simulator = "rician"
    #expect(throws: TrainingError.self) { try configuration.validate() }
    configuration.data.scannerPhotons = []
    try configuration.validate()
    configuration.data.simulator = "ct-lowdose"
    configuration.data.gamma = [0.5, 2]
    #expect(throws: TrainingError.self) { try configuration.validate() }
    configuration.data.gamma = TrainingConfiguration.DataSection().gamma
    try configuration.validate()
    configuration.data.scannerPhotons = [1e6]
    #expect(throws: TrainingError.self) { try configuration.validate() }
  }
}
