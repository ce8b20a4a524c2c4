import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("ResNet")
struct ResNetTests {
  @Test("frequency-dynamic bottlenecks cost ResNet-50 the published 3 647 120 parameters")
  func overhead() throws {
    var generator = SeededGenerator(seed: 0)
    let plain = try ResNet(.resNet50, using: &generator)
    #expect(plain.parameterCount(.trained) == 25_557_032)
    let dynamic = try ResNet(.resNet50FDConv, using: &generator)
    #expect(dynamic.parameterCount(.trained) - plain.parameterCount(.trained) == 3_647_120)
    func count(_ part: String) -> Int {
      dynamic.parameters.filter { $0.name.contains(part) }.reduce(0) { $0 + $1.parameter.count }
    }
    #expect(count("KSM_Global") == 3_173_408)
    #expect(count("KSM_Local") == 311_296)
    #expect(count("FBM") == 102_000)
  }

  @Test("a converted network gives the output of the plain one, stage by stage")
  func conversion() throws {
    var configuration = ResNetConfiguration()
    configuration.blocks = [1, 2]
    configuration.width = 32
    configuration.classes = 5
    var generator = SeededGenerator(seed: 1)
    let plain = try ResNet(configuration, using: &generator)
    var options = FDConvConfiguration()
    options.kernelCount = 16
    configuration.dynamic = options
    let dynamic = try ResNet(configuration, using: &generator)
    let x = Tensor.random([2, 40, 36, 3], seed: 2)
    #expect(Mismatch(dynamic(x), plain(x), relative: 1e-2) != nil)
    try dynamic.load(converting: plain)
    #expect(plain.features(x).map(\.shape) == [[2, 10, 9, 128], [2, 5, 5, 256]])
    for (a, b) in zip(dynamic.features(x), plain.features(x)) {
      #expect(Mismatch(a, b, relative: 3e-5) == nil)
    }
    #expect(Mismatch(dynamic(x), plain(x), relative: 3e-5) == nil)
  }
}
