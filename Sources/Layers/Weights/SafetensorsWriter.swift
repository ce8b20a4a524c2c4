public import Foundation
public import TensorCore

/// Collects tensors and encodes them as a weights file in safetensors format.
///
/// The same tensors and texts always give the same bytes: tensors lie in the order in which they were
/// added, texts in order of key, and the header is padded with spaces so that data begin at a
/// multiple of 8. Writing the bytes to a file, atomically, is the caller's part.
public struct SafetensorsWriter {
  private enum Values {
    case floats(Tensor)
    case halves(Tensor)
    case integers([Int64])
  }
  private struct Item {
    let name: String
    let shape: Shape
    let values: Values
    let type: WeightsType
  }

  private let metadata: [String: String]
  private var items: [Item] = []
  private var names: Set<String> = ["__metadata__"]

  /// A writer with no tensors yet.
  ///
  /// - Parameter metadata: Texts that go with the tensors; none, and the file has no metadata.
  public init(metadata: [String: String] = [:]) { self.metadata = metadata }

  /// Adds a tensor as `F32`.
  ///
  /// - Parameters:
  ///   - tensor: Its elements are read when the file is encoded.
  ///   - name: Not used before.
  public mutating func add(_ tensor: Tensor, named name: String) {
    add(
      Item(name: name, shape: tensor.shape, values: .floats(tensor.detached()), type: .float32))
  }

  /// Adds a tensor as `F16`, each element rounded to the nearest number of half precision.
  ///
  /// - Parameters:
  ///   - tensor: Its elements are read when the file is encoded.
  ///   - name: Not used before.
  public mutating func add(half tensor: Tensor, named name: String) {
    add(
      Item(name: name, shape: tensor.shape, values: .halves(tensor.detached()), type: .float16))
  }

  /// Adds a tensor of a network that is to be deployed: as `F16`, or as `F32` where half precision would make a
  /// finite element infinite.
  ///
  /// - Parameters:
  ///   - tensor: Its elements are read now and when the file is encoded.
  ///   - name: Not used before.
  public mutating func add(deployed tensor: Tensor, named name: String) {
    let overflows = tensor.withValues { values in
      values.contains { $0.isFinite && !Float(Float16($0)).isFinite }
    }
    if overflows { add(tensor, named: name) } else { add(half: tensor, named: name) }
  }

  /// Adds integers as `I64`.
  ///
  /// - Parameters:
  ///   - integers: Row-major, as many as `shape` says.
  ///   - shape: Their shape.
  ///   - name: Not used before.
  public mutating func add(_ integers: [Int64], shape: Shape, named name: String) {
    precondition(
      integers.count == shape.count,
      "safetensors: \(integers.count) integers for \(name) of shape \(shape)")
    add(Item(name: name, shape: shape, values: .integers(integers), type: .int64))
  }

  /// Adds all that a module stores, in the order of its state dictionary.
  ///
  /// - Parameters:
  ///   - module: Its derived entries are computed and written too.
  ///   - prefix: Comes before every name.
  public mutating func add(stateOf module: some Module, prefix: String = "") {
    for entry in module.state { add(entry.tensor, named: prefix + entry.name) }
  }

  private mutating func add(_ item: Item) {
    precondition(names.insert(item.name).inserted, "safetensors: second tensor \(item.name)")
    items.append(item)
  }

  /// The whole file.
  public func encoded() -> Data {
    var file = Data()
    file.reserveCapacity(header.count + items.reduce(0) { $0 + byteCount(of: $1) })
    write { file.append(contentsOf: $0) }
    return file
  }

  /// Hands the file over piece by piece, without a copy of the whole.
  ///
  /// - Parameter sink: Called in order with the file's bytes, which it must not keep.
  /// - Throws: What `sink` throws.
  public func write<Failure: Error>(
    _ sink: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try pass(header, to: sink)
    for item in items {
      switch item.values {
      case .integers(let integers): try pass(integers.map(\.littleEndian), to: sink)
      case .halves(let tensor): try pass(tensor.values.map { narrowed($0).littleEndian }, to: sink)
      case .floats(let tensor):
        #if _endian(little)
          try tensor.withValues { (values) throws(Failure) in
            try sink(UnsafeRawBufferPointer(values))
          }
        #else
          try pass(tensor.values.map(\.bitPattern.littleEndian), to: sink)
        #endif
      }
    }
  }

  private func pass<Element, Failure: Error>(
    _ array: [Element], to sink: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try array.withUnsafeBufferPointer { (values) throws(Failure) in
      try sink(UnsafeRawBufferPointer(values))
    }
  }

  private func byteCount(of item: Item) -> Int { item.shape.count * item.type.byteCount }

  /// The length and the table of contents.
  private var header: [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        .map { "\(JSONValue.quoted($0.key)):\(JSONValue.quoted($0.value))" }
      members.append("\"__metadata__\":{\(texts.joined(separator: ","))}")
    }
    var offset = 0
    for item in items {
      let end = offset + byteCount(of: item)
      let sizes = item.shape.dimensions.map(String.init).joined(separator: ",")
      members.append(
        "\(JSONValue.quoted(item.name)):{\"dtype\":\"\(item.type.rawValue)\","
          + "\"shape\":[\(sizes)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var text = Array("{\(members.joined(separator: ","))}".utf8)
    text.append(contentsOf: repeatElement(UInt8(ascii: " "), count: -text.count & 7))
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
  }
}

/// The half-precision bit pattern nearest to a number, ties to the even one; too large ones become
/// infinite.
func narrowed(_ value: Float) -> UInt16 {
  let sign = UInt16(value.bitPattern >> 16 & 0x8000)
  let magnitude = value.bitPattern & 0x7FFF_FFFF
  if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
  // 65520, from where the nearest is beyond the largest.
  if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
  // Below 2⁻¹⁴ halves are multiples of 2⁻²⁴.
  if magnitude < 0x3880_0000 {
    let multiple = (Float(bitPattern: magnitude) * 0x1p24).rounded(.toNearestOrEven)
    return sign | UInt16(multiple)
  }
  let rounded = magnitude + 0x0FFF + (magnitude >> 13 & 1)
  return sign | UInt16((rounded - 0x3800_0000) >> 13)
}
