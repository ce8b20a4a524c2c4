import Foundation
import Layers
import Parity
import Randomness
import TensorCore
import TestSupport
import Testing

/// A change that makes a golden file impossible to run.
struct Spoiling: Sendable, CustomTestStringConvertible {
  let golden: String
  let message: String
  let apply: @Sendable (inout Golden) throws -> Void

  var testDescription: String { message }

  init(
    _ golden: String, _ message: String, _ apply: @escaping @Sendable (inout Golden) throws -> Void
  ) {
    self.golden = golden
    self.message = message
    self.apply = apply
  }
}

@Suite("Parity files")
struct ParityInputTests {
  private static let op = "op.bi_wkv__small"
  private static let shift = "layer.omni_shift__train"
  private static let model = "model.restore_rwkv__tiny"
  private static let metric = "metric.psnr_ssim_rmse__slice"

  static let spoilings: [Spoiling] = [
    .init(op, "unknown format \"parity-2\", expected \"parity-1\"") {
      $0.metadata["format"] = "parity-2"
    },
    .init(op, "metadata lack \"tolerance\"") { $0.metadata["tolerance"] = nil },
    .init(op, "metadata \"mode\": \"test\" is neither train nor eval") {
      $0.metadata["mode"] = "test"
    },
    .init(op, "metadata \"loss\": \"l2\" is not understood") { $0.metadata["loss"] = "l2" },
    .init(op, "metadata \"loss\": \"self\" needs an output y of one element") {
      $0.metadata["loss"] = "self"
    },
    .init(op, "metadata \"tolerance\": lacks \"absolute\"") {
      $0.metadata["tolerance"] = "{\"forward\": 1, \"gradient\": 1}"
    },
    .init(op, "metadata \"tolerance\": \"relative\" is not understood") {
      try $0.replace("{", with: "{\"relative\": 1, ", in: "tolerance")
    },
    .init(op, "metadata \"tolerance\": \"forward\" is not a number ≥ 0") {
      try $0.replace("0.0001", with: "-1", in: "tolerance")
    },
    .init(op, "metadata \"config\": an object expected at byte 0") {
      $0.metadata["config"] = "[]"
    },
    .init(op, "metadata \"config\": key \"length\" occurs twice") {
      try $0.replace("{", with: "{\"length\": 35, ", in: "config")
    },
    .init(op, "config lacks \"length\"") {
      try $0.replace("\"length\": 35, ", with: "", in: "config")
    },
    .init(op, "config has keys that are not understood: \"heads\", \"scale\"") {
      try $0.replace("{", with: "{\"scale\": 1, \"heads\": 2, ", in: "config")
    },
    .init(op, "config has keys that are not understood: \"weights\"") {
      try $0.replace("{", with: "{\"weights\": {}, ", in: "config")
    },
    .init(op, "config \"distance\" is \"abs(t-i)\", only \"abs(t-i)-1\" is supported") {
      try $0.replace("abs(t-i)-1", with: "abs(t-i)", in: "config")
    },
    .init(op, "config \"length\" is 0, expected an integer in 1...16777216") {
      try $0.replace("35", with: "0", in: "config")
    },
    .init(op, "input.k has shape [2, 35, 6], expected [B, 36, 6]") {
      try $0.replace("35", with: "36", in: "config")
    },
    .init(op, "input.v has shape [1, 35, 6], expected [2, 35, 6]") {
      $0["input.v"] = $0["input.v"]?.sliced(axis: 0, 0..<1)
    },
    .init(op, "missing tensor input.k") { $0["input.k"] = nil },
    .init(op, "tensor input.q is not understood") { $0["input.q"] = Tensor(0) },
    .init(op, "tensor outptu.y is not understood") {
      try $0.rename("output.y", to: "outptu.y")
    },
    .init(op, "tensor target is not understood") { $0["target"] = Tensor(0) },
    .init(op, "tensor param.w is not understood") { $0["param.w"] = Tensor(0) },
    .init(op, "missing tensor upstream.y") { $0["upstream.y"] = nil },
    .init(op, "tensor upstream.z is not understood") { $0["upstream.z"] = Tensor(0) },
    .init(op, "upstream.y has shape [70, 6], expected [2, 35, 6]") {
      $0["upstream.y"] = $0["upstream.y"]?.reshaped(to: [70, 6])
    },
    .init(shift, "weights do not fit the model:\n  missing: conv3x3.weight") {
      $0["param.conv3x3.weight"] = nil
    },
    .init(
      shift, "weights do not fit the model:\n  missing: alpha\n  surplus: alhpa"
    ) { try $0.rename("param.alpha", to: "param.alhpa") },
    .init(
      shift,
      "weights do not fit the model:\n  shape: conv1x1.weight is [6], the model has [6, 1, 1, 1]"
    ) { $0["param.conv1x1.weight"] = $0["param.conv1x1.weight"]?.reshaped(to: [6]) },
    .init(shift, "config \"kernels\" is [1, 3], only [1, 3, 5] is supported") {
      try $0.replace("[1, 3, 5]", with: "[1, 3]", in: "config")
    },
    .init(
      shift, "config \"weights\" is \"random\", only \"fnv1a-splitmix64\" is supported"
    ) {
      try $0.replace(
        "{", with: "{\"weights\": {\"fill\": \"random\", \"salt\": \"a\"}, ", in: "config")
    },
    .init(shift, "tensor param.alpha is not understood") {
      try $0.replace(
        "{", with: "{\"weights\": {\"fill\": \"fnv1a-splitmix64\", \"salt\": \"a\"}, ",
        in: "config")
    },
    .init(model, "missing tensor target") { $0["target"] = nil },
    .init(model, "target has shape [768], expected [1, 1, 32, 24]") {
      $0["target"] = $0["target"]?.reshaped(to: [768])
    },
    .init(model, "restore-rwkv: num_blocks is [1, 1, 1], but it must have 4 numbers") {
      try $0.replace("[1, 1, 1, 1]", with: "[1, 1, 1]", in: "config")
    },
    .init(metric, "missing tensor target") { $0["target"] = nil },
    .init(metric, "target has shape [1, 1, 16, 64], expected [1, 1, 32, 32]") {
      $0["target"] = $0["target"]?.reshaped(to: [1, 1, 16, 64])
    },
    .init(metric, "config \"window\" is 10, expected an odd number") {
      try $0.replace("11", with: "10", in: "config")
    },
    .init(metric, "config \"sigma\" is 0.0, expected a number above 0") {
      try $0.replace("1.5", with: "0", in: "config")
    },
    .init("op.weight_fill__gdkvm", "config lacks \"names\"") {
      try $0.replace("\"names\"", with: "\"tensors\"", in: "config")
    },
  ]

