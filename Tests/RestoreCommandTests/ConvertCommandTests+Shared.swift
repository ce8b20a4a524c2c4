import Foundation
import Testing

extension ConvertCommandTests {
  /// A text of a pickle.
  private func text(_ text: String) -> [UInt8] {
    Array("X".utf8) + bytes(UInt32(text.utf8.count)) + Array(text.utf8)
  }

  /// A checkpoint of vectors, each of them all bytes of one storage.
  private func checkpoint(_ names: [String], size: Int) -> Data {
    let integer = Array("J".utf8) + bytes(UInt32(size))
    var pickle: [UInt8] = [0x80, 2]
    pickle += Array("}".utf8)
    for name in names {
      pickle += text(name)
      pickle += Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + text("storage")
      pickle += Array("ctorch\nByteStorage\n".utf8) + text("0") + text("cpu")
      pickle += integer + Array("tQK\u{0}".utf8) + integer
      pickle += [0x85]
      pickle += Array("K\u{1}".utf8)
      pickle += [0x85, 0x89]
      pickle += Array("NtRs".utf8)
    }
    pickle += Array(".".utf8)
    return ZippedBundleTests.archive([
      ZippedBundleTests.Member(name: "m/data.pkl", data: Data(pickle)),
      ZippedBundleTests.Member(name: "m/data/0", data: Data(count: size)),
    ])
  }

  @Test("tensors that would fill the memory are never made, but compared by name and shape")
  func sharedStorage() throws {
    let space = try Workspace()
    // In single precision the tensors of this file of 4 MB would take 10 GB.
    let names = (0..<600).map { "layer.\($0)" }
    try space.write(checkpoint(names, size: 1 << 22), to: "m.pth")
    try space.write(
      "{\"dim\": 4, \"num_blocks\": [1, 1, 1, 1], \"num_refinement_blocks\": 1}", to: "tiny.json")
    let arguments = [
      "convert", "m.pth", "b", "--arch", "restore-rwkv", "--hyperparameters", "tiny.json",
    ]
    let strict = try space.start(arguments, through: "ulimit -v 6000000").finish()
    #expect(strict.status == 65, "\(strict.errors)")
    #expect(strict.errors.contains(" 600 unexpected, 0 of another shape"), "\(strict.errors)")
    let lenient = try space.start(
      arguments + ["--allow-missing"], through: "ulimit -v 6000000"
    ).finish()
    #expect(lenient.status == 65, "\(lenient.errors)")
    let document = try space.start(arguments + ["--json"]).finish().json()
    #expect(document["ok"] as? Bool == false)
    #expect(document["unexpected"] as? [String] == names.sorted())
    #expect(document["matched"] as? [String] == [])
    #expect(document["mismatched"] as? [String] == [])
    #expect((document["missing"] as? [String])?.contains("patch_embed.weight") == true)
    #expect(lenient.errors.contains("none of the model's tensors is in it"), "\(lenient.errors)")
    #expect(!space.exists("b"))
  }
}
