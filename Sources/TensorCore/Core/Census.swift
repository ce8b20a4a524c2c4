/// Makes tensors with shapes and no values, and counts their elements: how large something would be.
///
/// Values that are asked for all the same are zeros.
package final class Census: @unchecked Sendable {
  // @unchecked: to be used on one thread.
  private let trace = Trace()
  /// Elements of all tensors so far.
  package private(set) var count = 0

  /// Begins at 0.
  package init() {}

  /// A tensor of a shape, counted.
  package func tensor(_ shape: Shape) -> Tensor {
    count += shape.count
    return trace.input(shape)
  }
}
