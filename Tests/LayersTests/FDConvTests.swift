import Foundation
import Layers
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Frequency-dynamic convolution")
struct FDConvTests {
  private static func layer(
    _ inChannels: Int, _ outChannels: Int, kernel: Int = 3, stride: Int = 1, hasBias: Bool = true,
    groups: Int = 1, _ change: (inout FDConvConfiguration) -> Void = { _ in }
  ) throws -> FDConv {
    var configuration = FDConvConfiguration()
    change(&configuration)
    var generator = SeededGenerator(seed: 3)
    return try FDConv(
      inChannels: inChannels, outChannels: outChannels, kernel: [kernel, kernel],
      stride: [stride, stride], padding: [kernel / 2, kernel / 2], groups: groups,
      hasBias: hasBias, configuration: configuration, using: &generator)
  }

  // MARK: - Size and fallback

  @Test("64 to 64 channels, 3×3, 64 groups cost 9 598 parameters more than a plain layer")
  func count() throws {
    let layer = try Self.layer(64, 64, hasBias: false) { $0.kernelCount = 64 }
    #expect(layer.parameterCount(.trained) == 64 * 64 * 9 + 9598)
  }

  @Test(
    "few channels or another kernel make a plain convolution",
    arguments: [(16, 64, 3), (64, 16, 3), (1, 1, 3), (64, 64, 5), (32, 32, 7)])
  func fallback(inChannels: Int, outChannels: Int, kernel: Int) throws {
    let layer = try Self.layer(inChannels, outChannels, kernel: kernel)
    #expect(layer.isPlain)
    #expect(layer.state.map(\.name) == ["weight", "bias"])
    let x = Tensor.random([1, 8, 6, inChannels], seed: 1)
    #expect(layer(x).shape == [1, 8, 6, outChannels])
  }

  @Test("17 channels are enough")
  func threshold() throws {
    let layer = try Self.layer(18, 17, kernel: 1) { $0.kernelCount = 17 }
    #expect(!layer.isPlain)
  }

