import Foundation
import Layers
import TensorCore
import Testing

@Suite("Pickled tensors")
struct PickledTensorTests {
  private func data(_ name: String) throws -> Data {
    let folder = try #require(Bundle.module.resourceURL)
    return try Data(contentsOf: folder.appendingPathComponent("Fixtures/pytorch/\(name)"))
  }

  @Test("a slice reads as Python pickled it, also a view in half precision by an older protocol")
  func slices() throws {
    let slice = try PickledTensor(data("slice.bin"), path: "slice.bin").tensor
    #expect(slice.shape == [1, 5, 7])
    let values = (0..<35).map { Float($0) / 4 }
    #expect(slice.values == values)
    // Transposed, without the first row.
    let view = try PickledTensor(data("slice_view.bin"), path: "slice_view.bin").tensor
    #expect(view.shape == [1, 6, 5])
    let expected = (0..<30).map { index -> Float in
      let (x, y) = (1 + index / 5, index % 5)
      return Float(7 * y + x) / 4
    }
    #expect(view.values == expected)
  }

  @Test("what would run code, or is no tensor, is refused")
  func hostile() throws {
    let evil = try data("slice_evil.bin")
    #expect(throws: CheckpointError.foreignGlobal(path: "x", name: "posix.system")) {
      try PickledTensor(evil, path: "x")
    }
    let list = try data("slice_list.bin")
    #expect(throws: CheckpointError.damaged(path: "x", reason: "it holds no tensor")) {
      try PickledTensor(list, path: "x")
    }
    #expect(throws: CheckpointError.self) { try PickledTensor(contentsOf: "/nothing.bin") }
    // A checkpoint's pickle may not bring elements along.
    #expect(throws: CheckpointError.self) {
      try TorchCheckpoint(self.data("slice.bin"), path: "slice.bin")
    }
  }

  @Test("a file cut anywhere is refused, and a changed byte never crashes")
  func damage() throws {
    let whole = try data("slice.bin")
    for count in 0..<whole.count {
      #expect(throws: CheckpointError.self, "\(count) bytes") {
        try PickledTensor(whole.prefix(count), path: "x")
      }
    }
    for place in whole.indices {
      for bit in 0..<8 {
        var changed = whole
        changed[place] ^= 1 << bit
        _ = try? PickledTensor(changed, path: "x")
      }
    }
  }
}
