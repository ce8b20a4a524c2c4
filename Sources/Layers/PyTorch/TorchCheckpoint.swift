public import Foundation
public import TensorCore

/// The types of elements that PyTorch stores, by the names of its storages.
public enum TorchType: String, Sendable, CaseIterable {
  /// 32-bit floating point.
  case float = "FloatStorage"
  /// 16-bit floating point.
  case half = "HalfStorage"
  /// The upper half of 32-bit floating point.
  case bfloat16 = "BFloat16Storage"
  /// 64-bit floating point.
  case double = "DoubleStorage"
  /// 64-bit integers.
  case long = "LongStorage"
  /// 32-bit integers.
  case int = "IntStorage"
  /// 16-bit integers.
  case short = "ShortStorage"
  /// 8-bit signed integers.
  case char = "CharStorage"
  /// 8-bit unsigned integers.
  case byte = "ByteStorage"
  /// Truth values, a byte each.
  case bool = "BoolStorage"

  /// Bytes of an element.
  public var byteCount: Int {
    switch self {
    case .double, .long: 8
    case .float, .int: 4
    case .half, .bfloat16, .short: 2
    case .char, .byte, .bool: 1
    }
  }
}

/// The tensors of a checkpoint that `torch.save` wrote in its zip form; nothing in it is executed.
///
/// A dictionary around the state dictionary (`state_dict`, `model_state_dict`, `model`, `params`,
/// `params_ema`, `net`, `network_state_dict`) is unwrapped, also where single tensors lie beside it, and
/// the prefixes `module.` and `_orig_mod.` are taken off if all names have them.
public struct TorchCheckpoint: Sendable {
  /// The keys under which programs wrap the state dictionary, in the order in which they are tried.
  public static let wrappers = [
    "state_dict", "model_state_dict", "model", "params_ema", "params", "net", "network_state_dict",
  ]
  private static let prefixes = ["module.", "_orig_mod."]

  /// The path, for messages.
  public let path: String
  /// The names of the tensors in the file's order.
  public let names: [String]
  /// The names of entries of the dictionary that are no tensors.
  public let ignored: [String]
  private let entries: [String: TorchTensorEntry]
  private let archive: StoredArchive
  private let root: String
  private let isBigEndian: Bool

  /// Opens and checks a checkpoint.
  ///
  /// - Parameter path: A file that `torch.save` wrote.
  /// - Throws: ``CheckpointError``.
  public init(contentsOf path: String) throws(CheckpointError) {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    } catch {
      let exists = FileManager.default.fileExists(atPath: path)
      throw .unreadable(path: path, reason: exists ? "it cannot be read" : "nothing has this path")
    }
    try self.init(data, path: path)
  }

  /// Checks a checkpoint in memory.
  ///
  /// - Parameters:
  ///   - data: The whole file.
  ///   - path: What errors call it.
  /// - Throws: ``CheckpointError``.
  public init(_ data: Data, path: String) throws(CheckpointError) {
    do {
      try self.init(checking: Data(data), path: path)
    } catch let error as CheckpointError { throw error } catch let flaw as CheckpointFlaw {
      throw .damaged(path: path, reason: flaw.reason)
    } catch let foreign as Unpickler.ForeignGlobal {
      throw .foreignGlobal(path: path, name: foreign.name)
    } catch { throw .damaged(path: path, reason: "\(error)") }
  }

  private init(checking data: Data, path: String) throws {
    if let reason = Self.otherForm(data) {
      throw CheckpointError.notCheckpoint(path: path, reason: reason)
    }
    let archive = try StoredArchive(data)
    let pickles = archive.files.keys.filter { $0.hasSuffix("/data.pkl") }
    guard pickles.count == 1, let pickle = pickles.first, let range = archive.files[pickle] else {
      throw CheckpointFlaw("the archive holds \(pickles.count) files data.pkl, not one")
    }
    root = String(pickle.dropLast("data.pkl".count))
    if let order = archive.files[root + "byteorder"] {
      let text = String(bytes: data[order], encoding: .utf8) ?? ""
      guard ["little", "big"].contains(text) else {
        throw CheckpointFlaw("the byte order is neither little nor big")
      }
      isBigEndian = text == "big"
    } else {
      isBigEndian = false
    }
    var interpreter = Unpickler([UInt8](data[range]))
    let top = try interpreter.run()
    let pairs = try Self.stateDictionary(top, interpreter)
    var found: [(name: String, entry: TorchTensorEntry)] = []
    var ignored: [String] = []
    for (key, value) in pairs {
      guard case .text(let name) = key else {
        throw CheckpointFlaw("the state dictionary has a key that is no text")
      }
      if case .tensor(let entry) = value {
        found.append((name, entry))
      } else {
        ignored.append(name)
      }
    }
    for prefix in Self.prefixes + Self.prefixes
    where !found.isEmpty && found.allSatisfy({ $0.name.hasPrefix(prefix) }) {
      found = found.map { (String($0.name.dropFirst(prefix.count)), $0.entry) }
    }
    for (name, entry) in found {
      let storage = entry.storage
      guard let bytes = archive.files[root + "data/" + storage.key] else {
        throw CheckpointFlaw("\(name) has no data in the archive")
      }
      let (size, overflow) = storage.count.multipliedReportingOverflow(by: storage.type.byteCount)
      guard !overflow, bytes.count == size else {
        throw CheckpointFlaw(
          "the storage of \(name) has \(bytes.count) bytes, not those of \(storage.count) elements")
      }
    }
    self.path = path
    self.archive = archive
    self.ignored = ignored
    names = found.map(\.name)
    entries = Dictionary(found) { _, last in last }
    guard entries.count == found.count else {
      throw CheckpointFlaw("the state dictionary has a name twice")
    }
  }

  /// What the file is, if it is no zip archive.
  private static func otherForm(_ data: Data) -> String? {
    if data.starts(with: [0x50, 0x4B]) { return nil }
    if data.count > 262, data[257..<262].elementsEqual("ustar".utf8) {
      return "it is a tar archive, the oldest form"
    }
    if data.starts(with: [0x80]) {
      return "it is a bare pickle, the form before PyTorch 1.6, or one of another program"
    }
    return data.isEmpty ? "it is empty" : "it is no zip archive"
  }

  /// The dictionary that holds tensors, or one tensor alone under the name `tensor`.
  private static func stateDictionary(
    _ top: PickleValue, _ interpreter: Unpickler
  ) throws(CheckpointFlaw) -> [(key: PickleValue, value: PickleValue)] {
    var value = top
    for _ in 0..<4 {
      if case .tensor = value { return [(.text("tensor"), value)] }
      guard case .dictionary(let index) = value else { break }
      let pairs = interpreter.dictionaries[index]
      func holdsTensors(_ pairs: [(key: PickleValue, value: PickleValue)]) -> Bool {
        pairs.contains { if case .tensor = $0.value { true } else { false } }
      }
      func inner(_ key: String) -> PickleValue? {
        pairs.last { if case .text(key) = $0.key { true } else { false } }?.value
      }
      let wrapped = wrappers.compactMap(inner)
      // Beside the state dictionary single tensors may stand, such as the best accuracy so far.
      let found = wrapped.first { value in
        if case .dictionary(let index) = value {
          holdsTensors(interpreter.dictionaries[index])
        } else {
          false
        }
      }
      if let found {
        value = found
        continue
      }
      guard !holdsTensors(pairs), let next = wrapped.first else { return pairs }
      value = next
    }
    throw CheckpointFlaw("it holds no dictionary of tensors")
  }

  /// The shape of a tensor, or nil if there is none of that name.
  public func shape(of name: String) -> Shape? { entries[name].map { Shape($0.sizes) } }

  /// The shapes of all tensors by name.
  var shapes: [String: Shape] { entries.mapValues { Shape($0.sizes) } }

  /// A tensor as float32, contiguous.
  ///
  /// Tensors may share their elements in the file, so that all of them together can take far more memory
  /// than the file has bytes: ask only for those that are needed.
  ///
  /// - Parameter name: One of ``names``.
  /// - Returns: The tensor, or nil if there is none of that name.
  public func tensor(named name: String) -> Tensor? {
    guard let shape = shape(of: name) else { return nil }
    return Tensor(shape) { values in copy(name, into: values) }
  }

  /// Writes the elements of one of ``names``, as float32, into memory of its size.
  func copy(_ name: String, into values: UnsafeMutableBufferPointer<Float>) {
    guard let entry = entries[name], let range = archive.files[root + "data/" + entry.storage.key]
    else { preconditionFailure("checkpoint: no tensor \(name)") }
    archive.data[range].withUnsafeBytes { bytes in
      entry.copy(from: bytes, isBigEndian: isBigEndian, into: values)
    }
  }
}

