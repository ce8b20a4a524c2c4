import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Plans of GDKVM's steps")
struct GDKVMPlanTests {
  @Test("a planned step gives what the step gives, frame after frame")
  func steps() throws {
    var generator = SeededGenerator(seed: 1)
    let model = try GDKVM(.light, using: &generator)
    model.setTraining(false)
    model.setRequiresGradient(false)
    let frames = (0..<4).map {
      Tensor.random([1, 32, 48, model.inChannels], .uniform(0..<1), seed: UInt64($0))
    }
    var expected = model.step(model.encoded(frames[0]), state: nil)
    var tensors = expected.state.tensors
    let plan = try model.stepPlan(frames: frames[0].shape, state: expected.state)
    for frame in frames.dropFirst() {
      expected = model.step(model.encoded(frame), state: expected.state)
      let found = try plan([frame] + tensors)
      #expect(Mismatch(found[0], expected.frame.logits, relative: 1e-4) == nil)
      tensors = Array(found.dropFirst())
      for (found, expected) in zip(tensors, expected.state.tensors) {
        #expect(Mismatch(found, expected, relative: 1e-4) == nil)
      }
    }
  }
}
