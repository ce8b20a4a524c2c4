import Foundation
import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Networks with a choice of convolutions")
struct ConvolutionModelTests {
  private func model(
    _ architecture: String, _ hyperparameters: String
  ) throws -> any RestorationModel {
    let text = #"{"arch": "\#(architecture)", "hyperparameters": \#(hyperparameters)}"#
    var generator = SeededGenerator(seed: 0)
    return try JSONDecoder().decode(ModelDescription.self, from: Data(text.utf8))
      .makeModel(using: &generator)
  }

  @Test("parameters are as many as published")
  func parameterCounts() throws {
    #expect(try model("dncnn", #""full""#).parameterCount(.trained) == 556_096)
    #expect(try model("dncnn", #""weighted""#).parameterCount(.trained) == 556_096)
    // 29.16 M: the authors' network for colour images with real noise.
    let colour = try model("nafnet", #"{"img_channel": 3}"#).parameterCount(.trained)
    #expect(abs(Double(colour) / 1e6 - 29.16) < 0.01)
  }

  @Test(
    "one line chooses the kind, and the layers of each kind are counted",
    arguments: [
      ("dncnn", #"{"depth": 5, "features": 4, "convolution": "weighted"}"#, [0, 5, 0, 0]),
      ("dncnn", #"{"depth": 5, "features": 4}"#, [5, 0, 0, 0]),
      (
        "nafnet",
        #"{"width": 4, "middle_blk_num": 1, "enc_blk_nums": [1], "dec_blk_nums": [1], "convolution": "weighted"}"#,
        [3 * 5 + 2, 3 + 2, 0, 0]
      ),
      ("unet", #"{"channels": [4, 6, 8]}"#, [11, 0, 0, 0]),
      (
        "unet",
        #"{"channels": [8, 20, 24], "convolution": {"kind": "fdconv", "fallback": "plain"}}"#,
        [6, 0, 5, 0]
      ),
      (
        "dncnn",
        #"{"depth": 4, "features": 20, "convolution": {"kind": "fdconv", "fallback": "plain"}}"#,
        [2, 0, 2, 0]
      ),
      ("unet", #"{"channels": [4, 6, 8], "convolution": "weighted"}"#, [1, 10, 0, 0]),
      (
        "unet",
        #"{"channels": [4, 6, 8], "convolution": {"kind": "tvconv", "image_size": [64, 48], "inter_chans": 4, "fallback": "plain"}}"#,
        [8, 0, 0, 3]
      ),
      (
        "unet",
        #"{"channels": [4, 6, 8], "deep_supervision": true, "convolution": {"kind": "weighted", "trainable": true}}"#,
        [2, 10, 0, 0]
      ),
    ])
  func counts(architecture: String, hyperparameters: String, counts: [Int]) throws {
    let network = try model(architecture, hyperparameters)
    let found = ConvolutionKind.allCases.map { network.convolutionCounts[$0] ?? 0 }
    #expect(found == counts)
    // The description is written and read without a change.
    let written = try JSONEncoder().encode(ModelDescription(network))
    let again = try JSONDecoder().decode(ModelDescription.self, from: written)
    var generator = SeededGenerator(seed: 0)
    #expect(try again.makeModel(using: &generator).state.map(\.name) == network.state.map(\.name))
  }

  @Test(
    "a choice that a layer cannot follow is refused with the layer and the rule",
    arguments: [
      (
        "unet", #"{"convolution": {"kind": "tvconv", "image_size": [64, 64]}}"#,
        ["encoder.0.conv.0", "keeps its channels"]
      ),
      (
        "unet", #"{"kernel_size": 5, "convolution": {"kind": "weighted", "density": [0.7]}}"#,
        ["encoder.0.conv.0", "2 density values"]
      ),
      ("dncnn", #"{"convolution": "tvconv"}"#, ["plain, weighted or fdconv"]),
      ("unet", #"{"convolution": "fdconv"}"#, ["encoder.0.conv.0", "more than 16 channels"]),
      (
        "unet", #"{"dims": 3, "convolution": {"kind": "fdconv"}}"#,
        ["encoder.0.conv.0", "two-dimensional"]
      ),
      ("nafnet", #"{"convolution": "tvconv"}"#, ["plain or weighted"]),
      ("unet", #"{"in_channels": 2, "out_channels": 3}"#, ["cannot be added"]),
    ])
  func refusals(architecture: String, hyperparameters: String, words: [String]) {
    do {
      _ = try model(architecture, hyperparameters)
      Issue.record("not refused")
    } catch {
      for word in words { #expect("\(error)".contains(word), "\(error)") }
    }
  }

  @Test("a U-Net keeps the size of images and volumes, and its coarser outputs halve it")
  func shapes() throws {
    let flat = try #require(
      try model("unet", #"{"channels": [4, 6, 8], "deep_supervision": true}"#) as? UNet)
    let x = Tensor.random([2, 8, 12, 1], seed: 1)
    #expect(flat.outputs(x).map(\.shape) == [[2, 8, 12, 1], [2, 4, 6, 1]])
    #expect(flat.forward(x).values == flat.outputs(x)[0].values)
    #expect(flat(Tensor.random([1, 9, 11, 1], seed: 1)).shape == [1, 9, 11, 1])
    let solid = try model(
      "unet", #"{"dims": 3, "channels": [4, 6], "convolution": "weighted"}"#)
    let volume = Tensor.random([1, 4, 6, 8, 1], seed: 2)
    let y = solid.forward(volume)
    #expect(y.shape == volume.shape)
    solid.setRequiresGradient(false)
    #expect(Mismatch(solid.forward(volume), y.detached(), relative: 1e-4) == nil)
  }

  @Test(
    "networks compute the same with kernels and norms folded",
    arguments: [
      ("dncnn", #"{"depth": 4, "features": 6, "convolution": "weighted"}"#),
      ("dncnn", #"{"depth": 4, "features": 6, "dims": 3}"#),
      ("unet", #"{"channels": [4, 6], "convolution": "weighted"}"#),
    ])
  func folding(architecture: String, hyperparameters: String) throws {
    let network = try model(architecture, hyperparameters)
    let isSolid = hyperparameters.contains("dims")
    let x = Tensor.random(isSolid ? [2, 4, 6, 5, 1] : [2, 8, 6, 1], seed: 1)
    network.setTraining(true)
    _ = network.forward(x)
    network.setTraining(false)
    let apart = network.forward(x).detached()
    network.setRequiresGradient(false)
    #expect(Mismatch(network.forward(x), apart, relative: 1e-4) == nil)
  }

  @Test("only networks with a choice take one")
  func choice() throws {
    let fixed = try ModelDescription(architecture: "restore-rwkv", preset: "light")
    #expect(throws: ModelError.self) { try fixed.with(ConvolutionChoice(.weighted)) }
    let free = try ModelDescription(architecture: "unet", preset: "light")
    let changed = try free.with(ConvolutionChoice(.weighted))
    #expect((changed.configuration as? UNetConfiguration)?.convolution.kind == .weighted)
  }
}
