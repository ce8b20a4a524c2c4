import Foundation

/// A value of a pickle.
///
/// Containers are places in the interpreter's own lists, so that no nesting of
/// the file becomes a nesting of ours.
enum PickleValue: Sendable {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case bytes(Range<Int>)
  case mark
  case global(String)
  case tuple(Int)
  case list(Int)
  case dictionary(Int)
  case storage(TorchStorage)
  case tensor(TorchTensorEntry)
}

/// A storage that a tensor names: which file, which type, how many elements.
struct TorchStorage: Sendable {
  let type: TorchType
  let key: String
  let count: Int
}

/// Where a tensor's elements lie in a storage, in elements.
struct TorchTensorEntry: Sendable {
  let storage: TorchStorage
  let offset: Int
  let sizes: [Int]
  let strides: [Int]
}

/// Interprets the part of the pickle language that a dictionary of tensors needs.
///
/// Nothing of the file is ever run: a global is a name, and calling one of the few allowed names
/// builds one of the values above. Every other name, and every opcode that is not needed, ends the
/// reading.
///
/// Source: the opcode descriptions of Python's module `pickletools`.
struct Unpickler {
  /// What a file may name.
  static let allowed: Set<String> = {
    var names: Set<String> = [
      "collections.OrderedDict", "torch._utils._rebuild_tensor_v2",
      "torch._utils._rebuild_parameter", "torch.Size",
    ]
    for type in TorchType.allCases { names.insert("torch." + type.rawValue) }
    return names
  }()

  /// A name that is not allowed.
  struct ForeignGlobal: Error {
    let name: String
  }

  private(set) var tuples: [[PickleValue]] = []
  private(set) var lists: [[PickleValue]] = []
  private(set) var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []

  /// The name under which a pickled tensor brings its elements along.
  private static let embedded = "torch.storage._load_from_bytes"

  private let bytes: [UInt8]
  private let readsEmbeddedStorages: Bool
  /// The bytes that were read.
  private(set) var position = 0
  private var stack: [PickleValue] = []
  private var memo: [Int: PickleValue] = [:]
  /// Items of lists that were copied into dictionaries.
  private var copied = 0

  /// Something to interpret.
  ///
  /// - Parameters:
  ///   - bytes: A pickle, and what may come after it.
  ///   - readsEmbeddedStorages: Whether elements may lie in the pickle itself; the key of such a storage
  ///     is the place of its first byte.
  init(_ bytes: [UInt8], readsEmbeddedStorages: Bool = false) {
    self.bytes = bytes
    self.readsEmbeddedStorages = readsEmbeddedStorages
  }

  /// Runs to the end and returns the value that is left.
  mutating func run() throws -> PickleValue {
    while true {
      let code = try next()
      if code == UInt8(ascii: ".") {
        let result = try pop()
        guard stack.isEmpty else { throw CheckpointFlaw("the pickle leaves values behind") }
        return result
      }
      try perform(code)
    }
  }

  // MARK: - Bytes

  private mutating func next() throws -> UInt8 {
    guard position < bytes.count else { throw CheckpointFlaw("the pickle ends early") }
    position += 1
    return bytes[position - 1]
  }

