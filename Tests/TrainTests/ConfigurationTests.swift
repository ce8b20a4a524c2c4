import Foundation
import Models
import Testing
import Train

@Suite("Training configuration")
struct ConfigurationTests {
  private let minimal = "{\"data\": {\"split\": \"split.json\"}}"

  @Test("absent keys take the defaults; JSON and YAML are read alike")
  func defaults() throws {
    let json = try TrainingConfiguration(text: minimal, file: "c.json")
    let yaml = try TrainingConfiguration(text: "data:\n  split: split.json\n", file: "c.yaml")
    #expect(json == yaml)
    #expect(json.optim == TrainingConfiguration.OptimizerSection())
    #expect(json.data.split == "split.json")
  }

  @Test("what is written is read again")
  func roundTrip() throws {
    var configuration = try TrainingConfiguration(text: minimal, file: "c")
    configuration.optim.learningRate = 3e-4
    configuration.data.noisePercent = [2, 9]
    configuration.seed = 77
    let again = try TrainingConfiguration(text: configuration.json(), file: "c")
    #expect(again == configuration)
  }

  @Test("an unknown key is an error with the nearest known one")
  func unknownKey() {
    #expect(
      throws: TrainingError.unknownKey(key: "optim.learning_rte", suggestion: "learning_rate")
    ) {
      try TrainingConfiguration(text: "{\"optim\": {\"learning_rte\": 1}}", file: "c")
    }
    #expect(throws: TrainingError.unknownKey(key: "zzzzzz", suggestion: nil)) {
      try TrainingConfiguration(text: "{\"zzzzzz\": 1}", file: "c")
    }
  }

  @Test(
    "a number that is none names its key",
    arguments: [
      ("optim: {learning_rate: .nan}", "optim.learning_rate"),
      ("data: {factor: [1, .inf]}", "data.factor"),
      ("tasks: [{name: a}, {gamma: [-.inf, 1]}]", "tasks.1.gamma"),
    ])
  func notFinite(text: String, key: String) {
    #expect(throws: TrainingError.invalidValue(key: key, reason: "is not a finite number")) {
      try TrainingConfiguration(text: text, file: "c.yaml")
    }
  }

  @Test("a value of the wrong type names its key")
  func wrongType() {
    #expect(
      throws: TrainingError.invalidValue(
        key: "train.batch", reason: "the value has the wrong type")
    ) { try TrainingConfiguration(text: "{\"train\": {\"batch\": \"four\"}}", file: "c") }
  }

  @Test(
    "numbers that do not fit and values in lists are named by the keys of the file",
    arguments: [
      ("{\"train\": {\"iterations\": 1.5}}", "train.iterations"), ("{\"seed\": -1}", "seed"),
      ("{\"data\": {\"grid_part\": [\"a\", 1]}}", "data.grid_part.0"),
      ("{\"data\": {\"noise_percent\": 3}}", "data.noise_percent"),
      ("tasks: [{crop: 16}, {crop: 16.5}]", "tasks.1.crop"),
      ("{tasks: [{turns: 0.5}], seed: 3}", "tasks.0.turns"),
      ("model: {name: 2020-01-01}", "model.name"), ("data: {suffix: !!binary AAAA}", "data.suffix"),
    ])
  func misfits(_ text: String, _ key: String) {
    do throws(TrainingError) {
      _ = try TrainingConfiguration(text: text, file: "c")
      Issue.record("\(text) was read")
    } catch {
      guard case .invalidValue(let found, _) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(found == key)
    }
  }

  @Test("tasks of one network have crops of one size and names of their own")
  func tasksTogether() throws {
    func key(
      mixing: String = "equal", _ change: (inout [TrainingConfiguration.DataSection]) -> Void
    ) throws -> String? {
      var configuration = try TrainingConfiguration(text: minimal, file: "c")
      var second = configuration.data
      second.name = "second"
      configuration.tasks = [configuration.data, second]
      change(&configuration.tasks)
      configuration.train.mixing = mixing
      do throws(TrainingError) { try configuration.validate() } catch {
        if case .invalidValue(let key, _) = error { return key }
      }
      return nil
    }
    #expect(try key { _ in } == nil)
    #expect(try key { $0[1].crop = 32 } == "tasks.1.crop")
    #expect(try key { $0[1].neighbours = 1 } == "tasks.1.neighbours")
    #expect(try key { $0[1].name = $0[0].name } == "tasks.1.name")
    #expect(try key { $0[1].turns = 3 } == nil)
    #expect(try key { $0[1].turns = 0 } == "tasks.1.turns")
    #expect(try key(mixing: "pooled") { $0[1].turns = 3 } == "tasks.1.turns")
    #expect(
      try key {
        $0 = [$0[0]]; $0[0].turns = 3
      } == "tasks.0.turns")
    #expect(
      try key {
        $0[0].name = "a b"
        $0[1].name = "a/b"
      } == "tasks.1.name")
  }

  @Test("values out of range are refused, each by its key")
  func ranges() throws {
    func key(_ change: (inout TrainingConfiguration) -> Void) -> String? {
      guard var configuration = try? TrainingConfiguration(text: minimal, file: "c") else {
        return nil
      }
      change(&configuration)
      do throws(TrainingError) { try configuration.validate() } catch {
        if case .invalidValue(let key, _) = error { return key }
      }
      return nil
    }
    #expect(key { _ in } == nil)
    #expect(key { $0.data.split = "" } == "data.split")
    #expect(key { $0.data.turns = 2 } == "data.turns")
    #expect(key { $0.data.alonePart = 1.5 } == "data.alone_part")
    #expect(key { $0.data.noisePercent = [5, 1] } == "data.noise_percent")
    #expect(key { $0.optim.learningRate = .nan } == "optim.learning_rate")
    #expect(key { $0.optim.betas = [0.9] } == "optim.betas")
    #expect(key { $0.data.cacheMegabytes = 0 } == "data.cache_megabytes")
    #expect(key { $0.data.cacheMegabytes = 17_592_186_044_416 } == "data.cache_megabytes")
    #expect(key { $0.train.iterations = 0 } == "train.iterations")
    #expect(key { $0.loss.name = "l3" } == "loss.name")
  }

  @Test("what is out of range in single precision, in which steps are computed, is refused")
  func singlePrecision() throws {
    func key(_ change: (inout TrainingConfiguration) -> Void) throws -> String? {
      var configuration = try TrainingConfiguration(text: minimal, file: "c")
      change(&configuration)
      do throws(TrainingError) { try configuration.validate() } catch {
        if case .invalidValue(let key, _) = error { return key }
      }
      return nil
    }
    #expect(try key { $0.optim.betas = [0, 0.9999999] } == nil)
    #expect(try key { $0.optim.betas = [0.9, 0.99999999] } == "optim.betas")
    for eps in [0, 1e-60, 1e300] {
      #expect(try key { $0.optim.eps = eps } == "optim.eps", "\(eps)")
    }
    #expect(try key { $0.optim.weightDecay = 1e300 } == "optim.weight_decay")
    #expect(try key { $0.optim.momentum = 0.99999999 } == "optim.momentum")
    #expect(try key { $0.optim.ema = 0.99999999 } == "optim.ema")
    #expect(try key { $0.loss.frequencyWeight = 1e300 } == "loss.frequency_weight")
    #expect(try key { $0.loss.similarityWeight = 1e300 } == "loss.similarity_weight")
    for epsilon in [0, 1e-60, 1e-30, 1e30, 1e300] {
      #expect(try key { $0.loss.epsilon = epsilon } == "loss.epsilon", "\(epsilon)")
    }
  }

  @Test("the cosine schedule warms up, peaks and ends at its minimum")
  func schedule() throws {
    var configuration = try TrainingConfiguration(text: minimal, file: "c")
    configuration.optim.learningRate = 1
    configuration.schedule.warmup = 10
    configuration.schedule.minimum = 0.1
    configuration.train.iterations = 110
    let schedule = LearningRateSchedule(configuration)
    #expect(schedule.rate(at: 0) == 0.1)
    #expect(schedule.rate(at: 10) == 1)
    #expect(abs(schedule.rate(at: 60) - 0.55) < 1e-12)
    #expect(abs(schedule.rate(at: 110) - 0.1) < 1e-12)
  }

  @Test("a network's hyperparameters are changed by its own keys")
  func hyperparameters() throws {
    let text = """
      model: {arch: restore-rwkv, preset: light, hyperparameters: {recurrences: 1, shift: uniform}}
      data: {split: split.json, neighbours: 1}
      """
    let configuration = try TrainingConfiguration(text: text, file: "c.yaml")
    #expect(try TrainingConfiguration(text: configuration.json(), file: "c") == configuration)
    let network = try #require(
      configuration.networkDescription().configuration as? RestoreRWKVConfiguration)
    #expect(network.recurrences == 1 && network.shift == .uniform && network.channels == 12)
    #expect(network.inChannels == 3 && network.outChannels == 1)
    var other = configuration
    other.model.arch = "dncnn"
    other.model.hyperparameters = [:]
    #expect(throws: ModelError.self) { try other.networkDescription() }
    other = configuration
    other.model.hyperparameters = ["recurrencs": .integer(1)]
    #expect(throws: ModelError.self) { try other.networkDescription() }
  }
}
