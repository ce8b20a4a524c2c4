import OneDNNBridge
import TensorCore

/// The product `x · Wᵀ` by oneDNN, weights re-laid out beforehand: the opponent of our own.
///
/// To be made and used on the engine thread, which alone calls oneDNN.
final class OneDNNProduct {
  private let product: OpaquePointer
  private let prepared: UnsafeMutablePointer<Float>
  private let scratch: UnsafeMutablePointer<Float>
  private let output: UnsafeMutablePointer<Float>

  /// The library's name and version.
  static var library: String { "oneDNN \(String(cString: onednn_version()))" }

  /// Prepares a product; nil if the library refuses.
  init?(rows: Int, weight: Tensor) {
    let (outputs, inputs) = (weight.shape[0], weight.shape[1])
    guard
      let product = onednn_inner_product_create(
        Int64(rows), Int64(inputs), Int64(outputs), false)
    else { return nil }
    self.product = product
    func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
      let memory = UnsafeMutableRawPointer.allocate(
        byteCount: max(64, 4 * count), alignment: 64)
      return memory.bindMemory(to: Float.self, capacity: max(16, count))
    }
    prepared = floats(onednn_inner_product_prepared_count(product))
    scratch = floats(onednn_inner_product_scratch_count(product))
    output = floats(rows * outputs)
    let (into, isPrepared) = (prepared, weight.withValues { $0.baseAddress })
    guard let source = isPrepared, onednn_inner_product_prepare(product, into, source) else {
      return nil
    }
  }

  deinit {
    onednn_inner_product_destroy(product)
    prepared.deallocate()
    scratch.deallocate()
    output.deallocate()
  }

  /// Multiplies once, into memory of its own.
  func run(_ x: Tensor) {
    x.withValues { values in
      guard let source = values.baseAddress else { return }
      let isDone = onednn_inner_product_execute(product, output, source, prepared, nil, scratch)
      precondition(isDone, "oneDNN: \(String(cString: onednn_last_error()))")
    }
  }
}
