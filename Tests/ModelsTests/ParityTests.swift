import Foundation
import Layers
import Parity
import TensorCore
import TestSupport
import Testing

@Suite("Parity")
struct ParityTests {
  private static let block = "block.restore_rwkv__rectangle"

  @Test(
    "the golden files of this family pass",
    arguments: [
      ("op.bi_wkv__small", 5), ("op.bi_wkv__large", 5), ("op.bi_wkv__long", 5),
      ("layer.omni_shift__eval", 2), ("layer.omni_shift__train", 6),
      ("block.restore_rwkv__rectangle", 27), ("model.restore_rwkv__tiny", 202),
      ("op.weight_fill__gdkvm", 7), ("metric.psnr_ssim_rmse__slice", 3),
    ])
  func goldens(name: String, comparisons: Int) throws {
    let result = ParityRunner.run(try Golden.path(name))
    #expect(result.outcome == .passed, "\(result.lines.joined(separator: "\n"))")
    #expect(result.comparisons.count == comparisons)
    #expect(name.hasPrefix(result.subject ?? "?"))
  }

  @Test("nothing depends on the name of the file")
  func name() throws {
    let copy = FileManager.default.temporaryDirectory
      .appendingPathComponent("parity-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: copy) }
    try FileManager.default.copyItem(
      at: URL(fileURLWithPath: try Golden.path("layer.omni_shift__train")), to: copy)
    #expect(ParityRunner.run(copy.path).outcome == .passed)
  }

  @Test("training and evaluation give the same numbers where nothing depends on the mode")
  func modes() throws {
    for name in [Self.block, "model.restore_rwkv__tiny", "layer.omni_shift__train"] {
      var golden = try Golden(name)
      golden.metadata["mode"] = "eval"
      #expect(ParityRunner.run(try golden.file()).outcome == .passed)
    }
  }

  @Test("stale or absent folded kernels make no difference")
  func derived() throws {
    var golden = try Golden("layer.omni_shift__eval")
    golden["param.conv5x5_reparam.weight"] = Tensor([6, 1, 5, 5], repeating: 99)
    #expect(ParityRunner.run(try golden.file()).outcome == .passed)
    golden["param.conv5x5_reparam.weight"] = nil
    #expect(ParityRunner.run(try golden.file()).outcome == .passed)
  }

  // MARK: - Planted errors

  @Test(
    "a result that is changed by more than the tolerance fails alone",
    arguments: [
      ("op.bi_wkv__small", "output.y"), ("op.bi_wkv__small", "grad.input.w"),
      ("layer.omni_shift__eval", "expect.reparam_weight"),
      (Self.block, "output.y"), (Self.block, "grad.param.att.spatial_decay"),
      (Self.block, "grad.input.x"), (Self.block, "expect.channel_mix_of_ln2"),
      ("model.restore_rwkv__tiny", "output.loss"), ("model.restore_rwkv__tiny", "expect.eval_y"),
      ("op.weight_fill__gdkvm", "output.A_log"), ("metric.psnr_ssim_rmse__slice", "output.ssim"),
    ])
  func changed(name: String, tensor: String) throws {
    var golden = try Golden(name)
    let largest = try #require(golden[tensor]).values.map(\.magnitude).max() ?? 0
    try golden.change(tensor) { $0 + 0.01 * largest }
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    #expect(result.comparisons.filter { !$0.passed }.map(\.tensor) == [tensor])
    #expect(result.message == nil)
    let error = result.comparisons.first { $0.tensor == tensor }?.relativeError ?? 0
    #expect((0.009...0.011).contains(error))
  }

  @Test("a stored NaN and an infinity fail, as a result and as an input")
  func nonFinite() throws {
    for value in [Float.nan, .infinity] {
      var golden = try Golden("op.bi_wkv__small")
      try golden.change("output.y", at: 3) { _ in value }
      let result = ParityRunner.run(try golden.file())
      #expect(result.outcome == .failed)
      #expect(
        result.comparisons.first { $0.tensor == "output.y" }?.reason
          == "stored value at index 3 is \(Double(value))")
    }
    var golden = try Golden("op.bi_wkv__small")
    try golden.change("input.v") { _ in .nan }
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    let reason = result.comparisons.first { $0.tensor == "output.y" }?.reason ?? ""
    #expect(reason.hasPrefix("computed value at index "))
  }