  @Test("a plain layer may have groups, a dynamic one not")
  func groups() throws {
    #expect(try Self.layer(8, 8, groups: 8).isPlain)
    let error = #expect(throws: LayerError.self) { try Self.layer(32, 32, groups: 2) }
    #expect(
      error?.description
        == "frequency-dynamic convolution 32 → 32, 3×3: its groups must be 1, not 2")
  }

  @Test("sizes that the official code cannot have are refused with the rule")
  func rules() throws {
    func text(_ make: () throws -> FDConv) -> String {
      do {
        _ = try make()
        return "no error"
      } catch { return "\(error)" }
    }
    let odd = text { try Self.layer(17, 32) }
    #expect(odd.hasSuffix("input channels times kernel, 17 · 3, must be even"))
    let indivisible = text { try Self.layer(32, 32) { $0.kernelCount = 5 } }
    #expect(indivisible.hasSuffix("its 4704 coefficients must divide into kernel_num = 5 groups"))
    let parts = text { try Self.layer(32, 32) { $0.bands.channelParts = 5 } }
    #expect(parts.hasSuffix("32 channels must divide into spatial_group = 5 parts"))
    let momentum = text { try Self.layer(32, 32) { $0.batchNormMomentum = 2 } }
    #expect(momentum.hasSuffix("bn_momentum in 0...1"))
    var configuration = FDConvConfiguration()
    #expect(
      configuration.brokenRule(inChannels: 32, outChannels: 32, kernel: [3, 3, 3], groups: 1)
        == "frequency-dynamic layers are two-dimensional")
    #expect(
      configuration.brokenRule(inChannels: 32, outChannels: 32, kernel: [3, 1], groups: 1)
        == "its kernel must be square")
    configuration.copies = 0
    #expect(
      configuration.brokenRule(inChannels: 32, outChannels: 32, kernel: [3, 3], groups: 1)
        == "param_ratio must be in 1...64")
  }

  @Test("band modulation is there for the kernels and strides that ask for it")
  func bands() throws {
    #expect(try Self.layer(32, 32).bandModulation != nil)
    #expect(try Self.layer(32, 32, kernel: 1).bandModulation == nil)
    let strided = try Self.layer(32, 32, kernel: 1, stride: 2) { $0.modulatesBandsForStride = true }
    #expect(strided.bandModulation != nil)
  }

  @Test("without a number of groups it is half the output channels")
  func defaultGroups() throws {
    let layer = try Self.layer(32, 24) { $0.kernelCount = nil }
    let x = Tensor.random([2, 5, 5, 32], seed: 2)
    #expect(layer.attention(x)?.kernel.shape == [2, 12])
    #expect(layer(x).shape == [2, 5, 5, 24])
  }

  // MARK: - Conversion

  @Test(
    "a converted convolution gives the same output",
    arguments: [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2)])
  func conversion(kernel: Int, stride: Int, copies: Int) throws {
    var generator = SeededGenerator(seed: 8)
    let plain = Convolution(
      inChannels: 32, outChannels: 24, kernel: [kernel, kernel], stride: [stride, stride],
      padding: [kernel / 2, kernel / 2], using: &generator)
    let layer = try Self.layer(32, 24, kernel: kernel, stride: stride) { $0.copies = copies }
    let x = Tensor.random([2, 12, 10, 32], seed: 4)
    #expect(Mismatch(layer(x), plain(x), relative: 1e-2) != nil)
    try layer.load(converting: plain)
    #expect(Mismatch(layer(x), plain(x), relative: 5e-6) == nil)
    layer.setTraining(true)
    #expect(Mismatch(layer(x), plain(x), relative: 5e-6) == nil)
  }

  @Test("the official conversion leaves the attentions as they are")
  func officialConversion() throws {
    var generator = SeededGenerator(seed: 8)
    let plain = Convolution(
      inChannels: 32, outChannels: 24, kernel: [3, 3], padding: [1, 1], using: &generator)
    let layer = try Self.layer(32, 24)
    let x = Tensor.random([2, 12, 10, 32], seed: 4)
    let before = try #require(layer.attention(x)?.filter)
    try layer.load(converting: plain, isNeutral: false)
    #expect(layer.attention(x)?.filter?.values == before.values)
    // The attentions to groups are near 1, so the kernels in space are near the plain kernel.
    let kernels = try #require(layer.spatialKernels(x)).sliced(axis: 0, 0..<1)
    let expected = plain.weight.tensor.permuted([0, 2, 1, 3]).reshaped(to: [1, 72, 96])
    #expect(Mismatch(kernels, expected.detached(), relative: 1e-4) == nil)
  }

  @Test("a convolution of other sizes, or a part of the coefficients, cannot be converted")
  func impossibleConversion() throws {
    var generator = SeededGenerator(seed: 8)
    let other = Convolution(
      inChannels: 32, outChannels: 32, kernel: [3, 3], using: &generator)
    #expect(throws: LayerError.self) { try Self.layer(32, 24).load(converting: other) }
    let part = try Self.layer(32, 32) { $0.keptShare = 0.5 }
    let error = #expect(throws: LayerError.self) { try part.load(converting: other) }
    #expect(
      error?.description.hasSuffix("all coefficients must be kept (param_reduction 1)") == true)
  }

  // MARK: - Behaviour

  @Test("a batch of two is two batches of one in evaluation")
  func samples() throws {
    let layer = try Self.layer(20, 18) { $0.kernelCount = 6 }
    let x = Tensor.random([2, 9, 7, 20], seed: 5)
    let both = layer(x)
    for item in 0..<2 {
      let single = layer(x.sliced(axis: 0, item..<item + 1))
      #expect(Mismatch(single, both.sliced(axis: 0, item..<item + 1), relative: 1e-6) == nil)
    }
  }

  @Test("a part of the coefficients keeps the lowest frequencies")
  func part() throws {
    let layer = try Self.layer(20, 20) {
      $0.keptShare = 0.25
      $0.kernelCount = 3
    }
    let spectrum = try #require(layer.parameters.first { $0.name == "dft_weight" })
    // A quarter of 60 · 31.
    #expect(spectrum.parameter.shape == [1, 465, 2])
    let order = try #require(layer.coefficientOrder)
    #expect(order.rows.count == 465)
    #expect(order.rows[0] == 0 && order.columns[0] == 0)
    #expect(order.columns.allSatisfy { $0 < 22 })
    #expect(layer(.random([1, 6, 6, 20], seed: 1)).shape == [1, 6, 6, 20])
  }

  @Test("gradients of all parameters agree with differences")
  func gradients() throws {
    let layer = try Self.layer(18, 18) {
      $0.kernelCount = 6
      $0.bands.weighsLowest = true
    }
    layer.setTraining(true)
    var generator = SeededGenerator(seed: 6)
    // Larger attentions than the initial ones, so that every path contributes.
    for (_, parameter) in layer.parameters where parameter.count > 1 {
      parameter.update { values in
        for index in values.indices { values[index] += 0.05 * generator.nextNormal() }
      }
    }
    let x = Tensor.random([3, 6, 5, 18], seed: 7)
    let upstream = Tensor.random([3, 6, 5, 18], seed: 8)
    func loss() -> Double {
      zip(layer(x).values, upstream.values).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    let gradients = Tensor.gradients(of: [layer(x)], upstream: [upstream])
    for (name, parameter) in layer.parameters {
      let direction = Tensor.random(parameter.shape, seed: 9)
      let gradient = try #require(parameter.gradient(in: gradients), "\(name)")
      let analytic = zip(gradient.values, direction.values).reduce(0.0) {
        $0 + Double($1.0) * Double($1.1)
      }
      let step: Float = 4e-3
      func moved(_ sign: Float) -> Double {
        let old = parameter.tensor.values
        parameter.update { values in
          for index in values.indices {
            values[index] = old[index] + sign * step * direction.values[index]
          }
        }
        defer { parameter.update { _ = $0.update(from: old) } }
        return loss()
      }
      let numeric = (moved(1) - moved(-1)) / Double(2 * step)
      let size = zip(gradient.values, direction.values).reduce(0.0) {
        $0 + pow(Double($1.0) * Double($1.1), 2)
      }.squareRoot()
      #expect(
        abs(numeric - analytic) <= 0.02 * max(size, abs(analytic)) + 2e-2,
        "\(name): \(numeric) by differences, \(analytic) by the gradient")
    }
  }

  @Test("an order of the coefficients can be passed in")
  func order() throws {
    var generator = SeededGenerator(seed: 3)
    let order = SpectrumOrder.ofSignal(rows: 20, width: 18).order
    let reversed = try FDConv(
      inChannels: 18, outChannels: 20, kernel: [1, 1], order: order.reversed(), using: &generator)
    #expect(reversed.coefficientOrder?.rows.last == 0)
    #expect(throws: LayerError.self) {
      try FDConv(
        inChannels: 18, outChannels: 20, kernel: [1, 1], order: Array(order.dropLast()),
        using: &generator)
    }
  }
}
