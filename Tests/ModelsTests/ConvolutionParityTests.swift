import Layers
import Models
import Parity
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Parity of convolutions and denoisers")
struct ConvolutionParityTests {
  @Test(
    "the golden files of this family pass",
    arguments: [
      ("block.double_conv__unet_eval", 1),
      ("block.double_conv__unet_train", 14),
      ("block.nafnet__c6", 20),
      ("block.tvconv_inverted_residual__s1_eval", 18),
      ("block.tvconv_inverted_residual__s1_train", 24),
      ("block.tvconv_inverted_residual__s2_eval", 18),
      ("block.tvconv_inverted_residual__s2_train", 24),
      ("layer.tvconv__bias_k5", 12),
      ("layer.tvconv__s1", 11),
      ("layer.tvconv__s2", 14),
      ("layer.weighted_conv__1d_k3", 4),
      ("layer.weighted_conv__1d_k5_s2", 4),
      ("layer.weighted_conv__1d_trainable_k7", 5),
      ("layer.weighted_conv__2d_k3", 4),
      ("layer.weighted_conv__2d_k5_s2_d2", 3),
      ("layer.weighted_conv__2d_k7", 4),
      ("layer.weighted_conv__2d_trainable_k3", 5),
      ("layer.weighted_conv__2d_trainable_k7", 4),
      ("layer.weighted_conv__3d_k3", 4),
      ("layer.weighted_conv__3d_k5", 4),
      ("layer.weighted_conv__3d_trainable_k5", 5),
      ("model.dncnn__depth3_k3_eval", 8),
      ("model.dncnn__depth3_k3_train", 10),
      ("model.nafnet__tiny", 102),
    ])
  func goldens(name: String, comparisons: Int) throws {
    let result = ParityRunner.run(try Golden.path(name))
    #expect(result.outcome == .passed, "\(result.lines.joined(separator: "\n"))")
    #expect(result.comparisons.count == comparisons)
    #expect(name.hasPrefix(result.subject ?? "?"))
  }

  @Test(
    "a result that is changed fails",
    arguments: [
      ("layer.weighted_conv__2d_trainable_k3", "grad.param.den"),
      ("layer.weighted_conv__3d_k5", "output.y"),
      ("layer.tvconv__s2", "expect.generated_weight"),
      ("layer.tvconv__bias_k5", "grad.param.posi_map"),
      ("block.tvconv_inverted_residual__s2_train", "after.conv.1.1.running_var"),
      ("block.nafnet__c6", "grad.param.beta"),
      ("model.dncnn__depth3_k3_train", "grad.input.x"),
    ])
  func planted(name: String, tensor: String) throws {
    var golden = try Golden(name)
    try golden.change(tensor) { $0 + max(1, abs($0)) * 0.1 }
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    #expect(result.comparisons.filter { !$0.passed }.map(\.tensor) == [tensor])
  }

  @Test(
    "a configuration that contradicts itself is refused",
    arguments: [
      ("layer.weighted_conv__2d_k7", "\"kernel_size\": 7", "\"kernel_size\": 5"),
      ("layer.weighted_conv__2d_k3", "\"density\": \"fixed\"", "\"density\": \"radial\""),
      ("layer.tvconv__s1", "\"kernel_size\": 3", "\"kernel_size\": 4"),
      ("model.dncnn__depth3_k3_eval", "\"padding\": 1", "\"padding\": 0"),
      ("block.nafnet__c6", "\"dropout\": 0.0", "\"dropout\": 0.5"),
    ])
  func contradictions(name: String, old: String, new: String) throws {
    var golden = try Golden(name)
    try golden.replace(old, with: new, in: "config")
    #expect(ParityRunner.run(try golden.file()).outcome == .failed)
  }

  @Test("a frozen layer with the norm folded in reproduces the recorded block", arguments: [1, 2])
  func foldedBlock(stride: Int) throws {
    let golden = try Golden("block.tvconv_inverted_residual__s\(stride)_eval")
    let file = try golden.file()
    let (size, hidden) = stride == 1 ? (8, 12) : (5, 8)
    var sizes = TVConvolutionSizes(channels: hidden, height: size, width: size)
    sizes.stride = stride
    sizes.affinityChannels = stride == 1 ? 4 : 2
    sizes.interChannels = stride == 1 ? 8 : 6
    sizes.interLayers = 1
    var generator = SeededGenerator(seed: 0)
    let output = try #require(golden["output.y"])
    let block = InvertedResidual(
      inChannels: 4, outChannels: output.shape[1], hidden: hidden, expands: true,
      kind: .translationVariant(sizes, eps: 1e-5), using: &generator)
    try block.load(file, prefix: "param.")
    block.setRequiresGradient(false)
    let x = try #require(golden["input.x"]).permuted([0, 2, 3, 1])
    let (layer, norm) = try #require(block.translationVariant)
    let y = block(x, replacingDepthwise: layer.frozen(folding: norm))
    #expect(Mismatch(y.permuted([0, 3, 1, 2]), output, relative: 1e-4) == nil)
  }
}
