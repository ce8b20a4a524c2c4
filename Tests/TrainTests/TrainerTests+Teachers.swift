import Foundation
import Inference
import Testing
import Train

/// Distillation: a network that starts with its teacher's weights has nothing to learn from it.
extension TrainerTests {
  /// A bundle after two steps, and the first loss (L1) of a training from its weights.
  private func bundle(
    _ folder: String
  ) throws -> (path: String, loss: (String, (inout TrainingConfiguration) -> Void) throws -> Double)
  {
    let trainer = try Trainer(
      configuration(folder, steps: 2), folder: folder + "/teacher", resume: false)
    #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    let path = try trainer.exportBundle()
    return (
      path,
      { name, change in
        let log = try run(folder, name) {
          $0.model.initialWeights = InitialWeights([path + "/weights.safetensors"])
          $0.train.iterations = 1
          change(&$0)
        }.log
        return try #require(log.first?["loss"])
      }
    )
  }

  @Test("a teacher's restoration has its weight in the target", arguments: [0, 0.5, 1])
  func teacher(weight: Double) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (path, loss) = try bundle(folder)
    let plain = try loss("plain") { _ in }
    let taught = try loss("taught") {
      $0.data.teacher = path
      $0.data.teacherWeight = weight
    }
    #expect(plain > 1e-3)
    #expect(abs(taught - (1 - weight) * plain) <= 1e-4 * plain, "\(taught), \(plain)")
  }

  @Test("a card says who taught its network")
  func card() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (path, _) = try bundle(folder)
    var configuration = try configuration(folder, steps: 1)
    configuration.data.teacher = path
    let trainer = try Trainer(configuration, folder: folder + "/run", resume: false)
    #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    let card = try ModelBundle(path: trainer.exportBundle()).card
    #expect(card.trainingData.hasSuffix(" Taught by model 1.0.0."), "\(card.trainingData)")
    #expect(try !ModelBundle(path: path).card.trainingData.contains("Taught"))
  }

  @Test("of several tasks only those with a teacher learn from it", arguments: ["equal", "pooled"])
  func teacherOfATask(mixing: String) throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (path, loss) = try bundle(folder)
    func first(_ name: String, teachers: [Int]) throws -> Double {
      try loss(name) { configuration in
        configuration.train.mixing = mixing
        configuration.train.batch = 6
        configuration.tasks = (0..<2).map { number in
          var section = configuration.data
          section.name = "task-\(number)"
          section.noisePercent = number == 0 ? [5, 5] : [20, 20]
          section.teacher = teachers.contains(number) ? path : ""
          section.teacherWeight = 1
          return section
        }
      }
    }
    let plain = try first("plain", teachers: [])
    let parts = [try first("first", teachers: [1]), try first("second", teachers: [0])]
    #expect(abs(parts[0] + parts[1] - plain) <= 1e-4 * plain, "\(parts), \(plain)")
    // The second task has four times the noise: its samples are most of the loss.
    #expect(parts[0] > 0.02 * plain && parts[1] > parts[0])
    #expect(try first("both", teachers: [0, 1]) <= 1e-4 * plain)
  }

  @Test("a teacher that is not there, or for other images, is refused by its key")
  func wrongTeacher() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (path, _) = try bundle(folder)
    var configuration = try configuration(folder, steps: 1)
    configuration.data.teacher = folder + "/nobody"
    #expect(throws: InferenceError.self) {
      try Trainer(configuration, folder: folder + "/run", resume: false)
    }
    configuration.data.teacher = path
    configuration.data.neighbours = 1
    let error = try #require(throws: TrainingError.self) {
      try Trainer(configuration, folder: folder + "/other", resume: false)
    }
    guard case .invalidValue("data.teacher", _) = error else {
      Issue.record("\(error)")
      return
    }
    configuration.data.teacherWeight = 1.5
    #expect(
      throws: TrainingError.invalidValue(
        key: "data.teacher_weight", reason: "1.5 is not in 0...1")
    ) { try configuration.validate() }
  }

  @Test("a teacher's path is relative to the configuration, a name is looked up")
  func teacherPath() throws {
    var configuration = try TrainingConfiguration(
      text: #"{"data": {"teacher": "../models/x"}, "tasks": [{"teacher": "mri-sr-x2"}]}"#,
      file: "c.json")
    configuration.resolvePaths(relativeTo: "/somewhere/configurations/c.json")
    #expect(configuration.data.teacher == "/somewhere/models/x")
    #expect(configuration.tasks.map(\.teacher) == ["mri-sr-x2"])
  }

  @Test(
    "CT needs a normalisation that holds what is below 0 HU; a bundle has that of the first task")
  func normalizations() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 1)
    configuration.data.simulator = "ct-lowdose"
    #expect(
      throws: TrainingError.invalidValue(
        key: "data.normalization",
        reason: "`positive` leaves out what is below 0 HU: `all` or `ct` is for `ct-lowdose`")
    ) { try configuration.validate() }
    configuration = try self.configuration(folder, steps: 1)
    configuration.tasks = ["positive", "mri"].map { name in
      var section = configuration.data
      (section.name, section.normalization) = (name, name)
      return section
    }
    let trainer = try Trainer(configuration, folder: folder + "/run", resume: false)
    #expect(
      trainer.warnings.count == 1 && trainer.warnings[0].contains("the task mri is normalised"))
    #expect(try trainer.run(shouldStop: { false }, report: { _ in }) == .finished)
    let card = try ModelBundle(path: trainer.exportBundle()).card
    #expect(card.limitations.contains("normalises all images by `positive`"))
  }

  @Test("a mistake that ends a training before it begins leaves no folder")
  func noFolder() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var configuration = try configuration(folder, steps: 1)
    configuration.data.split = folder + "/absent.json"
    #expect(throws: TrainingError.noSuchSplit(file: folder + "/absent.json")) {
      try Trainer(configuration, folder: folder + "/run", resume: false)
    }
    #expect(!FileManager.default.fileExists(atPath: folder + "/run"))
  }
}
