import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing
import Train

@Suite("Training of the stroke system", .serialized)
struct StrokeTrainerTests {
  /// A folder with an nnU-Net raw set of small brains, each with one bright ball in FLAIR that is dark
  /// in T1.
  static func dataset(brains: Int = 5, channels: Int = 2) throws -> String {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("stroke-train-\(UUID().uuidString)").path
    for part in ["imagesTr", "labelsTr"] {
      try FileManager.default.createDirectory(
        atPath: folder + "/data/" + part, withIntermediateDirectories: true)
    }
    let names = channels == 2 ? #"{"0": "T1", "1": "FLAIR"}"# : #"{"0": "T1"}"#
    try """
    {"channel_names": \(names), "labels": {"background": 0, "lesion": 1}, "file_ending": ".nii.gz"}
    """.write(toFile: folder + "/data/dataset.json", atomically: true, encoding: .utf8)
    let size = GridSize(x: 16, y: 16, z: 16)
    let geometry = Geometry(
      size: size, affine: Affine(i: SIMD3(1, 0, 0), j: SIMD3(0, 1, 0), k: SIMD3(0, 0, 1)))
    for brain in 0..<brains {
      var generator = SeededGenerator(seed: 3, stream: UInt64(brain))
      let centre = (0..<3).map { _ in 5 + generator.nextInt(below: 6) }
      var (t1, flair, mask) = ([Float](), [Float](), [Float]())
      for index in 0..<size.count {
        let place = [index % 16, index / 16 % 16, index / 256]
        let noise = generator.nextUniform()
        let isLesion = zip(place, centre).allSatisfy { abs($0 - $1) <= 2 }
        t1.append((isLesion ? 4 : 10) + noise)
        flair.append((isLesion ? 16 : 9) + noise)
        mask.append(isLesion ? 1 : 0)
      }
      for (channel, voxels) in [t1, flair].prefix(channels).enumerated() {
        try NIfTI.write(
          Volume(voxels: voxels, geometry: geometry),
          to: "\(folder)/data/imagesTr/b\(brain)_000\(channel).nii.gz")
      }
      try NIfTI.write(
        Volume(voxels: mask, geometry: geometry), to: "\(folder)/data/labelsTr/b\(brain).nii.gz",
        options: NIfTIWriteOptions(dataType: .labels))
    }
    return folder
  }

  static func configuration(
    _ folder: String, _ change: (inout StrokeTrainingConfiguration) -> Void = { _ in }
  ) -> StrokeTrainingConfiguration {
    var result = StrokeTrainingConfiguration()
    result.system.path.channels = 6
    result.system.path.dropout = 0.1
    result.system.paths = ["XY_12", "ZX_3"]
    result.system.combinerChannels = [6, 4]
    result.data.folder = folder + "/data"
    result.paths.iterations = 30
    result.paths.batch = 4
    result.paths.patch = 0
    result.paths.learningRate = 1e-2
    result.combiner.iterations = 20
    result.combiner.learningRate = 2e-2
    result.seed = 4
    change(&result)
    return result
  }

  static func run(
    _ trainer: StrokeTrainer, steps: Int = .max
  ) throws -> (isFinished: Bool, losses: [String: [Double]]) {
    var losses: [String: [Double]] = [:]
    var left = steps
    let isFinished = try trainer.run(
      shouldStop: {
        left -= 1
        return left < 0
      },
      report: { losses[$0.stage, default: []].append($0.loss) })
    return (isFinished, losses)
  }

  private static func state(_ system: StrokeSystem) -> [[Float]] {
    system.state.filter { !$0.name.hasSuffix("num_batches_tracked") }.map(\.tensor.values)
  }