extension TorchTensorEntry {
  /// The tensor as float32, contiguous.
  ///
  /// - Parameters:
  ///   - bytes: Its storage.
  ///   - isBigEndian: The order of the bytes of an element.
  /// - Returns: A tensor of ``sizes``.
  func tensor(in bytes: UnsafeRawBufferPointer, isBigEndian: Bool) -> Tensor {
    Tensor(Shape(sizes)) { values in copy(from: bytes, isBigEndian: isBigEndian, into: values) }
  }

  /// Writes the elements as float32, row-major.
  ///
  /// - Parameters:
  ///   - bytes: The tensor's storage.
  ///   - isBigEndian: The order of the bytes of an element.
  ///   - values: Memory for a tensor of ``sizes``.
  func copy(
    from bytes: UnsafeRawBufferPointer, isBigEndian: Bool,
    into values: UnsafeMutableBufferPointer<Float>
  ) {
    var index = [Int](repeating: 0, count: sizes.count)
    for position in values.indices {
      var place = offset
      for axis in index.indices { place += index[axis] * strides[axis] }
      values[position] = storage.type.element(place, of: bytes, isBigEndian)
      for axis in index.indices.reversed() {
        index[axis] += 1
        if index[axis] < sizes[axis] { break }
        index[axis] = 0
      }
    }
  }
}

extension TorchType {
  /// One element as float32.
  fileprivate func element(
    _ place: Int, of bytes: UnsafeRawBufferPointer, _ isBigEndian: Bool
  ) -> Float {
    func load<Integer: FixedWidthInteger>(_: Integer.Type) -> Integer {
      let raw = bytes.loadUnaligned(
        fromByteOffset: place * MemoryLayout<Integer>.size, as: Integer.self)
      return isBigEndian ? Integer(bigEndian: raw) : Integer(littleEndian: raw)
    }
    return switch self {
    case .float: Float(bitPattern: load(UInt32.self))
    case .half: widened(half: load(UInt16.self))
    case .bfloat16: Float(bitPattern: UInt32(load(UInt16.self)) << 16)
    case .double: Float(Double(bitPattern: load(UInt64.self)))
    case .long: Float(load(Int64.self))
    case .int: Float(load(Int32.self))
    case .short: Float(load(Int16.self))
    case .char: Float(load(Int8.self))
    case .byte: Float(load(UInt8.self))
    case .bool: load(UInt8.self) == 0 ? 0 : 1
    }
  }
}
