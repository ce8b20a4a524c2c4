import Foundation

/// What each query of an attention may look at: the first half only an object, the second half only
/// what is not the object.
///
/// Input: logits of N objects, `[B, N, P]`. Output: 0 where query q of an object may look and a large
/// negative number where it may not, `[B, N, Q, P]`, to be added to attention scores. A pixel belongs
/// to an object if the object's probability is at least that of every other object and of the
/// background, `Π(1 − p)`. A query that could see nothing sees everything.
///
/// Source: Cheng et al., *Putting the Object Back into Video Object Segmentation*, CVPR 2024, §3.3.
struct ForegroundMask: NonDifferentiableOperation {
  let queries: Int

  var kind: OperationKind { .foregroundMask }

  /// Low enough that e to its power is 0, and far from overflow in a sum.
  private static let blocked: Float = -1e9

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      shape.rank == 3 && shape.count > 0 && queries % 2 == 0,
      "foregroundMask: logits \(shape), \(queries) queries, expected [B, N, P] and an even number")
    return [shape[0], shape[1], queries, shape[2]]
  }

  /// One flag for each object and pixel.
  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int { inputs[0].count }

  func forward(_ pass: ForwardPass) {
    let shape = pass.inputs[0].shape
    let (objects, pixels) = (shape.dimensions[1], shape.dimensions[2])
    let (logits, flags, output) = (pass.inputs[0].pointer, pass.scratch, pass.output.pointer)
    pass.workers.run(chunks: shape.dimensions[0]) { item in
      let logits = logits + item * objects * pixels
      let flags = flags + item * objects * pixels
      for pixel in 0..<pixels { mark(logits + pixel, flags + pixel, objects, stride: pixels) }
      for object in 0..<objects {
        let inside = flags + object * pixels
        var count = 0
        for pixel in 0..<pixels where inside[pixel] != 0 { count += 1 }
        for query in 0..<queries {
          let row = output + ((item * objects + object) * queries + query) * pixels
          let isObject = query < queries / 2
          let isOpen = isObject ? count == 0 : count == pixels
          for pixel in 0..<pixels {
            row[pixel] = isOpen || (inside[pixel] != 0) == isObject ? 0 : Self.blocked
          }
        }
      }
    }
  }

  /// Says for each object of one pixel whether it is at least as probable as everything else.
  private func mark(
    _ logits: UnsafePointer<Float>, _ flags: UnsafeMutablePointer<Float>, _ objects: Int,
    stride: Int
  ) {
    // With one object, p ≥ 1 − p is a question of the sign; a probability of the background as a
    // product of float32 numbers would lose it near the ends.
    if objects == 1 {
      flags[0] = logits[0] >= 0 ? 1 : 0
      return
    }
    var (background, largest) = (1.0, 0.0)
    for object in 0..<objects {
      let p = 1 / (1 + Foundation.exp(-Double(logits[object * stride])))
      background *= 1 - p
      largest = max(largest, p)
    }
    largest = max(largest, background)
    for object in 0..<objects {
      let p = 1 / (1 + Foundation.exp(-Double(logits[object * stride])))
      flags[object * stride] = p >= largest ? 1 : 0
    }
  }
}

extension Tensor {
  /// A mask for attention of `queries` queries to the pixels of objects with logits `[B, N, P]`.
  ///
  /// The first half of the queries sees an object's pixels alone, the second half the others.
  ///
  /// - Parameter queries: An even number.
  /// - Returns: `[B, N, queries, P]`: 0 or a large negative number, to be added to scores; without a
  ///   gradient.
  public func foregroundMask(queries: Int) -> Tensor {
    Tensor.apply(ForegroundMask(queries: queries), [self])
  }
}
