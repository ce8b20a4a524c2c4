import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing
import Train

@Suite("Training of the optic disc network")
struct FundusTrainerTests {
  private static func folder() throws -> String {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("fundus-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private static func phantoms(_ path: String, view: FundusSimulator.View, count: Int) throws {
    for seed in 0..<UInt64(count) {
      let phantom = FundusSimulator(seed: seed).phantom(view, side: view == .disc ? 48 : 160)
      try phantom.image.write(to: "\(path)/p\(seed).png", overwrite: true)
      try phantom.mask.write(to: "\(path)/p\(seed)_mask.png", overwrite: true)
    }
  }

  private static func configuration(_ split: String) -> TrainingConfiguration {
    var configuration = TrainingConfiguration()
    configuration.model.arch = "tvconv-net"
    configuration.model.preset = "light"
    configuration.model.name = "tiny-disc"
    configuration.data.split = split
    configuration.optim.learningRate = 1e-3
    configuration.train.batch = 2
    configuration.train.iterations = 4
    configuration.train.logEvery = 2
    configuration.train.validateEvery = 2
    return configuration
  }

  @Test("a run that was cut goes on to the bit; its bundle computes what the weights do")
  func resume() throws {
    let path = try Self.folder()
    defer {
      for end in ["", "-a", "-b"] { try? FileManager.default.removeItem(atPath: path + end) }
    }
    try Self.phantoms(path, view: .disc, count: 4)
    let configuration = Self.configuration(path)
    let whole = try FundusTrainer(configuration, folder: path + "-a")
    #expect(try whole.run(shouldStop: { false }, report: { _ in }) == .finished)
    var asked = 0
    let cut = try FundusTrainer(configuration, folder: path + "-b")
    let outcome = try cut.run(
      shouldStop: {
        asked += 1
        return asked == 3
      }, report: { _ in })
    #expect(outcome == .stopped && cut.step == 3)
    #expect(throws: TrainingError.self) { try FundusTrainer(configuration, folder: path + "-b") }
    let rest = try FundusTrainer(configuration, folder: path + "-b", resume: true)
    #expect(rest.step == 3 && rest.best == cut.best)
    #expect(try rest.run(shouldStop: { false }, report: { _ in }) == .finished)
    func weights(_ run: String, _ name: String) throws -> Data {
      try Data(contentsOf: URL(fileURLWithPath: "\(path)-\(run)/\(name)"))
    }
    for name in ["checkpoints/latest.safetensors", "checkpoints/best.safetensors"] {
      #expect(try weights("a", name) == weights("b", name), "\(name)")
    }
    let bundle = try ModelBundle(path: whole.exportBundle())
    #expect(try rest.exportBundle() == path + "-b/bundle")
    #expect(
      try weights("a", "bundle/weights.safetensors") == weights("b", "bundle/weights.safetensors"))
    #expect(bundle.card.task == .segment && bundle.card.name == "tiny-disc")
    let network = try #require(try bundle.loadModel() as? TVConvNet)
    #expect(network.configuration.isFrozen)
    #expect(try weights("a", "bundle/weights.safetensors").count < 8_000_000)
    // The best checkpoint in single precision against the bundle in half.
    var generator = SeededGenerator(seed: 0)
    let model = try #require(
      try configuration.model.description().makeModel(using: &generator) as? TVConvNet)
    model.setRequiresGradient(false)
    try model.load(Safetensors(contentsOf: whole.bestWeights))
    let phantom = FundusSimulator(seed: 7).phantom(.disc, side: 128).image.samples
    let x = Tensor([1, 128, 128, 3], phantom.map { Float($0) / 127.5 - 1 })
    let (expected, found) = (model(x).values, network(x).values)
    let scale = expected.map(abs).max() ?? 0
    #expect(zip(expected, found).allSatisfy { abs($0 - $1) < 0.02 * scale })
    var other = configuration
    other.train.iterations = 5
    #expect(throws: TrainingError.self) {
      try FundusTrainer(other, folder: path + "-b", resume: true)
    }
  }

  @Test(
    "keys that this training does not heed are refused, and no folder is made",
    arguments: [
      "data.test_share", "data.neighbours", "data.simulator", "data.deforms",
      "data.cache_megabytes", "train.validation_slices", "train.prefetch",
    ])
  func unheeded(key: String) throws {
    var configuration = Self.configuration("nowhere")
    switch key {
    case "train.validation_slices": configuration.train.validationSlices = 3
    case "train.prefetch": configuration.train.prefetch = 0
    case "data.test_share": configuration.data.testShare = 0.3
    case "data.neighbours": configuration.data.neighbours = 1
    case "data.simulator": configuration.data.simulator = "mri-sr"
    case "data.deforms": configuration.data.deforms = false
    default: configuration.data.cacheMegabytes = 7
    }
    let run = NSTemporaryDirectory() + "fundus-\(UUID().uuidString)"
    #expect(
      throws: TrainingError.invalidValue(
        key: key, reason: "does not go with `tvconv-net`")
    ) { try FundusTrainer(configuration, folder: run) }
    #expect(!FileManager.default.fileExists(atPath: run))
  }

  @Test("a run does not go on with photographs that moved from part to part")
  func otherPhotographs() throws {
    let path = try Self.folder()
    defer { for end in ["", "-run"] { try? FileManager.default.removeItem(atPath: path + end) } }
    try Self.phantoms(path, view: .disc, count: 4)
    let configuration = Self.configuration(path)
    _ = try FundusTrainer(configuration, folder: path + "-run")
      .run(shouldStop: { true }, report: { _ in })
    try Self.phantoms(path, view: .disc, count: 7)
    #expect(
      throws: TrainingError.cannotResume(
        folder: path + "-run", reason: "\(path) has other files or parts than when the run began")
    ) { try FundusTrainer(configuration, folder: path + "-run", resume: true) }
  }

  @Test("photographs of the whole field are cut to the disc, a validation part of the set is used")
  func layouts() throws {
    let path = try Self.folder()
    defer { try? FileManager.default.removeItem(atPath: path) }
    try Self.phantoms(path, view: .field, count: 3)
    let cut = try FundusDataset(folder: path, side: 32, validationShare: 0.3, seed: 0)
    let (_, masks) = cut.batch(step: 0, count: 6, seed: 0)
    var disc = 0
    masks.withValues { for pixel in 0..<$0.count / 2 where $0[2 * pixel + 1] == 1 { disc += 1 } }
    // About a sixth of the square; of the whole field it is less than a thirtieth.
    #expect((0.1...0.4).contains(Double(disc) / Double(6 * 32 * 32)))
    let refuge = path + "/refuge"
    for (index, (images, truth)) in [
      ("Training400", "Annotation-Training400"), ("Training400", "Annotation-Training400"),
      ("REFUGE-Validation400", "REFUGE-Validation400-GT"), ("Test400", "REFUGE-Test-GT"),
    ].enumerated() {
      for (folder, source) in [(images, "p0.png"), (truth, "p0_mask.png")] {
        try FileManager.default.createDirectory(
          atPath: "\(refuge)/\(folder)", withIntermediateDirectories: true)
        try FileManager.default.copyItem(
          atPath: "\(path)/\(source)", toPath: "\(refuge)/\(folder)/x\(index).png")
      }
    }
    let set = try FundusDataset(folder: refuge, side: 32, validationShare: 0.5, seed: 0)
    #expect(set.train.map(\.name) == ["x0", "x1"] && set.validation.map(\.name) == ["x2"])
  }

  @Test("what is noticed about a photograph is told")
  func warnings() throws {
    let path = try Self.folder()
    defer { for end in ["", "-a"] { try? FileManager.default.removeItem(atPath: path + end) } }
    try Self.phantoms(path, view: .disc, count: 3)
    let file = path + "/p1.png"
    let image = try #require(FileManager.default.contents(atPath: file))
    try (image + Data("rest".utf8)).write(to: URL(fileURLWithPath: file))
    let trainer = try FundusTrainer(Self.configuration(path), folder: path + "-a")
    #expect(trainer.warnings == ["\(file): trailing data: 4 bytes after the image are not read"])
  }
}