  @Test("both stages learn a set of small brains, and find the lesion of one never seen")
  func learns() throws {
    let folder = try Self.dataset()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let trainer = try StrokeTrainer(
      Self.configuration(folder) { $0.paths.lesionPart = 1 }, folder: folder + "/run",
      resume: false)
    let counts = StrokeDataset.Part.allCases.map { trainer.data.count($0) }
    #expect(counts == [2, 2, 1])
    let names = StrokeDataset.Part.allCases.flatMap { trainer.data.subjects($0) }
    #expect(Set(names).count == 5, "no subject in two parts")
    let (isFinished, losses) = try Self.run(trainer)
    #expect(isFinished)
    for stage in ["XY_12", "ZX_3", "combiner"] {
      let curve = try #require(losses[stage])
      #expect(curve[curve.count - 1] < 0.85 * curve[0], "\(stage): \(curve)")
    }
    let scores = try trainer.evaluate()
    #expect(scores.count == 1 && scores[0].dice > 0.6, "\(scores)")
    #expect(Set(scores[0].pathDice.keys) == ["XY_12", "ZX_3"])
    #expect(abs(scores[0].trueVolume - 0.125) < 1e-9)
    let bundle = try ModelBundle(path: trainer.exportBundle(scores))
    let loaded = try #require(bundle.loadModel() as? StrokeSystem)
    let isSame = Self.state(loaded) == Self.state(trainer.system)
    #expect(isSame)
    #expect(bundle.card.inputs["image"]?.channelDef == ["0": "T1", "1": "FLAIR"])
    #expect(bundle.card.metrics["dice_test"] == scores[0].dice)
  }

