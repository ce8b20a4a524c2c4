import Foundation
import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("FS-RWKV")
struct FSRWKVTests {
  private static func network(_ seed: UInt64 = 5) throws -> FSRWKV {
    var configuration = FSRWKVConfiguration()
    configuration.channels = 8
    configuration.blocks = [1, 1, 1, 1]
    configuration.refinementBlocks = 1
    var generator = SeededGenerator(seed: seed)
    return try FSRWKV(configuration, using: &generator)
  }

  @Test("the paper's network has the authors' numbers of parameters and tensors")
  func counts() throws {
    var generator = SeededGenerator(seed: 0)
    let model = try FSRWKV(.full, using: &generator)
    #expect(model.parameterCount(.trained) == 45_397_609)
    let enhancements = model.parameters.filter { $0.name.hasPrefix("enhance") }
    #expect(enhancements.reduce(0) { $0 + $1.parameter.count } == 17_902_920)
    #expect(model.state.count == 1374)
    #expect(Set(model.state.map(\.name)).count == 1374)
    // 12.06 and about 193 · 10⁹ multiply-adds.
    #expect((12_055_000_000...12_065_000_000).contains(model.multiplyAdds(height: 64, width: 64)))
    #expect(
      (192_500_000_000...193_500_000_000).contains(model.multiplyAdds(height: 256, width: 256)))
  }

  @Test("initial decay, bonus and mixtures follow the position in the level")
  func initialValues() throws {
    var generator = SeededGenerator(seed: 0)
    let mix = FrequencySpatialMix(
      channels: 4, position: LevelPosition(index: 1, of: 3), using: &generator)
    func values(_ name: String) throws -> [Float] {
      try #require(mix.parameters.first { $0.name == name }).parameter.tensor.values
    }
    func check(_ name: String, _ expected: [Float]) throws {
      let found = try values(name)
      #expect(Mismatch(found, expected, absolute: 1e-6) == nil, "\(name)")
    }
    let third = 1.0 / 3
    try check("spatial_decay", [0, third, 2 * third, 1].map { Float(-5 + 8 * pow($0, 1.35)) })
    try check("spatial_first", [0.0, 0.5, -0.5, 0.0].map { Float(log(0.3) + $0) })
    let key = [0, 0.25, 0.5, 0.75].map { Float(pow($0, 2 * third)) }
    try check("spatial_mix_k", key)
    try check("spatial_mix_v", key.map { $0 + 0.15 })
    try check("spatial_mix_r", key.map { $0.squareRoot() })
  }

  @Test("maps of any size are restored", arguments: [(8, 8), (24, 40), (13, 21), (1, 9)])
  func sizes(height: Int, width: Int) throws {
    let model = try Self.network()
    let y = model(Tensor.random([2, height, width, 1], seed: 1))
    #expect(y.shape == [2, height, width, 1])
    let areFinite = y.values.allSatisfy { $0.isFinite }
    #expect(areFinite)
  }

  @Test("an image and its part of the batch give the same result")
  func batch() throws {
    let model = try Self.network()
    let x = Tensor.random([2, 16, 24, 1], seed: 2)
    let both = model(x)
    let second = model(x.sliced(axis: 0, 1..<2))
    #expect(Mismatch(second, both.sliced(axis: 0, 1..<2), relative: 1e-5) == nil)
  }

  @Test("folded norms give the same output as the layers one after the other")
  func folding() throws {
    let model = try Self.network()
    model.setTraining(true)
    _ = model(Tensor.random([2, 16, 16, 1], seed: 3))
    model.setTraining(false)
    let x = Tensor.random([1, 16, 16, 1], seed: 4)
    // With gradients nothing is kept and every fold is made anew.
    model.setRequiresGradient(true)
    let tracked = model(x)
    model.setRequiresGradient(false)
    let first = model(x)
    #expect(Mismatch(first, tracked.detached(), relative: 1e-6) == nil)
    #expect(model(x).values == first.values)
    // A changed parameter is noticed.
    let changed = try #require(model.parameters.first { $0.name.hasSuffix("cv1.bn.weight") })
    changed.parameter.update { for index in $0.indices { $0[index] *= 2 } }
    #expect(model(x).values != first.values)
  }

  @Test("ten steps on one pair lower the published loss")
  func training() throws {
    let model = try Self.network()
    model.setTraining(true)
    model.setRequiresGradient(true)
    let x = Tensor.random([2, 16, 16, 1], .uniform(0..<1), seed: 5)
    let target = Tensor.random([2, 16, 16, 1], .uniform(0..<1), seed: 6)
    let loss = TranslationLoss()
    var losses: [Float] = []
    for _ in 0..<10 {
      let value = loss(model(x), target)
      losses.append(value.scalar)
      let gradients = value.gradients()
      for (_, parameter) in model.parameters {
        guard let gradient = parameter.gradient(in: gradients) else { continue }
        let norm = gradient.squared().sum().squareRoot().scalar
        guard norm > 0 else { continue }
        parameter.update { values in
          gradient.withValues { gradient in
            for index in values.indices { values[index] -= 0.01 * gradient[index] / (norm + 1e-3) }
          }
        }
      }
    }
    let areFinite = losses.allSatisfy { $0.isFinite }
    #expect(areFinite)
    #expect(losses[9] < losses[0])
  }

  @Test(
    "configurations that no network can have are refused with the key",
    arguments: [
      ("dim", #"{"dim": 12}"#), ("num_blocks", #"{"num_blocks": [1, 2]}"#),
      ("bn_momentum", #"{"bn_momentum": 0}"#), ("hidden_rate", #"{"hidden_rate": 99}"#),
    ])
  func invalid(key: String, json: String) throws {
    let configuration = try JSONDecoder().decode(FSRWKVConfiguration.self, from: Data(json.utf8))
    let error = #expect(throws: ModelError.self) { try configuration.validate() }
    guard case .invalidValue(key, _, "fs-rwkv", _)? = error else {
      Issue.record("unexpected error \(String(describing: error))")
      return
    }
  }

  @Test("configurations survive JSON, and unknown keys are refused")
  func codable() throws {
    var configuration = FSRWKVConfiguration.light
    configuration.batchNormMomentum = 0.2
    let data = try JSONEncoder().encode(configuration)
    #expect(try JSONDecoder().decode(FSRWKVConfiguration.self, from: data) == configuration)
    #expect(throws: ModelError.self) {
      try JSONDecoder().decode(FSRWKVConfiguration.self, from: Data(#"{"dims": 8}"#.utf8))
    }
  }
}
