import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing
import Train

@Suite("Training runs", .serialized)
struct TrainerTests {
  /// A folder with a split of two small volumes; removed by the caller.
  func folder(isIsotropic: Bool = false) throws -> String {
    let folder = NSTemporaryDirectory() + "restore-train-\(UInt64.random(in: 0..<1 << 60))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for (name, seed) in [("a", UInt64(1)), ("b", 2)] {
      var generator = SeededGenerator(seed: seed)
      let size = GridSize(x: 24, y: 20, z: 3)
      let voxels = (0..<size.count).map { index in
        300 + 200 * sin(Float(index % 24) / 3) + 20 * generator.nextUniform()
      }
      let geometry = Geometry(size: size, spacing: SIMD3(1, 1, isIsotropic ? 1 : 4))
      try NIfTI.write(
        Volume(voxels: voxels, geometry: geometry), to: "\(folder)/\(name).nii",
        options: NIfTIWriteOptions(dataType: .float32))
    }
    let split = """
      {"train": [{"subject": "a", "files": ["a.nii"]}],
       "validation": [{"subject": "b", "files": ["b.nii"]}]}
      """
    try Data(split.utf8).write(to: URL(fileURLWithPath: folder + "/split.json"))
    return folder
  }

  func configuration(_ folder: String, steps: Int) throws -> TrainingConfiguration {
    var configuration = TrainingConfiguration()
    configuration.data.split = folder + "/split.json"
    configuration.data.crop = 16
    configuration.train.iterations = steps
    configuration.train.batch = 2
    configuration.train.validateEvery = 2
    configuration.train.validationSlices = 2
    configuration.train.logEvery = 1
    configuration.checkpoint.everySteps = 2
    configuration.optim.learningRate = 1e-3
    return configuration
  }

  @Test(
    "a resumed run equals an uninterrupted one to the bit",
    arguments: [("adam", 0.0), ("adamw", 0.9), ("sgd", 0.9)])
  func resume(optimizer: String, average: Double) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 4)
    configuration.optim.name = optimizer
    configuration.optim.ema = average
    configuration.loss.frequencyWeight = 0.1
    configuration.loss.similarityWeight = average
    let whole = try Trainer(configuration, folder: folder + "/whole", resume: false)
    #expect(try whole.run(shouldStop: { false }, report: { _ in }) == .finished)
    let first = try Trainer(configuration, folder: folder + "/cut", resume: false)
    var steps = 0
    let outcome = try first.run(
      shouldStop: {
        steps += 1
        return steps == 2
      }, report: { _ in })
    #expect(outcome == .stopped)
    // What was logged after the checkpoint will be done again.
    let log = URL(fileURLWithPath: folder + "/cut/log.jsonl")
    var text = try String(contentsOf: log, encoding: .utf8)
    text += "{\"loss\":77,\"step\":3}\n"
    try Data(text.utf8).write(to: log)
    let second = try Trainer(configuration, folder: folder + "/cut", resume: true)
    #expect(try String(contentsOf: log, encoding: .utf8).contains("\"loss\":77,") == false)
    #expect(try second.run(shouldStop: { false }, report: { _ in }) == .finished)
    for name in ["latest", "best"] {
      let paths = ["whole", "cut"].map { "\(folder)/\($0)/checkpoints/\(name).safetensors" }
      let files = paths.map { FileManager.default.contents(atPath: $0) }
      #expect(files[0] != nil && files[0] == files[1], "\(name)")
    }
    #expect(second.warnings.isEmpty)
    // The running mean is what is written, not the weights of the last step.
    let latest = try Safetensors(contentsOf: folder + "/whole/checkpoints/latest.safetensors")
    let state = try Safetensors(
      contentsOf: folder + "/whole/checkpoints/state-latest.safetensors")
    let name = try #require(latest.entries.first?.name)
    let weights = try #require(latest.tensor(named: name)?.values)
    #expect((weights == state.tensor(named: "model." + name)?.values) == (average == 0))
    if average > 0 { #expect(weights == state.tensor(named: "ema." + name)?.values) }
    let split = try DataSplit(contentsOf: folder + "/whole/split-restoration.json")
    #expect(split.train.map(\.subject) == ["a"])
    let events = try FileManager.default.contentsOfDirectory(atPath: folder + "/cut")
    #expect(events.filter { $0.hasPrefix("events.out.tfevents.") }.count == 2)
    let pictures = try FileManager.default.contentsOfDirectory(atPath: folder + "/whole/pictures")
    #expect(pictures.sorted() == ["0000002-restoration.png", "0000004-restoration.png"])
  }

  /// The log and the final weights of a short run.
  func run(
    _ folder: String, _ name: String, _ change: (inout TrainingConfiguration) -> Void
  ) throws -> (log: [[String: Double]], weights: Data?) {
    var configuration = try configuration(folder, steps: 3)
    change(&configuration)
    let trainer = try Trainer(configuration, folder: "\(folder)/\(name)", resume: false)
    #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    let log = try String(contentsOfFile: "\(folder)/\(name)/log.jsonl", encoding: .utf8)
      .split(separator: "\n").compactMap { line in
        try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Double]
      }
    let weights = FileManager.default.contents(
      atPath: "\(folder)/\(name)/checkpoints/latest.safetensors")
    return (log, weights)
  }

  @Test("neither checkpoints of activations nor batches made ahead change a bit of a run")
  func neutral() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let plain = try run(folder, "plain") { $0.train.prefetch = 0 }
    let other = try run(folder, "other") {
      $0.train.prefetch = 3
      $0.train.checkpointActivations = true
    }
    #expect(plain.weights != nil && plain.weights == other.weights)
    let steps = other.log.filter { $0["loss"] != nil }
    #expect(steps.count == 3 && steps.allSatisfy { ($0["secondsWaitedForData"] ?? -1) >= 0 })
  }

  @Test("as many checkpoints are kept as the configuration says, the last ones")
  func keep() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try run(folder, "run") {
      $0.checkpoint.everySteps = 1
      $0.checkpoint.keep = 2
    }
    let checkpoints = folder + "/run/checkpoints"
    let names = try FileManager.default.contentsOfDirectory(atPath: checkpoints)
    #expect(
      names.filter { $0.hasPrefix("step-") }.sorted()
        == ["step-0000002.safetensors", "step-0000003.safetensors"])
    #expect(
      FileManager.default.contents(atPath: checkpoints + "/step-0000003.safetensors")
        == result.weights)
  }

  @Test("a step in parts has the loss and the gradient of the whole batch", arguments: [2, 4])
  func accumulate(parts: Int) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let whole = try run(folder, "whole") { $0.train.batch = 4 }
    let inParts = try run(folder, "parts") {
      $0.train.batch = 4
      $0.train.accumulate = parts
    }
    for key in ["loss", "gradientNorm"] {
      let (a, b) = (whole.log.first?[key] ?? .nan, inParts.log.first?[key] ?? .nan)
      #expect(abs(a - b) <= 1e-5 * a, "\(key): \(a), \(b)")
    }
  }

  @Test("a run moves every weight from where the seed put it and exports a bundle that loads")
  func bundle() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = try configuration(folder, steps: 2)
    let trainer = try Trainer(configuration, folder: folder + "/run", resume: false)
    var losses: [Double] = []
    #expect(
      try trainer.run(shouldStop: { false }, report: { losses.append($0.loss) }) == .finished)
    #expect(losses.count == 2 && losses.allSatisfy { $0.isFinite && $0 > 0 })
    let bundle = try trainer.exportBundle()
    let files = try FileManager.default.contentsOfDirectory(atPath: bundle).sorted()
    #expect(files == ["README.md", "model.json", "weights.safetensors"])
    let trained = try ModelBundle(path: bundle).loadModel()
    var generator = SeededGenerator(seed: configuration.seed, stream: 0)
    let initial = try configuration.networkDescription().makeModel(using: &generator)
    let before = Dictionary(
      uniqueKeysWithValues: initial.parameters.map { ($0.name, $0.parameter.tensor.values) })
    #expect(trained.parameters.count == before.count)
    let unmoved = trained.parameters.filter { $0.parameter.tensor.values == before[$0.name] }
    #expect(unmoved.isEmpty, "\(unmoved.map(\.name))")
  }

  @Test("levels that halve one axis alone are supervised at their sizes")
  func anisotropicLevels() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try run(folder, "run") {
      $0.model.arch = "unet"
      $0.model.preset = "light"
      let halves = HyperparameterValue.list([.integer(2), .integer(1)])
      $0.model.hyperparameters = [
        "channels": .list([.integer(2), .integer(2), .integer(2)]), "deep_supervision": .flag(true),
        "pooling": .list([halves, halves]),
      ]
    }
    #expect(result.weights != nil)
  }

  @Test("initial weights that are gone do not keep a run from going on")
  func goneWeights() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 2)
    let first = try Trainer(configuration, folder: folder + "/first", resume: false)
    _ = try first.run(shouldStop: { true }, report: { _ in })
    let weights = folder + "/first/checkpoints/latest.safetensors"
    configuration.model.initialWeights = InitialWeights([weights])
    let second = try Trainer(configuration, folder: folder + "/second", resume: false)
    _ = try second.run(shouldStop: { true }, report: { _ in })
    try FileManager.default.removeItem(atPath: weights)
    let rest = try Trainer(configuration, folder: folder + "/second", resume: true)
    #expect(try rest.run(shouldStop: { false }, report: { _ in }) == .finished)
    #expect(throws: ImagingError.self) {
      try Trainer(configuration, folder: folder + "/third", resume: true)
    }
    #expect(!FileManager.default.fileExists(atPath: folder + "/third"))
  }

  @Test("scans that give no slice, and voxels that are no numbers, are told of")
  func warnings() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let size = GridSize(x: 24, y: 20, z: 3)
    let geometry = Geometry(size: size, spacing: SIMD3(1, 1, 4))
    let empty = Volume(voxels: [Float](repeating: 0, count: size.count), geometry: geometry)
    try NIfTI.write(
      empty, to: folder + "/empty.nii", options: NIfTIWriteOptions(dataType: .float32))
    var broken = try ScanFile.read(folder + "/a.nii").volume
    broken.voxels[7] = .nan
    try NIfTI.write(
      broken, to: folder + "/broken.nii", options: NIfTIWriteOptions(dataType: .float32))
    let split = """
      {"train": [{"subject": "a", "files": ["broken.nii"]}, {"subject": "c", "files": ["empty.nii"]}],
       "validation": [{"subject": "b", "files": ["b.nii"]}]}
      """
    try Data(split.utf8).write(to: URL(fileURLWithPath: folder + "/split.json"))
    let trainer = try Trainer(
      configuration(folder, steps: 1), folder: folder + "/run", resume: false)
    #expect(trainer.warnings.count == 2, "\(trainer.warnings)")
    #expect(trainer.warnings.contains { $0.contains("empty.nii: no slice") })
    #expect(trainer.warnings.contains { $0.contains("broken.nii: ") })
  }

  @Test("a validation without an error has a finite figure")
  func perfect() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let result = try run(folder, "run") { $0.data.validationNoisePercent = 0 }
    #expect(result.log.isEmpty == false && result.weights != nil)
    let log = try RunLog(contentsOf: folder + "/run")
    #expect(log.degradedPSNR == 120 && log.validation.count == 2 && log.measure == .psnr)
    #expect(log.losses[0].points.map(\.x) == [1, 2, 3])
    #expect(log.pictures.map(\.name) == ["restoration"])
  }

  @Test("a split that names a subject twice is refused")
  func split() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/bad.json"
    let text = """
      {"train": [{"subject": "a", "files": ["a.nii"]}],
       "validation": [{"subject": "a", "files": ["b.nii"]}]}
      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    #expect(
      throws: TrainingError.invalidSplit(file: path, reason: "the subject a stands in it twice")
    ) { try DataSplit(contentsOf: path) }
  }

  @Test("samples depend on the step alone")
  func samples() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = try configuration(folder, steps: 1)
    let dataset = try SliceDataset(configuration)
    let (noisy, clean) = try dataset.batch(step: 5, batch: 2)
    let other = try dataset.batch(step: 6, batch: 2)
    let again = try dataset.batch(step: 5, batch: 2)
    #expect(noisy.values == again.noisy.values && clean.values == again.clean.values)
    #expect(noisy.values != other.noisy.values)
    #expect(noisy.shape == [2, 16, 16, 1])
  }

  @Test(
    "a stack's middle is the target's slice, neighbours are degraded alike",
    arguments: ["rician", "mri-sr", "mri-7t", "pet-lowcount"])
  func stacks(simulator: String) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 1)
    configuration.data.neighbours = 1
    configuration.data.simulator = simulator
    configuration.data.noisePercent = [0, 0]
    configuration.data.gamma = [1, 1]
    configuration.data.slicesPerVolume = 3
    configuration.data.counts = [1e5, 1e5]
    if simulator == "pet-lowcount" {
      configuration.data.split = folder + "/pet.json"
      let split = """
        {"train": [{"subject": "p", "files": ["phantom:fdg:1"]}], "validation": []}
        """
      try Data(split.utf8).write(to: URL(fileURLWithPath: configuration.data.split))
    }
    let dataset = try SliceDataset(configuration)
    let (noisy, clean) = try dataset.batch(step: 3, batch: 16)
    #expect(noisy.shape == [16, 16, 16, 3] && clean.shape == [16, 16, 16, 1])
    func channel(_ number: Int) -> [Float] {
      noisy.sliced(axis: 3, number..<number + 1).values
    }
    func distance(_ a: [Float], _ b: [Float]) -> Float {
      zip(a, b).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(a.count)
    }
    let target = clean.values
    if simulator == "rician" { #expect(distance(channel(1), target) < 1e-6) }
    #expect(distance(channel(0), channel(1)) > 0 && distance(channel(2), channel(1)) > 0)
    #expect(distance(channel(0), channel(2)) > 0)
    if simulator != "mri-7t" {
      #expect(distance(channel(1), target) < distance(channel(0), target))
      #expect(distance(channel(1), target) < distance(channel(2), target))
    }
    // A slice without neighbours is shown three times, in an eighth of the samples or as many as asked for.
    func countAlone(_ dataset: SliceDataset, of count: Int) throws -> Int {
      let batch = try dataset.batch(step: 0, batch: count).noisy
      return (0..<count).count { sample in
        let planes = (0..<3).map {
          batch.sliced(axis: 0, sample..<sample + 1).sliced(axis: 3, $0..<$0 + 1).values
        }
        return planes[0] == planes[1] && planes[1] == planes[2]
      }
    }
    #expect((5...35).contains(try countAlone(dataset, of: 128)))
    for (part, expected) in [(0.0, 0), (1.0, 16)] {
      configuration.data.alonePart = part
      #expect(try countAlone(try SliceDataset(configuration), of: 16) == expected)
    }
  }

  @Test("weights of single slices become those of stacks, which begin with the same result")
  func widened() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 2)
    configuration.loss.name = "psnr"
    let first = try Trainer(configuration, folder: folder + "/single", resume: false)
    #expect(try first.run(shouldStop: { false }, report: { _ in }) == .finished)
    let single = try ModelBundle(path: first.exportBundle())
    configuration.model.initialWeights = InitialWeights([single.weightsPath])
    configuration.data.neighbours = 1
    // Steps too small to move a weight: the stack's network is the one that it came from.
    configuration.optim.learningRate = 1e-30
    configuration.schedule.minimum = 0
    let second = try Trainer(configuration, folder: folder + "/stack", resume: false)
    #expect(try second.run(shouldStop: { false }, report: { _ in }) == .finished)
    let stack = try ModelBundle(path: second.exportBundle())
    // Slices of one plane were all that there was to see.
    #expect(stack.card.averagesPlanes == nil)
    #expect(stack.card.inputs["image"]?.numChannels == 3)
    #expect(stack.card.outputs["pred"]?.numChannels == 1)
    let size = GridSize(x: 16, y: 24, z: 3)
    let volume = Volume(
      voxels: (0..<size.count).map { 100 + Float($0 * 37 % 101) }, geometry: Geometry(size: size))
    // Weights of another network are not taken in part.
    let stored = try Safetensors(contentsOf: single.weightsPath)
    var writer = SafetensorsWriter()
    for entry in stored.entries {
      writer.add(try #require(stored.tensor(named: entry.name)), named: entry.name)
    }
    writer.add(Tensor([1], [1]), named: "foreign.weight")
    let foreign = folder + "/foreign.safetensors"
    try writer.encoded().write(to: URL(fileURLWithPath: foreign))
    configuration.model.initialWeights = InitialWeights([foreign])
    #expect(throws: LayerError.self) {
      try Trainer(configuration, folder: folder + "/other", resume: false)
    }
    let a = try VolumeRestorer(single).restore(volume).volume.voxels
    let b = try VolumeRestorer(stack).restore(volume).volume.voxels
    #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-3 })
  }

  @Test("a card asks for all planes if the network saw all, and if noise was all that it removed")
  func planes() throws {
    let folder = try folder(isIsotropic: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func card(_ name: String, _ change: (inout TrainingConfiguration.DataSection) -> Void) throws
      -> ModelCard
    {
      var configuration = try configuration(folder, steps: 1)
      configuration.data.noisePercent = [0, 0]
      configuration.data.minimumForeground = 0
      change(&configuration.data)
      let trainer = try Trainer(configuration, folder: "\(folder)/\(name)", resume: false)
      _ = try trainer.run(shouldStop: { false }, report: { _ in })
      return try ModelBundle(path: trainer.exportBundle()).card
    }
    #expect(try card("all") { _ in }.averagesPlanes == true)
    #expect(try card("one") { $0.allPlanes = false }.averagesPlanes == nil)
    #expect(try card("finer") { $0.simulator = "mri-sr" }.averagesPlanes == nil)
  }

  @Test("a card keeps measured frequencies if all tasks truncate k-space alike, without noise")
  func measuredFrequencies() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func factor(_ name: String, _ factors: [Double], noise: Double = 0) throws -> Double? {
      var configuration = try configuration(folder, steps: 1)
      configuration.data.simulator = "mri-sr"
      configuration.data.noisePercent = [noise, noise]
      configuration.tasks = factors.map { factor in
        var task = configuration.data
        task.name = "by \(factor)"
        task.factor = [factor, factor]
        return task
      }
      // The same task under two names.
      for number in configuration.tasks.indices { configuration.tasks[number].name += " \(number)" }
      let trainer = try Trainer(configuration, folder: "\(folder)/\(name)", resume: false)
      _ = try trainer.run(shouldStop: { false }, report: { _ in })
      return try ModelBundle(path: trainer.exportBundle()).card.kSpaceFactor
    }
    #expect(try factor("alike", [2, 2]) == 2)
    #expect(try factor("unlike", [2, 4]) == nil)
    #expect(try factor("noisy", [2, 2], noise: 1) == nil)
  }

  @Test("a training starts from the mean of several files of weights")
  func meanOfWeights() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func write(_ name: String, _ value: Float, shape: Shape = [3, 2], count: Int64 = 4) throws
      -> String
    {
      var writer = SafetensorsWriter()
      writer.add(Tensor(shape, repeating: value), named: "weight")
      writer.add([count], shape: [1], named: "count")
      let path = "\(folder)/\(name).safetensors"
      try writer.encoded().write(to: URL(fileURLWithPath: path))
      return path
    }
    let files = [try write("a", 1), try write("b", 2, count: 9), try write("c", 6)]
    let mean = try #require(try InitialWeights(files).read())
    #expect(mean.tensor(named: "weight")?.values == [Float](repeating: 3, count: 6))
    #expect(mean.integers(named: "count") == [4])
    #expect(try InitialWeights([files[1]]).read()?.tensor(named: "weight")?.values.first == 2)
    #expect(try InitialWeights().read() == nil)
    let other = try write("d", 1, shape: [2, 3])
    #expect {
      _ = try InitialWeights([files[0], other]).read()
    } throws: { error in
      guard case TrainingError.invalidValue("model.initial_weights", let reason) = error else {
        return false
      }
      return reason.contains("d.safetensors` has no `weight` of shape")
    }
    // One path, none, or a list, as configurations have them.
    for (text, count) in [(#"["a"]"#, 1), (#"[""]"#, 0), (#"[["a", "b"]]"#, 2)] {
      let read = try JSONDecoder().decode([InitialWeights].self, from: Data(text.utf8))
      #expect(read[0].files.count == count)
      let again = try JSONDecoder().decode(
        [InitialWeights].self, from: JSONEncoder().encode(read))
      #expect(again == read)
    }
  }

  @Test("the loss psnr is half the mean logarithm of each sample's squared error")
  func signalLoss() {
    let target = Tensor([2, 1, 2, 1], [1, 2, 3, 4])
    let prediction = Tensor([2, 1, 2, 1], [1.1, 2.1, 4, 6])
    let loss = RestorationLoss(.peakSignal(epsilon: 0))(prediction, target).scalar
    #expect(abs(loss - Float(0.25 * (log(0.01) + log(2.5)))) < 1e-4)
  }
}