  @Test("a run cut in either stage continues to the bit", arguments: [7, 25, 43])
  func resumes(cut: Int) throws {
    let folder = try Self.dataset()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = Self.configuration(folder) {
      $0.system.path.channels = 4
      $0.paths.iterations = 20
      $0.combiner.iterations = 6
    }
    let whole = try StrokeTrainer(configuration, folder: folder + "/whole", resume: false)
    #expect(FileManager.default.fileExists(atPath: folder + "/whole/.lock"))
    #expect(try Self.run(whole).isFinished)
    let first = try StrokeTrainer(configuration, folder: folder + "/cut", resume: false)
    #expect(try !Self.run(first, steps: cut).isFinished)
    #expect(throws: TrainingError.runExists(folder: folder + "/cut")) {
      try StrokeTrainer(configuration, folder: folder + "/cut", resume: false)
    }
    // What was logged after the state will be done again.
    let log = folder + "/cut/log.jsonl"
    let beyond = #"{"stage": "combiner", "step": 4, "steps": 6, "loss": 77, "seconds": 1}"# + "\n"
    let logged = FileManager.default.contents(atPath: log) ?? Data()
    try (logged + Data(beyond.utf8)).write(to: URL(fileURLWithPath: log))
    let second = try StrokeTrainer(configuration, folder: folder + "/cut", resume: true)
    #expect(try Self.run(second).isFinished)
    let isSame = Self.state(second.system) == Self.state(whole.system)
    #expect(isSame)
    func steps(_ run: String) throws -> [String] {
      try String(contentsOfFile: "\(folder)/\(run)/log.jsonl", encoding: .utf8)
        .split(separator: "\n").map { line in
          let entry = try JSONDecoder().decode(
            StrokeTrainingProgress.self, from: Data(line.utf8))
          return "\(entry.stage) \(entry.step)"
        }
    }
    #expect(try steps("cut") == steps("whole"))
    var other = configuration
    other.seed = 9
    #expect(throws: TrainingError.self) {
      try StrokeTrainer(other, folder: folder + "/cut", resume: true)
    }
  }

  @Test("a configuration alone is no run; a run does not go on with brains that moved")
  func otherBrains() throws {
    let folder = try Self.dataset()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = Self.configuration(folder) { $0.system.path.channels = 4 }
    let run = folder + "/run"
    _ = try StrokeTrainer(configuration, folder: run, resume: false)
    // Corrected before the first step.
    configuration.paths.batch = 2
    for resume in [true, false] {
      let trainer = try StrokeTrainer(configuration, folder: run, resume: resume)
      #expect(!trainer.isFinished)
    }
    #expect(
      try String(contentsOfFile: run + "/config.json", encoding: .utf8) == configuration.json())
    let trainer = try StrokeTrainer(configuration, folder: run, resume: false)
    #expect(try !Self.run(trainer, steps: 1).isFinished)
    for (part, end) in [
      ("imagesTr", "_0000.nii.gz"), ("imagesTr", "_0001.nii.gz"), ("labelsTr", ".nii.gz"),
    ] {
      try FileManager.default.copyItem(
        atPath: "\(folder)/data/\(part)/b0\(end)", toPath: "\(folder)/data/\(part)/b9\(end)")
    }
    #expect(
      throws: TrainingError.cannotResume(
        folder: run, reason: "\(folder)/data has other files or parts than when the run began")
    ) { try StrokeTrainer(configuration, folder: run, resume: true) }
  }

  @Test("the published schedule holds two epochs, then falls by 0.91 in each")
  func schedule() throws {
    let configuration = try StrokeTrainingConfiguration(
      text: """
        {"paths": {"schedule": "published", "warmup": 0, "learning_rate": 0.01, "iterations": 500,
         "optimizer": "sgd", "patch": 0, "batch": 32}}
        """, file: "c.json")
    let stage = configuration.paths
    #expect(stage.rate(at: 0) == 0.01 && stage.rate(at: 19) == 0.01)
    #expect(abs(stage.rate(at: 20) - 0.0091) < 1e-12)
    #expect(abs(stage.rate(at: 499) - 0.01 * pow(0.91, 48)) < 1e-12)
  }

  @Test("unknown keys, shared subjects and unfit values are named")
  func refuses() throws {
    #expect(throws: TrainingError.unknownKey(key: "paths.iteration", suggestion: "iterations")) {
      try StrokeTrainingConfiguration(text: #"{"paths": {"iteration": 3}}"#, file: "c.json")
    }
    func refused(_ text: String) -> String? {
      do {
        _ = try StrokeTrainingConfiguration(text: text, file: "c.json")
      } catch TrainingError.invalidValue(let key, _) { return key } catch { return "\(error)" }
      return nil
    }
    let brain = #""subject": "a", "images": ["t1.nii", "flair.nii"]"#
    #expect(
      refused(
        #"{"data": {"brains": [{\#(brain), "parts": ["paths"]}, {\#(brain), "parts": ["test"]}]}}"#)
        == "data.brains")
    #expect(
      refused(#"{"data": {"brains": [{"subject": "a", "images": ["x"], "parts": ["paths"]}]}}"#)
        == "data.brains")
    #expect(refused(#"{"paths": {"patch": 20}}"#) == "paths.patch")
    #expect(refused(#"{"combiner": {"optimizer": "lion"}}"#) == "combiner.optimizer")
    #expect(refused(#"{"system": {"paths": ["XY_9"]}}"#) == "system")
    #expect(refused(#"{"data": {"lesion_volumes": [3, 1]}}"#) == "data.lesion_volumes")
    for (text, key) in [
      (#"{"paths": {"iterations": -1}}"#, "paths.iterations"),
      (#"{"paths": {"iterations": 1.5}}"#, "paths.iterations"),
      (#"{"paths": {"warmup": -1}}"#, "paths.warmup"), (#"{"seed": -1}"#, "seed"),
      (#"{"combiner": {"jitter": -1}}"#, "combiner.jitter"),
      (#"{"data": {"cached_cases": 0}}"#, "data.cached_cases"),
      (#"{"data": {"lesion_counts": [0, 9223372036854775807]}}"#, "data.lesion_counts"),
      (#"{"data": {"lesion_counts": [0, 1001]}}"#, "data.lesion_counts"),
      (#"{"data": {"phantoms": 1000000000000}}"#, "data.phantoms"),
      (#"{"data": {"cases_per_brain": 1000000000000}}"#, "data.cases_per_brain"),
      (#"{"paths": {"batch": 1000000000000}}"#, "paths.batch"), ("name: 2020-01-01", "name"),
    ] { #expect(refused(text) == key, "\(text)") }
    #expect(refused("{}") == nil)
    #expect(
      throws: TrainingError.unknownKey(key: "data.brains.0.lesion", suggestion: "lesions")
    ) {
      try StrokeTrainingConfiguration(
        text: #"{"data": {"brains": [{\#(brain), "parts": ["test"], "lesion": "m.nii"}]}}"#,
        file: "c.json")
    }
  }

  @Test("nobody is tested who was trained on: by name beside a folder, or by a file of two names")
  func separation() throws {
    let folder = try Self.dataset(brains: 4)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func brain(_ subject: String, _ file: String, _ part: String)
      -> StrokeTrainingConfiguration.Brain
    {
      StrokeTrainingConfiguration.Brain(
        subject: subject,
        images: [0, 1].map { "\(folder)/data/imagesTr/\(file)_000\($0).nii.gz" }, parts: [part])
    }
    func refused(_ change: (inout StrokeTrainingConfiguration) -> Void) -> Bool {
      do {
        _ = try StrokeDataset(Self.configuration(folder, change))
      } catch TrainingError.invalidValue("data.brains", _) { return true } catch {
        Issue.record("\(error)")
      }
      return false
    }
    let learnt = try #require(try StrokeDataset(Self.configuration(folder)).subjects(.paths).first)
    let tested = try #require(try StrokeDataset(Self.configuration(folder)).subjects(.test).first)
    #expect(refused { $0.data.brains = [brain(learnt, "elsewhere", "test")] })
    #expect(refused { $0.data.brains = [brain("other", learnt, "test")] })
    #expect(refused { $0.data.brains = [brain("other", tested, "combiner")] })
    #expect(!refused { $0.data.brains = [brain("other", tested, "test")] })
    #expect(
      refused {
        $0.data.folder = ""
        $0.data.brains = [brain("x", "b0", "paths"), brain("y", "b0", "test")]
      })
  }

  @Test("a set of T1 alone trains the mirrored system, and is refused by the other")
  func oneModality() throws {
    let folder = try Self.dataset(brains: 4, channels: 1)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = Self.configuration(folder) {
      $0.system.secondChannel = .mirror
      $0.paths.iterations = 2
      $0.combiner.iterations = 1
      $0.combiner.patch = 16
    }
    let trainer = try StrokeTrainer(configuration, folder: folder + "/run", resume: false)
    #expect(try Self.run(trainer).isFinished)
    let two = Self.configuration(folder)
    #expect(throws: TrainingError.self) {
      try StrokeTrainer(two, folder: folder + "/two", resume: false)
    }
  }

  @Test("lesions are grown into scans and phantoms; those that were there stay in the truth")
  func grown() throws {
    let folder = try Self.dataset(brains: 1)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let configuration = Self.configuration(folder) {
      $0.data.folder = ""
      $0.data.brains = [
        StrokeTrainingConfiguration.Brain(
          subject: "b0",
          images: [0, 1].map { "\(folder)/data/imagesTr/b0_000\($0).nii.gz" },
          lesions: "\(folder)/data/labelsTr/b0.nii.gz", parts: ["paths", "combiner"])
      ]
      $0.data.casesPerBrain = 2
      $0.data.lesionCounts = [1, 1]
      $0.data.lesionVolumes = [0.05, 0.1]
    }
    let data = try StrokeDataset(configuration)
    #expect(StrokeDataset.Part.allCases.map { data.count($0) } == [2, 2, 0])
    let first = try data.load(.paths, 0)
    let second = try data.load(.paths, 1)
    let own = try #require(first.ownLesions)
    #expect(own.count { $0 == 1 } == 125)
    #expect(zip(own, first.truth).allSatisfy { $0 <= $1 })
    #expect(first.truth.count { $0 == 1 } > 125 && first.truth != second.truth)
    #expect(try data.load(.paths, 0).volume.values == first.volume.values)
    #expect(try data.load(.combiner, 0).truth != first.truth)
  }
}