  @Test("a file that cannot be run fails and says why", arguments: spoilings)
  func refusal(spoiling: Spoiling) throws {
    var golden = try Golden(spoiling.golden)
    try spoiling.apply(&golden)
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    #expect(result.message == spoiling.message)
    #expect(result.comparisons.isEmpty)
  }

  @Test("files that are missing or damaged fail")
  func unreadable() throws {
    let missing = ParityRunner.run("/no/such/file")
    #expect(missing.outcome == .failed)
    #expect(missing.message == "cannot read weights (/no/such/file): no such file")
    #expect(missing.subject == nil)
  }

  @Test("a subject that this build does not have is unsupported, and counts as failed")
  func unsupported() throws {
    var golden = try Golden(Self.op)
    golden.metadata["subject"] = "op.tea"
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .unsupported)
    #expect(result.lines == ["UNSUPPORTED op.tea (golden)"])
    let passed = ParityRunner.run(try Golden.path(Self.op))
    let report = ParityReport([passed, result])
    #expect(report.lines.last == "1 passed, 1 failed")
    #expect(!report.hasFailures)
    #expect(report.hasUnsupported)
  }

  @Test("the report has a line for each comparison, with error and tolerance")
  func report() throws {
    var golden = try Golden(Self.op)
    try golden.change("grad.input.u") { _ in .nan }
    let result = ParityRunner.run(try golden.file())
    let report = ParityReport([result])
    #expect(report.hasFailures)
    #expect(report.failed == 1)
    #expect(report.lines.count == 7)
    #expect(report.lines[0] == "FAILED op.bi_wkv (golden)")
    #expect(report.lines[1].hasPrefix("  ok      output.y      relative error "))
    #expect(report.lines[1].hasSuffix(", tolerance 1.0e-04"))
    #expect(report.lines.contains("  FAILED  grad.input.u  stored value at index 0 is nan"))
    #expect(report.lines[6] == "0 passed, 1 failed")
    let data = try JSONEncoder().encode(report)
    #expect(try JSONDecoder().decode(ParityReport.self, from: data) == report)
  }

  // MARK: - Generated weights

  @Test("parameters are generated by name where the file asks for it")
  func fill() throws {
    var golden = try Golden(Self.shift)
    let rule = WeightFill(salt: "test")
    for (name, values) in golden.tensors where name.hasPrefix("param.") {
      guard case .floats(let tensor) = values else { continue }
      golden[name] = rule.tensor(
        named: String(name.dropFirst("param.".count)), shape: tensor.shape)
    }
    golden.tensors.removeAll { $0.name.hasPrefix("grad") }
    golden.metadata["loss"] = "none"
    // Stored parameters give the output that the generated ones must give.
    var generator = SeededGenerator(seed: 0)
    let layer = OmniShift(channels: 6, using: &generator)
    try layer.load(try golden.file(), prefix: "param.")
    let x = try #require(golden["input.x"]).permuted([0, 2, 3, 1])
    golden["output.y"] = layer(x).permuted([0, 3, 1, 2]).detached()
    #expect(ParityRunner.run(try golden.file()).outcome == .passed)
    golden.tensors.removeAll { $0.name.hasPrefix("param.") }
    try golden.replace(
      "{", with: "{\"weights\": {\"fill\": \"fnv1a-splitmix64\", \"salt\": \"test\"}, ",
      in: "config")
    #expect(ParityRunner.run(try golden.file()).outcome == .passed)
    try golden.replace("\"test\"", with: "\"other\"", in: "config")
    #expect(ParityRunner.run(try golden.file()).outcome == .failed)
  }
}
