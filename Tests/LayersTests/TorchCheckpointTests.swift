import Foundation
import Layers
import TensorCore
import Testing

private final class Pair: Module {
  let first = Parameter([3]) { $0.initialize(repeating: -1) }
  let second = Parameter([3]) { $0.initialize(repeating: -1) }
  let counter = Parameter([], requiresGradient: false) { $0.initialize(repeating: 0) }
  var members: [Member] {
    [
      .parameter("a", first), .parameter("b", second), .buffer("num_batches_tracked", counter),
    ]
  }
}

@Suite("PyTorch checkpoints")
struct TorchCheckpointTests {
  private struct Expected: Decodable {
    let shape: [Int]
    let values: [Float]
  }

  private func path(_ name: String) throws -> String {
    let folder = try #require(Bundle.module.resourceURL)
    return folder.appendingPathComponent("Fixtures/pytorch/\(name)").path
  }

  private func data(_ name: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(name)))
  }

  @Test("every type, view and shape reads as PyTorch wrote it")
  func types() throws {
    let checkpoint = try TorchCheckpoint(contentsOf: path("types.pth"))
    let expected = try JSONDecoder().decode(
      [String: Expected].self, from: data("expected.json"))
    #expect(Set(checkpoint.names) == Set(expected.keys))
    for (name, entry) in expected {
      #expect(checkpoint.shape(of: name)?.dimensions == entry.shape, "\(name)")
      #expect(checkpoint.tensor(named: name)?.values == entry.values, "\(name)")
    }
    #expect(checkpoint.tensor(named: "absent") == nil)
  }

  @Test(
    "dictionaries around the state and prefixes are taken off", arguments: ["wrapped", "prefixed"])
  func wrapping(name: String) throws {
    let checkpoint = try TorchCheckpoint(contentsOf: path(name + ".pth"))
    #expect(checkpoint.names == ["layer.weight", "layer.bias"])
    #expect(checkpoint.tensor(named: "layer.weight")?.values == [0.5, 0.5])
    #expect(checkpoint.tensor(named: "layer.bias")?.values == [-1])
  }

  @Test("a tensor alone has the name tensor")
  func single() throws {
    let checkpoint = try TorchCheckpoint(contentsOf: path("tensor.pth"))
    #expect(checkpoint.names == ["tensor"])
    #expect(checkpoint.tensor(named: "tensor")?.values == [0, 1, 2, 3, 4, 5])
    #expect(checkpoint.shape(of: "tensor")?.dimensions == [1, 2, 3])
  }

  @Test(
    "what would run code is named and refused",
    arguments: [
      ("evil_system.pth", ["posix.system", "os.system"]),
      ("evil_eval.pth", ["builtins.eval", "__builtin__.eval"]),
      ("whole_model.pth", ["__main__.Model"]),
    ])
  func hostile(name: String, globals: [String]) throws {
    let file = try path(name)
    do {
      _ = try TorchCheckpoint(contentsOf: file)
      Issue.record("\(name) was read")
    } catch {
      guard case .foreignGlobal(_, let found) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(globals.contains(found))
      #expect(error.code == 65)
      #expect(error.what == "refusing to run code from checkpoint: \(found)")
    }
    #expect(!FileManager.default.fileExists(atPath: "/nonexistent-folder/executed"))
  }

  @Test(
    "older forms and bare pickles are refused by name",
    arguments: [
      ("legacy.pth", "it is a bare pickle, the form before PyTorch 1.6, or one of another program"),
      (
        "evil_bare.pth",
        "it is a bare pickle, the form before PyTorch 1.6, or one of another program"
      ),
      ("expected.json", "it is no zip archive"),
    ])
  func forms(name: String, reason: String) throws {
    let file = try path(name)
    #expect(throws: CheckpointError.notCheckpoint(path: file, reason: reason)) {
      try TorchCheckpoint(contentsOf: file)
    }
  }

  @Test("a compressed archive is refused")
  func compressed() throws {
    let file = try path("compressed.pth")
    do {
      _ = try TorchCheckpoint(contentsOf: file)
      Issue.record("it was read")
    } catch {
      guard case .damaged(_, let reason) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(reason.hasSuffix("is compressed; PyTorch stores"))
    }
  }

  @Test("an archive with the records of zip64 reads the same; damaged ones are refused")
  func zip64() throws {
    let whole = try data("zip64.pth")
    let checkpoint = try TorchCheckpoint(whole, path: "zip64")
    #expect(checkpoint.tensor(named: "tensor")?.values == [0, 1, 2, 3, 4, 5])
    // The last 98 bytes are the directory's zip64 record, its locator and the end record.
    let end = whole.count - 98
    #expect(whole[end..<end + 4].elementsEqual([0x50, 0x4B, 6, 6]))
    for index in [0, 16, 20, 24, 32, 40, 48, 55, 56, 60, 64, 71, 72] {
      var damaged = whole
      damaged[end + index] ^= 0xFF
      #expect(throws: CheckpointError.self, "byte \(index)") {
        try TorchCheckpoint(damaged, path: "damaged")
      }
    }
    for count in stride(from: 0, to: whole.count, by: 5) {
      #expect(throws: CheckpointError.self) {
        try TorchCheckpoint(whole.prefix(count), path: "cut")
      }
    }
    let intact = contents(of: try TorchCheckpoint(whole, path: "whole"))
    var accepted = 0
    for index in stride(from: 0, to: whole.count, by: 3) {
      var damaged = whole
      damaged[index] ^= UInt8(1 << (index % 8))
      guard let checkpoint = try? TorchCheckpoint(damaged, path: "flipped") else { continue }
      accepted += 1
      #expect(contents(of: checkpoint) == intact, "byte \(index)")
    }
    // Dates of files, for instance, say nothing that counts.
    #expect(accepted > 0)
  }

  @Test("a missing file says so")
  func missing() {
    #expect(
      throws: CheckpointError.unreadable(path: "/absent.pth", reason: "nothing has this path")
    ) { try TorchCheckpoint(contentsOf: "/absent.pth") }
  }

  @Test("a file cut anywhere is refused, never read past its end")
  func truncation() throws {
    let whole = try data("wrapped.pth")
    for count in stride(from: 0, to: whole.count, by: 7) {
      #expect(throws: CheckpointError.self) {
        try TorchCheckpoint(whole.prefix(count), path: "cut")
      }
    }
  }

  @Test("a flipped bit is refused or changes nothing that is read; it never crashes")
  func flips() throws {
    let whole = try data("wrapped.pth")
    let intact = contents(of: try TorchCheckpoint(whole, path: "whole"))
    var accepted = 0
    for index in stride(from: 0, to: whole.count, by: 3) {
      var damaged = whole
      damaged[index] ^= UInt8(1 << (index % 8))
      guard let checkpoint = try? TorchCheckpoint(damaged, path: "flipped") else { continue }
      accepted += 1
      #expect(contents(of: checkpoint) == intact, "byte \(index)")
    }
    // Dates of files, for instance, say nothing that counts.
    #expect(accepted > 0)
  }

  /// What a checkpoint holds: a line for each name, with shape and values.
  private func contents(of checkpoint: TorchCheckpoint) -> [String] {
    checkpoint.names.sorted().map { name in
      let tensor = checkpoint.tensor(named: name)
      return "\(name) \(tensor.map { "\($0.shape) \($0.values)" } ?? "-")"
    }
  }

  // MARK: - Pickles made by hand

  /// A zip archive of stored files.
  private func archive(_ files: [(String, [UInt8])]) -> Data {
    func number(_ value: Int, _ bytes: Int) -> [UInt8] {
      (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    func checksum(_ bytes: [UInt8]) -> Int {
      var value = ~UInt32(0)
      for byte in bytes {
        value ^= UInt32(byte)
        for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
      }
      return Int(~value)
    }
    var (body, directory): ([UInt8], [UInt8]) = ([], [])
    for (name, bytes) in files {
      let common =
        number(20, 2) + number(0, 8) + number(checksum(bytes), 4) + number(bytes.count, 4)
        + number(bytes.count, 4) + number(name.utf8.count, 2) + number(0, 2)
      directory += number(0x0201_4B50, 4) + number(20, 2) + common + number(0, 10)
      directory += number(body.count, 4) + Array(name.utf8)
      body += number(0x0403_4B50, 4) + common + Array(name.utf8) + bytes
    }
    let end =
      number(0x0605_4B50, 4) + number(0, 4) + number(files.count, 2) + number(files.count, 2)
      + number(directory.count, 4) + number(body.count, 4) + number(0, 2)
    return Data(body + directory + end)
  }

  private func checkpoint(_ pickle: [UInt8], storage: [UInt8] = [0, 0, 0x80, 0x3F]) throws
    -> TorchCheckpoint
  {
    try TorchCheckpoint(
      archive([("a/data.pkl", pickle), ("a/data/0", storage)]), path: "made")
  }

  /// A pickle of one tensor with given offset, size and stride over a storage of one element.
  private func tensor(offset: UInt8, size: UInt8, stride: UInt8, count: UInt8 = 1) -> [UInt8] {
    var bytes: [UInt8] = [0x80, 2]
    bytes += Array("ctorch._utils\n_rebuild_tensor_v2\n((X".utf8) + [7, 0, 0, 0]
    bytes += Array("storagectorch\nFloatStorage\nX".utf8) + [1, 0, 0, 0] + Array("0X".utf8)
    bytes += [3, 0, 0, 0] + Array("cpuK".utf8) + [count] + Array("tQK".utf8) + [offset]
    bytes += Array("K".utf8) + [size, 0x85] + Array("K".utf8) + [stride, 0x85]
    return bytes + [0x89] + Array("NtR.".utf8)
  }

  @Test("a tensor made by hand is read; one that reaches beyond its storage is refused")
  func ranges() throws {
    let good = try checkpoint(tensor(offset: 0, size: 1, stride: 1))
    #expect(good.tensor(named: "tensor")?.values == [1])
    for bad in [
      tensor(offset: 1, size: 1, stride: 1), tensor(offset: 0, size: 2, stride: 1),
      tensor(offset: 0, size: 200, stride: 0),
    ] {
      #expect(throws: CheckpointError.self) { try checkpoint(bad) }
    }
    // A storage that promises more elements than it has bytes.
    #expect(throws: CheckpointError.self) {
      try checkpoint(tensor(offset: 0, size: 2, stride: 1, count: 2))
    }
  }

  /// A text of a pickle.
  private func text(_ text: String) -> [UInt8] {
    Array("X".utf8) + [UInt8(text.utf8.count), 0, 0, 0] + Array(text.utf8)
  }

  /// A checkpoint of bytes, as many as are given as a size, that lie over each other in one storage.
  private func shared(_ sizes: [String: Int], storage: [UInt8]) throws -> TorchCheckpoint {
    func integer(_ value: Int) -> [UInt8] {
      Array("J".utf8) + (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    var pickle: [UInt8] = [0x80, 2]
    pickle += Array("}".utf8)
    for (name, size) in sizes {
      pickle += text(name)
      pickle += Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + text("storage")
      pickle += Array("ctorch\nByteStorage\n".utf8) + text("0") + text("cpu")
      pickle += integer(storage.count) + Array("tQK\u{0}".utf8) + integer(size)
      pickle += [0x85]
      pickle += Array("K\u{1}".utf8)
      pickle += [0x85, 0x89]
      pickle += Array("NtRs".utf8)
    }
    return try checkpoint(pickle + Array(".".utf8), storage: storage)
  }

  @Test("names and shapes are compared before anything is read; tensors may share their elements")
  func loading() throws {
    let storage: [UInt8] = [5, 6, 7, 8]
    let pair = Pair()
    try pair.load(shared(["a": 3, "b": 3], storage: storage))
    #expect(pair.state.map(\.tensor.values) == [[5, 6, 7], [5, 6, 7], [0]])
    let other = Pair()
    let half = try shared(["b": 3], storage: storage)
    #expect(other.compare(with: half).matched == ["b"])
    #expect(other.compare(with: half).missing == ["a"])
    #expect(
      throws: LayerError.stateMismatch(missing: ["a"], surplus: [], misshapen: [])
    ) { try other.load(half) }
    #expect(other.state.map(\.tensor.values) == [[-1, -1, -1], [-1, -1, -1], [0]])
    try other.load(half, allowsMissing: true)
    #expect(other.state.map(\.tensor.values) == [[-1, -1, -1], [5, 6, 7], [0]])
    let wrong = try shared(["a": 4, "b": 3, "c": 1], storage: storage)
    let comparison = other.compare(with: wrong)
    let misshapen = [ShapeMismatch(name: "a", expected: [3], found: [4])]
    #expect(comparison.matched == ["b"] && comparison.missing.isEmpty)
    #expect(comparison.surplus == ["c"] && comparison.misshapen == misshapen)
    #expect(
      throws: LayerError.stateMismatch(missing: [], surplus: ["c"], misshapen: misshapen)
    ) { try other.load(wrong, allowsMissing: true) }
    #expect(other.second.version == 1)
  }

  @Test(
    "a state dictionary is found beside other tensors",
    arguments: ["state_dict", "model_state_dict", "net"])
  func besideTensors(wrapper: String) throws {
    let value = Array(tensor(offset: 0, size: 1, stride: 1).dropFirst(2).dropLast())
    let (set, mapping) = (Array("s".utf8), Array("}".utf8))
    var pickle: [UInt8] = [0x80, 2] + mapping + text("epoch") + Array("K\u{3}s".utf8)
    pickle += text("arch") + text("resnet") + set
    pickle += text(wrapper) + mapping + text("layer.weight") + value + set + set
    pickle += text("best_acc1") + value + set + Array(".".utf8)
    let found = try checkpoint(pickle)
    #expect(found.names == ["layer.weight"])
    #expect(found.tensor(named: "layer.weight")?.values == [1])
  }

  @Test("a small file cannot fill the memory with dictionaries of one list")
  func dictionaryBomb() {
    let count = 1000
    let pair: [UInt8] = Array("NN".utf8) + [0x86]
    var pickle: [UInt8] = [0x80, 2] + Array("]q\u{0}(".utf8)
    for _ in 0..<count { pickle += pair }
    pickle += Array("e0(ccollections\nOrderedDict\nq\u{1}h\u{0}".utf8) + [0x85] + Array("R".utf8)
    for _ in 0..<count { pickle += Array("h\u{1}h\u{0}".utf8) + [0x85] + Array("R".utf8) }
    pickle += Array("t.".utf8)
    #expect(
      throws: CheckpointError.damaged(
        path: "made", reason: "the dictionaries of the pickle have more items than it has bytes")
    ) { try checkpoint(pickle) }
  }

  @Test(
    "malformed pickles are refused",
    arguments: [
      [], [0x80, 2], Array("}".utf8), Array(".".utf8), Array("(.".utf8), Array("NN.".utf8),
      Array("h\u{5}.".utf8), Array("}NNNu.".utf8), Array("Ns.".utf8), Array("NNa.".utf8),
      Array("NR.".utf8), Array("NNR.".utf8), Array("NQ.".utf8), Array("NNb.".utf8),
      Array("X\u{7f}\u{7f}\u{7f}\u{7f}ab".utf8), Array("\u{1}.".utf8), Array("c\n".utf8),
      Array("cos\nsystem\n.".utf8), [0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x2E],
    ] as [[UInt8]])
  func malformed(pickle: [UInt8]) {
    #expect(throws: CheckpointError.self) { try checkpoint(pickle) }
  }

  @Test("a hundred thousand nested tuples do not overflow anything")
  func nesting() {
    let pickle = Array("N".utf8) + [UInt8](repeating: 0x85, count: 100_000) + Array(".".utf8)
    #expect(throws: CheckpointError.self) { try checkpoint(pickle) }
  }

  @Test(
    "dangerous names in the archive are refused",
    arguments: ["../x", "/x", "a/../../x", "c:\\x", "a\\b", "C:x"])
  func names(name: String) {
    let bytes = archive([("a/data.pkl", Array("N.".utf8)), (name, [])])
    #expect(throws: CheckpointError.self) { try TorchCheckpoint(bytes, path: "named") }
  }

  @Test("a name twice, and two pickles, are refused")
  func duplicates() {
    for files in [["a/data.pkl", "a/data.pkl"], ["a/data.pkl", "b/data.pkl"]] {
      let bytes = archive(files.map { ($0, Array("N.".utf8)) })
      #expect(throws: CheckpointError.self) { try TorchCheckpoint(bytes, path: "twice") }
    }
  }
}
