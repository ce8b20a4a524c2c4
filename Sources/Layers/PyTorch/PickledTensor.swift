public import Foundation
public import TensorCore

/// A tensor that Python's `pickle` wrote, as the training images of Restore-RWKV's authors are stored
/// (`.bin`); nothing in it is executed.
public struct PickledTensor: Sendable {
  /// The tensor as float32, contiguous.
  public let tensor: Tensor

  /// Reads a file.
  ///
  /// - Parameter path: A file that `pickle.dump(tensor, file)` wrote.
  /// - Throws: ``CheckpointError``.
  public init(contentsOf path: String) throws(CheckpointError) {
    guard let data = FileManager.default.contents(atPath: path) else {
      let exists = FileManager.default.fileExists(atPath: path)
      throw .unreadable(path: path, reason: exists ? "it cannot be read" : "nothing has this path")
    }
    try self.init(data, path: path)
  }

  /// Reads a pickle in memory.
  ///
  /// - Parameters:
  ///   - data: The whole file.
  ///   - path: What errors call it.
  /// - Throws: ``CheckpointError``.
  public init(_ data: Data, path: String) throws(CheckpointError) {
    guard !data.starts(with: Data("PK".utf8)) else {
      throw .damaged(
        path: path,
        reason: "it is a zip archive, as torch.save writes, and not a tensor of pickle.dump")
    }
    do {
      let bytes = [UInt8](data)
      var interpreter = Unpickler(bytes, readsEmbeddedStorages: true)
      guard case .tensor(let entry) = try interpreter.run(),
        let start = Int(entry.storage.key)
      else { throw CheckpointFlaw("it holds no tensor") }
      let (size, overflow) = entry.storage.count.multipliedReportingOverflow(
        by: entry.storage.type.byteCount)
      guard !overflow, start >= 0, start <= bytes.count, size <= bytes.count - start else {
        throw CheckpointFlaw("the tensor's elements are not all there")
      }
      tensor = bytes.withUnsafeBytes {
        entry.tensor(
          in: UnsafeRawBufferPointer(rebasing: $0[start..<start + size]), isBigEndian: false)
      }
    } catch let flaw as CheckpointFlaw {
      throw .damaged(path: path, reason: flaw.reason)
    } catch let foreign as Unpickler.ForeignGlobal {
      throw .foreignGlobal(path: path, name: foreign.name)
    } catch { throw .damaged(path: path, reason: "\(error)") }
  }
}

/// A storage in the form before PyTorch 1.6: a magic number, a version, facts about the system, the
/// storage's description, its key, the number of elements, the elements.
enum EmbeddedStorage {
  /// A pickle of the form's magic number.
  private static let magic: [UInt8] = [
    0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]

  /// Reads what comes before the elements.
  ///
  /// - Parameters:
  ///   - bytes: The pickle around it.
  ///   - range: Where it lies.
  /// - Returns: The storage; its key is the place of the first element in `bytes`.
  /// - Throws: What ``Unpickler`` throws.
  static func read(_ bytes: [UInt8], _ range: Range<Int>) throws -> TorchStorage {
    guard bytes[range].starts(with: magic) else {
      throw CheckpointFlaw("a storage of the pickle is not of the form that tensors have in it")
    }
    var start = range.lowerBound + magic.count
    func next() throws -> (PickleValue, Unpickler) {
      var interpreter = Unpickler([UInt8](bytes[start..<range.upperBound]))
      let value = try interpreter.run()
      start += interpreter.position
      return (value, interpreter)
    }
    guard case (.integer(1001), _) = try next() else {
      throw CheckpointFlaw("a storage of the pickle has a version other than 1001")
    }
    let (system, facts) = try next()
    guard case .dictionary(let index) = system,
      facts.dictionaries[index].contains(where: { pair in
        guard case (.text("little_endian"), .bool(true)) = (pair.key, pair.value) else {
          return false
        }
        return true
      })
    else { throw CheckpointFlaw("a storage of the pickle is not little-endian") }
    guard case (.storage(let storage), _) = try next() else {
      throw CheckpointFlaw("a storage of the pickle is not described")
    }
    let (list, keys) = try next()
    guard let elements = keys.elements(list), elements.count == 1,
      case .text(storage.key) = elements[0]
    else { throw CheckpointFlaw("a storage of the pickle has another name than its elements") }
    guard range.upperBound - start >= 8 else { throw CheckpointFlaw("the pickle ends early") }
    let count = bytes[start..<start + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    start += 8
    let (size, overflow) = storage.count.multipliedReportingOverflow(by: storage.type.byteCount)
    guard count == UInt64(storage.count), !overflow, range.upperBound - start == size else {
      throw CheckpointFlaw(
        "a storage of the pickle has \(range.upperBound - start) bytes, not those of "
          + "\(storage.count) elements")
    }
    return TorchStorage(type: storage.type, key: "\(start)", count: storage.count)
  }
}