  @Test("a result that this build does not compute fails, it is not skipped")
  func unknownResults() throws {
    var golden = try Golden(Self.block)
    golden["output.z"] = Tensor(0)
    golden["expect.other"] = Tensor(0)
    golden["after.running_mean"] = Tensor(0)
    golden["grad.param.nothing"] = Tensor(0)
    golden["grad.param.att.omni_shift.conv5x5_reparam.weight"] = .zeros([8, 1, 5, 5])
    golden["info.other"] = Tensor(0)
    let result = ParityRunner.run(try golden.file())
    #expect(
      result.comparisons.filter { !$0.passed }.map(\.tensor)
        == [
          "output.z", "expect.other", "after.running_mean", "grad.param.nothing",
          "grad.param.att.omni_shift.conv5x5_reparam.weight",
        ])
    #expect(
      result.comparisons.filter { !$0.passed }.compactMap(\.reason)
        == [String](repeating: "this build does not compute it", count: 5))
  }

  @Test("a result of another shape fails")
  func shapes() throws {
    var golden = try Golden(Self.block)
    let y = try #require(golden["output.y"])
    golden["output.y"] = y.reshaped(to: [2, 8, 12, 10])
    let result = ParityRunner.run(try golden.file())
    #expect(
      result.comparisons.first { $0.tensor == "output.y" }?.reason
        == "stored shape [2, 8, 12, 10], computed [2, 8, 10, 12]")
  }

  @Test("a file without results fails")
  func empty() throws {
    var golden = try Golden("layer.omni_shift__eval")
    golden["output.y"] = nil
    golden["expect.reparam_weight"] = nil
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    #expect(result.message == "nothing to compare")
  }

  // MARK: - Tolerances

  @Test("a tensor's own tolerance replaces the file's")
  func ownTolerance() throws {
    var golden = try Golden("op.bi_wkv__small")
    try golden.change("output.y") { $0 + 0.05 }
    try golden.change("grad.input.k") { $0 + 0.05 }
    #expect(ParityRunner.run(try golden.file()).outcome == .failed)
    golden.metadata["tolerance"] =
      "{\"forward\": 1e-4, \"gradient\": 1e-3, \"absolute\": 1e-8, \"tensors\": "
      + "{\"output.y\": {\"absolute\": 0.06}, \"grad.input.k\": {\"gradient\": 1.0}}}"
    #expect(ParityRunner.run(try golden.file()).outcome == .passed)
    golden.metadata["tolerance"] =
      "{\"forward\": 1e-4, \"gradient\": 1e-3, \"absolute\": 1e-8, \"tensors\": "
      + "{\"output.y\": {\"gradient\": 1.0}, \"grad.input.k\": {\"forward\": 1.0}}}"
    #expect(ParityRunner.run(try golden.file()).comparisons.filter { !$0.passed }.count == 2)
  }

  @Test("integers must be equal")
  func integers() throws {
    var golden = try Golden("op.bi_wkv__small")
    golden.metadata["tolerance"] = "{\"forward\": 9, \"gradient\": 9, \"absolute\": 9}"
    golden["output.y"] = nil
    golden.tensors.append(("output.y", .integers([Int64](repeating: 0, count: 420), [2, 35, 6])))
    let result = ParityRunner.run(try golden.file())
    #expect(result.comparisons.filter { !$0.passed }.map(\.tensor) == ["output.y"])
    #expect(result.comparisons.first { !$0.passed }?.tolerance == 0)
  }

  @Test("samples, sums and norms stand for a large gradient")
  func samples() throws {
    let name = "ffn.key.weight"
    var golden = try Golden(Self.block)
    let gradient = try #require(golden["grad.param." + name]).values
    golden["grad.param." + name] = nil
    let sample = stride(from: 0, to: gradient.count, by: 7).map { gradient[$0] }
    golden["gradsample.param." + name] = Tensor([sample.count], sample)
    golden.tensors.append(("gradstride." + name, .integers([7], [1])))
    golden["gradsum." + name] = Tensor([1], [gradient.reduce(0, +)])
    golden["gradl2." + name] = Tensor([1], [gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()])
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .passed, "\(result.lines.joined(separator: "\n"))")
    #expect(result.comparisons.count == 29)

    func failures(_ spoil: (inout Golden) throws -> Void) throws -> [String] {
      var spoiled = golden
      try spoil(&spoiled)
      return ParityRunner.run(try spoiled.file()).comparisons.filter { !$0.passed }.map(\.tensor)
    }
    let norm = try #require(golden["gradl2." + name]).scalar
    #expect(
      try failures { try $0.change("gradsum." + name) { $0 + 0.002 * norm } } == ["gradsum." + name]
    )
    #expect(try failures { try $0.change("gradl2." + name) { $0 * 1.002 } } == ["gradl2." + name])
    #expect(
      try failures { try $0.change("gradsample.param." + name, at: 9) { $0 + 0.01 * norm } }
        == ["gradsample.param." + name])
    #expect(
      try failures { $0["gradl2." + name] = nil } == ["gradsum." + name])
    #expect(
      try failures { $0.tensors.removeAll { $0.name.hasPrefix("gradstride") } }
        == ["gradsample.param." + name])
    #expect(
      try failures { golden in
        golden.tensors.removeAll { $0.name.hasPrefix("gradstride") }
        golden.tensors.append(("gradstride." + name, .integers([8], [1])))
      } == ["gradsample.param." + name])
  }
}
