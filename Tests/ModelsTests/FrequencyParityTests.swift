import Layers
import Parity
import TensorCore
import Testing

@Suite("Parity of FS-RWKV and FDConv")
struct FrequencyParityTests {
  @Test(
    "the golden files of these families pass",
    arguments: [
      ("op.haar_dwt__symmetric_6x8", 3),
      ("op.haar_dwt__symmetric_7x5", 3),
      ("op.haar_dwt__zero_6x8", 3),
      ("op.haar_dwt__zero_7x5", 3),
      ("layer.cts_shift__c20", 3),
      ("layer.cts_shift__c36", 3),
      ("layer.dwt_shift__7x9", 5),
      ("layer.dwt_shift__8x10", 5),
      ("block.lsconv__eval", 1),
      ("block.lsconv__train", 25),
      ("block.sfeb__eval", 1),
      ("block.sfeb__train", 142),
      ("block.fs_rwkv__nonsquare", 22),
      ("block.fs_rwkv__square", 22),
      ("model.fs_rwkv__tiny", 944),
      ("loss.fs_rwkv__total", 5),
      ("layer.fdconv__fallback", 4),
      ("layer.fdconv__k1_train", 26),
      ("layer.fdconv__k3_fbm_train", 37),
      ("layer.fdconv__k3_factored_eval", 35),
      ("layer.fdconv__k3_factored_train", 37),
      ("layer.fdconv__k3_nofbm_stride2_train", 28),
      ("layer.fdconv__k3_ratio2_nolocal_train", 29),
      ("layer.fdconv__k3_tanh_dil2_eval", 37),
      ("layer.fdconv__k3_tanh_dil2_train", 39),
      ("layer.fdconv_fbm__odd_map", 10),
    ])
  func goldens(name: String, comparisons: Int) throws {
    let result = ParityRunner.run(try Golden.path(name))
    #expect(result.outcome == .passed, "\(result.lines.joined(separator: "\n"))")
    #expect(result.comparisons.count == comparisons)
    #expect(name.hasPrefix(result.subject ?? "?"))
  }

  @Test(
    "a result that is changed by more than the tolerance fails alone",
    arguments: [
      ("op.haar_dwt__zero_7x5", "output.high"), ("op.haar_dwt__symmetric_6x8", "expect.inverse"),
      ("layer.dwt_shift__7x9", "grad.param.ll_shift.weight"),
      ("block.sfeb__train", "after.spatial_lsconv.bn.running_var"),
      ("block.fs_rwkv__nonsquare", "grad.param.ffn.spatial_mix_r"),
      ("model.fs_rwkv__tiny", "expect.eval_y"), ("loss.fs_rwkv__total", "expect.ssim"),
      ("layer.fdconv__k3_fbm_train", "grad.param.dft_weight"),
      ("layer.fdconv__k3_tanh_dil2_eval", "expect.KSM_Local"),
      ("layer.fdconv__k1_train", "after.KSM_Global.bn.running_mean"),
      ("layer.fdconv_fbm__odd_map", "output.y"),
    ])
  func changed(name: String, tensor: String) throws {
    var golden = try Golden(name)
    let largest = try #require(golden[tensor]).values.map(\.magnitude).max() ?? 0
    try golden.change(tensor) { $0 + 0.01 * largest }
    let result = ParityRunner.run(try golden.file())
    #expect(result.comparisons.filter { !$0.passed }.map(\.tensor) == [tensor])
  }

  @Test("the table of coefficients is compared exactly")
  func indices() throws {
    var golden = try Golden("layer.fdconv__k1_train")
    let index = try #require(golden.tensors.firstIndex { $0.name == "expect.indices" })
    guard case .integers(var values, let shape) = golden.tensors[index].values else {
      Issue.record("the table has no integers")
      return
    }
    values.swapAt(0, 1)
    golden.tensors[index].values = .integers(values, shape)
    let result = ParityRunner.run(try golden.file())
    #expect(result.comparisons.filter { !$0.passed }.map(\.tensor) == ["expect.indices"])
  }

  @Test(
    "the norms' constants are those of the file",
    arguments: [
      ("\"bn_momentum\": 0.1", "\"bn_momentum\": 0.2", "after.KSM_Global.bn.running_mean"),
      ("\"bn_eps\": 1e-05", "\"bn_eps\": 0.1", "output.y"),
      ("\"ln_eps\": 1e-05", "\"ln_eps\": 0.5", "expect.KSM_Local"),
    ])
  func normConstants(old: String, new: String, tensor: String) throws {
    var golden = try Golden("layer.fdconv__k3_tanh_dil2_train")
    try golden.replace(old, with: new, in: "config")
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    #expect(result.comparisons.contains { $0.tensor == tensor && !$0.passed })
  }

  @Test(
    "options that are not understood are named",
    arguments: [
      (
        "layer.fdconv__k1_train", "\"convert_param\": true", "\"convert_param\": false",
        "convert_param"
      ),
      ("layer.fdconv__k1_train", "\"k_list\"", "\"k_lists\"", "k_list"),
      ("layer.fdconv__k1_train", "\"grid\": 64", "\"grid\": 64, \"init\": \"one\"", "init"),
      (
        "layer.fdconv__k1_train", "\"ksm_global_act\": \"sigmoid\"",
        "\"ksm_global_act\": \"softmax\"", "ksm_global_act"
      ),
      ("op.haar_dwt__zero_6x8", "\"zero\"", "\"periodic\"", "mode"),
      ("block.fs_rwkv__square", "\"key_norm\": false", "\"key_norm\": true", "key_norm"),
    ])
  func options(name: String, old: String, new: String, key: String) throws {
    var golden = try Golden(name)
    try golden.replace(old, with: new, in: "config")
    let result = ParityRunner.run(try golden.file())
    #expect(result.outcome == .failed)
    #expect(result.message?.contains(key) == true)
  }
}
