public import Foundation
public import TensorCore

/// A weights file in safetensors format, opened for reading.
///
/// The whole file is checked when it is opened; its tensors stay in the (memory-mapped) file until
/// they are asked for. Little-endian, row-major.
public struct Safetensors: Sendable {
  /// What the file says about one tensor.
  public struct Entry: Sendable {
    /// The tensor's name.
    public let name: String
    /// The type of its elements in the file.
    public let type: WeightsType
    /// Its shape.
    public let shape: Shape
    let bytes: Range<Int>
  }

  /// The texts that go with the tensors.
  public let metadata: [String: String]

  /// The tensors, in the header's order.
  public let entries: [Entry]

  /// Where the bytes came from, as errors name it.
  public let path: String

  private let data: Data
  private let positions: [String: Int]

  /// Opens a file and checks all of its header.
  ///
  /// - Parameter path: A file in safetensors format.
  /// - Throws: ``LayerError/unreadableWeights(path:reason:)`` or
  ///   ``LayerError/invalidWeights(path:rule:detail:)``.
  public init(contentsOf path: String) throws(LayerError) {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    } catch {
      let reason =
        FileManager.default.fileExists(atPath: path) ? "not a readable file" : "no such file"
      throw .unreadableWeights(path: path, reason: reason)
    }
    try self.init(data, path: path)
  }

  /// Checks the header of a file that is in memory.
  ///
  /// - Parameters:
  ///   - data: The whole file.
  ///   - path: What errors call it.
  /// - Throws: ``LayerError/invalidWeights(path:rule:detail:)``.
  public init(_ data: Data, path: String) throws(LayerError) {
    do {
      try self.init(checking: data, path: path)
    } catch {
      throw .invalidWeights(path: path, rule: error.rule, detail: error.detail)
    }
  }

  private init(checking data: Data, path: String) throws(WeightsFlaw) {
    guard data.count >= 8 else { throw WeightsFlaw(.fileLength, "it has \(data.count)") }
    let length = data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(SafetensorsHeader.longestHeader) else {
      throw WeightsFlaw(.headerLength, "it declares \(length)")
    }
    guard Int(length) <= data.count - 8 else {
      throw WeightsFlaw(.headerEnd, "it declares \(length) bytes, \(data.count - 8) follow")
    }
    let start = 8 + Int(length)
    let header = try SafetensorsHeader(
      Array(data.dropFirst(8).prefix(Int(length))), dataCount: data.count - start)
    metadata = header.metadata
    entries = header.entries.map { entry in
      Entry(
        name: entry.name, type: entry.type, shape: entry.shape,
        bytes: start + entry.bytes.lowerBound..<start + entry.bytes.upperBound)
    }
    positions = Dictionary(
      uniqueKeysWithValues: entries.enumerated().map { index, entry in (entry.name, index) })
    self.path = path
    self.data = data
  }

  /// What the file says about the tensor of that name, nil if there is none.
  public func entry(named name: String) -> Entry? { positions[name].map { entries[$0] } }

  /// The tensor of that name with its elements widened to single precision, nil if there is none.
  ///
  /// Exact for all floating-point types and for integers up to 2²⁴.
  public func tensor(named name: String) -> Tensor? {
    entry(named: name).map { entry in Tensor(entry.shape) { copy(entry, into: $0) } }
  }

  /// The exact elements of a tensor of integers or truth values, nil if there is none of that name.
  public func integers(named name: String) -> [Int64]? {
    guard let entry = entry(named: name), entry.type.isInteger else { return nil }
    return data.withUnsafeBytes { bytes in
      let bytes = UnsafeRawBufferPointer(rebasing: bytes[entry.bytes])
      return (0..<entry.shape.count).map { index in
        switch entry.type {
        case .int64: Int64(littleEndian: bytes.element(index))
        case .int32: Int64(Int32(littleEndian: bytes.element(index)))
        default: Int64(bytes[index])
        }
      }
    }
  }

  /// Writes a tensor's elements, widened to single precision, into memory of its size.
  func copy(_ entry: Entry, into values: UnsafeMutableBufferPointer<Float>) {
    precondition(
      values.count == entry.shape.count,
      "safetensors: \(entry.name) of shape \(entry.shape) into \(values.count) elements")
    data.withUnsafeBytes { bytes in
      let bytes = UnsafeRawBufferPointer(rebasing: bytes[entry.bytes])
      switch entry.type {
      case .float32:
        for index in values.indices {
          values[index] = Float(bitPattern: UInt32(littleEndian: bytes.element(index)))
        }
      case .float16:
        for index in values.indices {
          values[index] = widened(half: UInt16(littleEndian: bytes.element(index)))
        }
      case .bfloat16:
        for index in values.indices {
          let upper = UInt16(littleEndian: bytes.element(index))
          values[index] = Float(bitPattern: UInt32(upper) << 16)
        }
      case .int64:
        for index in values.indices {
          values[index] = Float(Int64(littleEndian: bytes.element(index)))
        }
      case .int32:
        for index in values.indices {
          values[index] = Float(Int32(littleEndian: bytes.element(index)))
        }
      case .uint8, .bool:
        for index in values.indices { values[index] = Float(bytes[index]) }
      }
    }
  }
}

/// The number that a half-precision bit pattern stands for.
///
/// `Float16` does not exist on every platform that this package builds for.
func widened(half: UInt16) -> Float {
  let sign = UInt32(half & 0x8000) << 16
  let exponent = UInt32(half >> 10 & 0x1F)
  let fraction = UInt32(half & 0x3FF)
  switch exponent {
  case 0:
    let magnitude = Float(fraction) * 0x1p-24
    return Float(bitPattern: sign | magnitude.bitPattern)
  case 0x1F: return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}

extension UnsafeRawBufferPointer {
  /// The element at an index, which need not be aligned: a header may have any length.
  fileprivate func element<Element: BitwiseCopyable>(_ index: Int) -> Element {
    loadUnaligned(fromByteOffset: index * MemoryLayout<Element>.stride, as: Element.self)
  }
}
