import Foundation
import Layers
import TensorCore
import Testing
import Train

@Suite("Momentum descent, schedules and tasks")
struct OptimizerTests {
  @Test("Nesterov's steps follow the formula; the state survives")
  func nesterov() {
    var section = TrainingConfiguration.OptimizerSection()
    section.name = "sgd"
    section.momentum = 0.8
    section.weightDecay = 0.1
    section.clip = 0
    let parameter = Parameter([1]) { $0[0] = 0.5 }
    let optimizer = section.makeOptimizer(for: [("w", parameter)])
    var (w, v) = (0.5, 0.0)
    for slope in [2.0, -1, 3] {
      let loss = (parameter.tensor * Float(slope)).sum()
      #expect(optimizer.step(loss.gradients(), learningRate: 0.05) == abs(slope))
      let g = slope + 0.1 * w
      v = 0.8 * v + g
      w -= 0.05 * (g + 0.8 * v)
    }
    #expect(abs(Double(parameter.tensor.scalar) - w) < 1e-6)
    let state = Dictionary(uniqueKeysWithValues: optimizer.state.map { ($0.name, $0.tensor) })
    #expect(abs(Double(state["sgd.velocity.w"]?.scalar ?? 0) - v) < 1e-5)
    let other = section.makeOptimizer(for: [("w", parameter)])
    #expect(other.restore(steps: 3) { _ in nil } == ["sgd.velocity.w"])
    #expect(other.restore(steps: 3) { state[$0] }.isEmpty && other.steps == 3)
    #expect(other.state[0].tensor.values == optimizer.state[0].tensor.values)
  }

  @Test("groups step as each of them would alone, and store their states together")
  func groups() {
    var section = TrainingConfiguration.OptimizerSection()
    section.name = "adamw"
    section.weightDecay = 0.1
    section.clip = 1
    var undecayed = section
    undecayed.weightDecay = 0
    let starts: [Float] = [0.5, -2]
    func optimizers(of parameters: [Parameter]) -> [any Optimizer] {
      [
        section.makeOptimizer(for: [("a", parameters[0])]),
        undecayed.makeOptimizer(for: [("b", parameters[1])]),
      ]
    }
    func parameters() -> [Parameter] { starts.map { start in Parameter([1]) { $0[0] = start } } }
    let (own, joint) = (parameters(), parameters())
    let single = optimizers(of: own)
    let groups = OptimizerGroups(optimizers(of: joint))
    for slope in [3.0, -1] as [Float] {
      func gradients(_ parameters: [Parameter]) -> Gradients {
        (parameters[0].tensor * slope + parameters[1].tensor * (2 * slope)).sum().gradients()
      }
      let norms = single.map { $0.step(gradients(own), learningRate: 0.1) }
      let norm = groups.step(gradients(joint), learningRate: 0.1)
      #expect(abs(norm - hypot(norms[0], norms[1])) < 1e-12)
    }
    #expect(own.map(\.tensor.scalar) == joint.map(\.tensor.scalar))
    #expect(own[0].tensor.scalar != starts[0] && groups.steps == 2)
    let state = Dictionary(uniqueKeysWithValues: groups.state.map { ($0.name, $0.tensor) })
    let other = OptimizerGroups(optimizers(of: joint))
    #expect(other.restore(steps: 2) { $0.hasSuffix(".b") ? nil : state[$0] }.count == 2)
    #expect(other.restore(steps: 2) { state[$0] }.isEmpty && other.steps == 2)
  }

  @Test("the step schedule falls by its factor after the warm-up")
  func steps() throws {
    var configuration = TrainingConfiguration()
    configuration.optim.learningRate = 1
    configuration.schedule.name = "step"
    configuration.schedule.warmup = 4
    configuration.schedule.fallEvery = 10
    configuration.schedule.fallFactor = 0.1
    let schedule = LearningRateSchedule(configuration)
    #expect([1, 4, 13, 14, 24].map { schedule.rate(at: $0) } == [0.5, 1, 1, 0.1, 0.1 * 0.1])
  }

  @Test("tasks take what they leave out from the data section; wrong keys are named")
  func tasks() throws {
    let text = """
      {"data": {"crop": 48, "split": "s.json"},
       "tasks": [{"name": "a"}, {"name": "b", "crop": 32, "simulator": "mri-sr"}]}
      """
    let configuration = try TrainingConfiguration(text: text, file: "c")
    #expect(configuration.allTasks.map(\.crop) == [48, 32])
    #expect(configuration.allTasks.map(\.simulator) == ["rician", "mri-sr"])
    #expect(try TrainingConfiguration(text: configuration.json(), file: "c") == configuration)
    #expect(throws: TrainingError.unknownKey(key: "tasks.0.crap", suggestion: "crop")) {
      try TrainingConfiguration(text: "{\"tasks\": [{\"crap\": 1}]}", file: "c")
    }
    let wrong = "{\"data\": {\"split\": \"s\"}, \"tasks\": [{}, {\"simulator\": \"x\"}]}"
    let invalid = try TrainingConfiguration(text: wrong, file: "c")
    do throws(TrainingError) {
      try invalid.validate()
      Issue.record("it was accepted")
    } catch {
      guard case .invalidValue(let key, _) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(key == "tasks.1.simulator")
    }
  }
}
