import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Model runner")
struct ModelRunnerTests {
  /// A network that doubles, or negates if the first pixel is above a half.
  private final class Chooser: RestorationModel {
    struct Settings: ModelConfiguration {
      static let presets = [(name: "only", configuration: Settings())]
      var looks = true
      func validate() throws(ModelError) {}
    }

    static let architecture = "chooser"
    let configuration: Settings
    let inChannels = 1
    let outChannels = 1
    let sizeMultiple = 2
    var members: [Member] { [] }

    init(_ configuration: Settings, using generator: inout SeededGenerator) throws(ModelError) {
      self.configuration = configuration
    }

    func multiplyAdds(height: Int, width: Int) -> Int { height * width }

    func forward(_ x: Tensor) -> Tensor {
      configuration.looks && x.values[0] > 0.5 ? -x : x * 2
    }
  }

  private func model(looks: Bool) throws -> Chooser {
    var settings = Chooser.Settings()
    settings.looks = looks
    var generator = SeededGenerator(seed: 0)
    return try Chooser(settings, using: &generator)
  }

  @Test("a network that looks at values runs without a plan, rightly, and the runner says so")
  func eager() throws {
    let runner = ModelRunner(try model(looks: true))
    let shape: Shape = [1, 3, 4, 1]
    guard case .eager(.readsValues) = runner.execution(for: shape) else {
      Issue.record("\(runner.execution(for: shape))")
      return
    }
    #expect(runner.memoryBytes(for: shape) == nil)
    #expect(runner(Tensor(shape, repeating: 0.25)).values.allSatisfy { $0 == 0.5 })
    #expect(runner(Tensor(shape, repeating: 0.75)).values.allSatisfy { $0 == -0.75 })
  }

  @Test("shapes in any order, more of them than plans are kept")
  func shapes() throws {
    let runner = ModelRunner(try model(looks: false))
    for size in [2, 3, 4, 5, 6, 7, 2, 7, 3] {
      let x = Tensor.random([1, size, size + 1, 1], seed: UInt64(size))
      #expect(runner.execution(for: x.shape) == .planned)
      #expect(runner(x).values == x.values.map { 2 * $0 })
      #expect(runner.memoryBytes(for: x.shape) ?? 0 >= 4 * x.count)
    }
  }
}
