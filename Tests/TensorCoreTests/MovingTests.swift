import TensorCore
import TestSupport
import Testing

/// The position of each element of a shape, in row-major order.
private func positions(in shape: Shape) -> [[Int]] {
  (0..<shape.count).map { element in
    zip(shape.strides, shape.dimensions).map { stride, size in element / stride % size }
  }
}

extension Tensor {
  /// A tensor whose elements are looked up one by one: the slow and plain form of moving elements.
  fileprivate func rearranged(to shape: Shape, from source: ([Int]) -> [Int]?) -> Tensor {
    let values = values
    return Tensor(
      shape,
      positions(in: shape).map { position in
        source(position).map { zip($0, self.shape.strides).map(*).reduce(0, +) }
          .map { values[$0] } ?? 0
      })
  }

  /// The elements are 0, 1, 2 and so on.
  fileprivate static func counting(_ shape: Shape) -> Tensor {
    Tensor(shape, (0..<shape.count).map(Float.init))
  }
}

@Suite("Operations that move elements")
struct MovingTests {
  @Test(
    "permute moves each element to its place",
    arguments: [
      ([2, 3, 4], [0, 2, 1]), ([2, 3, 4], [2, 1, 0]), ([2, 3, 4], [1, 2, 0]),
      ([2, 3, 4, 5], [0, 2, 1, 3]), ([2, 3, 4, 5], [3, 1, 0, 2]), ([33, 70], [1, 0]),
      ([2, 700, 19], [0, 2, 1]), ([3, 19, 700], [2, 0, 1]), ([2, 1, 3, 1], [3, 2, 1, 0]),
      ([2, 0, 3], [2, 1, 0]), ([5], [0]), ([], []), ([2, 40, 3, 50], [0, 3, 2, 1]),
    ] as [([Int], [Int])])
  func permute(_ sizes: [Int], _ axes: [Int]) {
    let x = Tensor.counting(Shape(sizes))
    let expected = x.rearranged(to: Shape(axes.map { sizes[$0] })) { position in
      axes.indices.map { axis in position[axes.firstIndex(of: axis) ?? 0] }
    }
    #expect(Mismatch(x.permuted(axes), expected) == nil)
  }

  @Test("permuting and permuting back changes nothing")
  func permuteBack() {
    let x = Tensor.counting([2, 3, 4, 5])
    #expect(Mismatch(x.permuted([3, 0, 2, 1]).permuted([1, 3, 2, 0]), x) == nil)
    #expect(Mismatch(x.transposed().transposed(), x) == nil)
  }

  @Test("permute covers an array of several chunks")
  func permuteChunks() {
    let x = Tensor.counting([1, 300, 400])
    let y = x.transposed()
    #expect(y.withValues { $0[1] } == 400)
    #expect(y.withValues { $0[300] } == 1)
    #expect(Mismatch(y.transposed(), x) == nil)
  }

  @Test(
    "slice takes a block",
    arguments: [
      ([4, 5, 6], [1..<3, 0..<5, 0..<6]), ([4, 5, 6], [0..<4, 2..<5, 0..<6]),
      ([4, 5, 6], [0..<4, 0..<5, 3..<4]), ([4, 5, 6], [1..<2, 1..<4, 2..<6]),
      ([4, 5, 6], [0..<4, 3..<3, 0..<6]), ([7], [2..<5]),
    ] as [([Int], [Range<Int>])])
  func slice(_ sizes: [Int], _ ranges: [Range<Int>]) {
    let x = Tensor.counting(Shape(sizes))
    let expected = x.rearranged(to: Shape(ranges.map(\.count))) { position in
      zip(position, ranges).map { $0 + $1.lowerBound }
    }
    #expect(Mismatch(x.sliced(ranges), expected) == nil)
  }

  @Test(
    "pad surrounds with the value",
    arguments: [
      ([0, 1, 0], [0, 2, 0]), ([1, 0, 0], [0, 0, 0]), ([0, 0, 2], [0, 0, 3]),
      ([1, 2, 3], [3, 2, 1]), ([0, 0, 0], [0, 0, 0]),
    ])
  func pad(_ before: [Int], _ after: [Int]) {
    let x = Tensor.counting([2, 3, 4])
    let y = x.padded(before: before, after: after, value: -7)
    #expect(Mismatch(y.sliced(zip(before, x.shape.dimensions).map { $0..<$0 + $1 }), x) == nil)
    #expect(y.values.filter { $0 == -7 }.count == y.count - x.count)
    #expect(y.shape == Shape((0..<3).map { before[$0] + x.shape[$0] + after[$0] }))
  }

  @Test("concatenate and split are inverse", arguments: [0, 1, 2, -1])
  func split(axis: Int) {
    let x = Tensor.counting([6, 6, 6])
    let parts = x.split(axis: axis, sizes: [1, 3, 0, 2])
    #expect(parts.map { $0.shape[axis] } == [1, 3, 0, 2])
    #expect(Mismatch(Tensor.concatenate(parts, axis: axis), x) == nil)
  }

  @Test("stack puts tensors side by side along a new axis", arguments: [0, 1, 2, -1])
  func stack(axis: Int) {
    let parts: [Tensor] = [.counting([2, 3]), .random([2, 3], seed: 1)]
    let y = Tensor.stack(parts, axis: axis)
    for (index, part) in parts.enumerated() {
      let slice = y.sliced(axis: axis, index..<index + 1)
      #expect(Mismatch(slice.reshaped(to: [2, 3]), part) == nil)
    }
  }

  @Test(
    "broadcast repeats",
    arguments: [
      ([3, 1, 4], [3, 5, 4]), ([4], [2, 3, 4]), ([1, 3, 1], [2, 3, 4]), ([], [2, 2]),
      ([3, 1], [3, 40000]),
    ] as [([Int], [Int])])
  func broadcast(_ from: [Int], _ to: [Int]) {
    let x = Tensor.counting(Shape(from))
    let expected = x.rearranged(to: Shape(to)) { position in
      zip(position.suffix(from.count), from).map { $1 == 1 ? 0 : $0 }
    }
    #expect(Mismatch(x.broadcast(to: Shape(to)), expected) == nil)
  }

  @Test("gather takes entries by index, scatter adds them back", arguments: [0, 1, 2])
  func gather(axis: Int) {
    let x = Tensor.counting([4, 4, 4])
    let y = x.gathered([3, 0, 3], axis: axis)
    let entries = [3, 0, 3].map { x.sliced(axis: axis, $0..<$0 + 1) }
    #expect(Mismatch(y, .concatenate(entries, axis: axis)) == nil)
    let z = y.scatterAdded([3, 0, 3], axis: axis, count: 4).split(axis: axis, sizes: [1, 2, 1])
    #expect(Mismatch(z[0], entries[1]) == nil)
    #expect(z[1].values.allSatisfy { $0 == 0 })
    #expect(Mismatch(z[2], entries[0] + entries[0]) == nil)
  }
}