  private mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
    guard count >= 0, count <= bytes.count - position else {
      throw CheckpointFlaw("the pickle ends early")
    }
    position += count
    return bytes[position - count..<position]
  }

  private mutating func unsigned(_ count: Int) throws -> Int {
    let number = try take(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard number <= UInt64(Int.max) else { throw CheckpointFlaw("a number of the pickle is huge") }
    return Int(number)
  }

  private mutating func text(_ count: Int) throws -> String {
    guard let text = String(bytes: try take(count), encoding: .utf8) else {
      throw CheckpointFlaw("a text of the pickle is not UTF-8")
    }
    return text
  }

  private mutating func line() throws -> String {
    guard let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) else {
      throw CheckpointFlaw("the pickle ends early")
    }
    let result = try text(end - position)
    position += 1
    return result
  }

  // MARK: - Stack

  private mutating func pop() throws -> PickleValue {
    guard let value = stack.popLast() else { throw CheckpointFlaw("the pickle's stack is empty") }
    if case .mark = value { throw CheckpointFlaw("the pickle has a mark where a value belongs") }
    return value
  }

  private mutating func popToMark() throws -> [PickleValue] {
    let start = stack.lastIndex { if case .mark = $0 { true } else { false } }
    guard let start else { throw CheckpointFlaw("the pickle lacks a mark") }
    let values = Array(stack[(start + 1)...])
    stack.removeSubrange(start...)
    return values
  }

  private mutating func pushTuple(_ values: [PickleValue]) {
    tuples.append(values)
    stack.append(.tuple(tuples.count - 1))
  }

  private mutating func pushTuple(ofLast count: Int) throws {
    var values: [PickleValue] = []
    for _ in 0..<count { values.append(try pop()) }
    pushTuple(values.reversed())
  }

  private mutating func set(_ pairs: [PickleValue]) throws {
    guard case .dictionary(let index)? = stack.last else {
      throw CheckpointFlaw("the pickle sets an item of what is no dictionary")
    }
    guard pairs.count % 2 == 0 else { throw CheckpointFlaw("the pickle has a key without a value") }
    for pair in stride(from: 0, to: pairs.count, by: 2) {
      dictionaries[index].append((pairs[pair], pairs[pair + 1]))
    }
  }

  private mutating func append(_ values: [PickleValue]) throws {
    guard case .list(let index)? = stack.last else {
      throw CheckpointFlaw("the pickle appends to what is no list")
    }
    lists[index] += values
  }

  private mutating func recall(_ key: Int) throws {
    guard let value = memo[key] else {
      throw CheckpointFlaw("the pickle recalls what it never had")
    }
    stack.append(value)
  }

  private mutating func remember(_ key: Int) throws {
    guard let value = stack.last else { throw CheckpointFlaw("the pickle's stack is empty") }
    memo[key] = value
  }

  private mutating func pushGlobal(_ module: String, _ name: String) throws {
    let full = module + "." + name
    guard Self.allowed.contains(full) || (readsEmbeddedStorages && full == Self.embedded) else {
      throw ForeignGlobal(name: full)
    }
    stack.append(.global(full))
  }

  // MARK: - Opcodes

  private mutating func perform(_ code: UInt8) throws {
    switch code {
    case 0x80: _ = try next()  // PROTO
    case 0x95: _ = try take(8)  // FRAME
    case UInt8(ascii: "}"):
      dictionaries.append([])
      stack.append(.dictionary(dictionaries.count - 1))
    case UInt8(ascii: "]"):
      lists.append([])
      stack.append(.list(lists.count - 1))
    case UInt8(ascii: ")"): pushTuple([])
    case UInt8(ascii: "("): stack.append(.mark)
    case UInt8(ascii: "t"): pushTuple(try popToMark())
    case 0x85, 0x86, 0x87: try pushTuple(ofLast: Int(code) - 0x84)
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88, 0x89: stack.append(.bool(code == 0x88))
    case UInt8(ascii: "J"):
      stack.append(.integer(Int(Int32(truncatingIfNeeded: try unsigned(4)))))
    case UInt8(ascii: "K"): stack.append(.integer(try unsigned(1)))
    case UInt8(ascii: "M"): stack.append(.integer(try unsigned(2)))
    case 0x8A: try pushLong()
    case UInt8(ascii: "G"):
      let bits = try take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      stack.append(.number(Double(bitPattern: bits)))
    case UInt8(ascii: "X"): stack.append(.text(try text(try unsigned(4))))
    case 0x8C: stack.append(.text(try text(try unsigned(1))))
    case 0x8D: stack.append(.text(try text(try unsigned(8))))
    case UInt8(ascii: "C"): try pushBytes(try unsigned(1))
    case UInt8(ascii: "B"): try pushBytes(try unsigned(4))
    case 0x8E: try pushBytes(try unsigned(8))
    case UInt8(ascii: "q"): try remember(try unsigned(1))
    case UInt8(ascii: "r"): try remember(try unsigned(4))
    case 0x94: try remember(memo.count)
    case UInt8(ascii: "h"): try recall(try unsigned(1))
    case UInt8(ascii: "j"): try recall(try unsigned(4))
    case UInt8(ascii: "s"):
      let value = try pop()
      try set([try pop(), value])
    case UInt8(ascii: "u"): try set(try popToMark())
    case UInt8(ascii: "a"): try append([try pop()])
    case UInt8(ascii: "e"): try append(try popToMark())
    case UInt8(ascii: "c"): try pushGlobal(try line(), try line())
    case 0x93:
      guard case .text(let name) = try pop(), case .text(let module) = try pop() else {
        throw CheckpointFlaw("the pickle names a global by what is no text")
      }
      try pushGlobal(module, name)
    case UInt8(ascii: "Q"): stack.append(.storage(try storage(try pop())))
    case UInt8(ascii: "R"):
      let arguments = try pop()
      try call(try pop(), arguments)
    case UInt8(ascii: "b"): try build()
    default:
      let text = String(code, radix: 16)
      throw CheckpointFlaw("the pickle uses the opcode 0x\(text), which tensors do not need")
    }
  }

  private mutating func pushBytes(_ count: Int) throws {
    _ = try take(count)
    stack.append(.bytes(position - count..<position))
  }

  private mutating func pushLong() throws {
    let digits = try take(try unsigned(1))
    guard digits.count <= 8 else { throw CheckpointFlaw("a number of the pickle is huge") }
    var value = digits.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    if let top = digits.last, top & 0x80 != 0, digits.count < 8 {
      value |= ~UInt64(0) << UInt64(8 * digits.count)
    }
    stack.append(.integer(Int(Int64(bitPattern: value))))
  }

  /// Attributes of an ordered dictionary (`_metadata`) say nothing about tensors and are dropped.
  private mutating func build() throws {
    _ = try pop()
    guard case .dictionary? = stack.last else {
      throw CheckpointFlaw("the pickle gives a state to what has none")
    }
  }

  private func storage(_ identifier: PickleValue) throws -> TorchStorage {
    // The older form has a sixth element, a view, which is none where the storage is whole.
    guard case .tuple(let index) = identifier, (5...6).contains(tuples[index].count),
      tuples[index].dropFirst(5).allSatisfy({ if case .none = $0 { true } else { false } }),
      case .text("storage") = tuples[index][0], case .global(let name) = tuples[index][1],
      case .text(let key) = tuples[index][2], case .integer(let count) = tuples[index][4],
      let type = TorchType(rawValue: String(name.dropFirst("torch.".count))), count >= 0
    else { throw CheckpointFlaw("a storage of the pickle is not described as PyTorch does it") }
    return TorchStorage(type: type, key: key, count: count)
  }

  private mutating func call(_ function: PickleValue, _ arguments: PickleValue) throws {
    guard case .global(let name) = function, case .tuple(let index) = arguments else {
      throw CheckpointFlaw("the pickle calls what is no function")
    }
    let values = tuples[index]
    switch name {
    case "collections.OrderedDict":
      var pairs: [(key: PickleValue, value: PickleValue)] = []
      if case .list(let list)? = values.first {
        // One list, recalled again and again, would fill the memory from a small file.
        copied += lists[list].count
        guard copied <= bytes.count else {
          throw CheckpointFlaw("the dictionaries of the pickle have more items than it has bytes")
        }
        for item in lists[list] {
          guard let pair = elements(item), pair.count == 2 else {
            throw CheckpointFlaw("an ordered dictionary of the pickle is not made of pairs")
          }
          pairs.append((pair[0], pair[1]))
        }
      }
      dictionaries.append(pairs)
      stack.append(.dictionary(dictionaries.count - 1))
    case Self.embedded:
      guard case .bytes(let range)? = values.first else {
        throw CheckpointFlaw("a storage of the pickle does not come as bytes")
      }
      stack.append(.storage(try EmbeddedStorage.read(bytes, range)))
    case "torch.Size":
      guard let first = values.first, let sizes = elements(first) else {
        throw CheckpointFlaw("a size of the pickle is no tuple")
      }
      pushTuple(sizes)
    case "torch._utils._rebuild_tensor_v2":
      guard values.count >= 4, case .storage(let storage) = values[0],
        case .integer(let offset) = values[1], let sizes = integers(values[2]),
        let strides = integers(values[3])
      else { throw CheckpointFlaw("a tensor of the pickle is not described as PyTorch does it") }
      let entry = TorchTensorEntry(
        storage: storage, offset: offset, sizes: sizes, strides: strides)
      try entry.check()
      stack.append(.tensor(entry))
    case "torch._utils._rebuild_parameter":
      guard case .tensor(let entry)? = values.first else {
        throw CheckpointFlaw("a parameter of the pickle is no tensor")
      }
      stack.append(.tensor(entry))
    default: throw CheckpointFlaw("the pickle calls \(name), which is a type of elements")
    }
  }

  /// The elements of a tuple or list.
  func elements(_ value: PickleValue) -> [PickleValue]? {
    switch value {
    case .tuple(let index): tuples[index]
    case .list(let index): lists[index]
    default: nil
    }
  }

  private func integers(_ value: PickleValue) -> [Int]? {
    guard let elements = elements(value) else { return nil }
    let integers = elements.compactMap { if case .integer(let number) = $0 { number } else { nil } }
    return integers.count == elements.count ? integers : nil
  }
}

extension TorchTensorEntry {
  /// Checks that all elements lie in the storage and that there are not more than it has.
  func check() throws(CheckpointFlaw) {
    guard sizes.count == strides.count, sizes.count <= 8, offset >= 0,
      sizes.allSatisfy({ $0 >= 0 }), strides.allSatisfy({ $0 >= 0 })
    else { throw CheckpointFlaw("a tensor has negative or too many sizes") }
    var (count, last) = (1, offset)
    for (size, stride) in zip(sizes, strides) {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      let (reach, overflow2) = max(0, size - 1).multipliedReportingOverflow(by: stride)
      let (sum, overflow3) = last.addingReportingOverflow(reach)
      guard !overflow, !overflow2, !overflow3 else {
        throw CheckpointFlaw("a tensor's size overflows")
      }
      (count, last) = (product, sum)
    }
    guard count <= storage.count, count == 0 || last < storage.count else {
      throw CheckpointFlaw(
        "a tensor of \(sizes) reaches beyond its storage of \(storage.count) elements")
    }
  }
}
