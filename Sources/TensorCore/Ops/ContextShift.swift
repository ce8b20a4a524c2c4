import Kernels

/// Groups of channels of `[N, H, W, C]` moved by fixed offsets, optionally with the same at half
/// resolution: `y = keep · x + moved · shift(x) + blocks · up((shift − 1)(Σ 2×2 of x))`.
///
/// The last term is a shift of the low band of a Haar transform whose other bands stay: as the
/// transform inverts itself, `IDWT(LL + w·(shift − 1)LL, …) = x + w/4 · up((shift − 1)(Σ 2×2))`.
struct ContextShift: Operation {
  let keep: Float
  let moved: Float
  /// The factor of the half-resolution term, nil for none; height and width are then even.
  let blocks: Float?

  var kind: OperationKind { .contextShift }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      shape.rank == 4 && (blocks == nil || (shape[1] % 2 == 0 && shape[2] % 2 == 0)),
      "contextShift: \(shape), expected [N, H, W, C]\(blocks == nil ? "" : " of even H and W")")
    return shape
  }

  /// The last channel of each group, exclusive: widths are ⌊C / 9 · 1 / (|dy| + |dx|)⌋.
  static func groupEnds(channels: Int) -> [Int32] {
    var end: Int32 = 0
    return ContextShift.distances.map { distance in
      // In doubles, like the reference program: 36/9/2 must not round down to 1.
      end += Int32(Double(channels) / 9 * (1 / Double(distance)))
      return end
    }
  }

  /// |dy| + |dx| of each offset, in the kernel's order.
  private static let distances = [1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4]

  /// Two images of half the height and width: the sums and what is added for them.
  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    blocks == nil ? 0 : inputs[0].count / 2
  }

  func forward(_ pass: ForwardPass) {
    run(pass.inputs[0], into: pass.output, pass.scratch, direction: 1, pass.workers)
  }

  /// The same with shifts the other way: block sum and repetition are each other's transpose.
  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    run(pass.outputGradient, into: gradient, pass.scratch, direction: -1, pass.workers)
  }

  private func run(
    _ x: Buffer, into y: Buffer, _ scratch: UnsafeMutablePointer<Float>, direction: Int32,
    _ workers: WorkerPool
  ) {
    let (height, width, c) = (x.shape[1], x.shape[2], x.shape[3])
    let ends = Self.groupEnds(channels: c)
    func forEach(_ height: Int, _ width: Int, _ body: (_ item: Int, _ rows: Range<Int>) -> Void) {
      let perChunk = max(1, ElementChunks.elements / max(1, width * c))
      let chunks = (height + perChunk - 1) / perChunk
      workers.run(chunks: x.shape[0] * chunks) { chunk in
        let first = chunk % chunks * perChunk
        body(chunk / chunks, first..<min(height, first + perChunk))
      }
    }
    let count = height * width * c
    var added: UnsafeMutablePointer<Float>?
    if let blocks {
      let (sums, terms) = (scratch, scratch + x.count / 4)
      forEach(height / 2, width / 2) { item, rows in
        k_block_sum(
          sums + item * count / 4, x.pointer + item * count, blocks, rows.lowerBound,
          rows.upperBound, width / 2, c)
      }
      forEach(height / 2, width / 2) { item, rows in
        k_context_shift(
          terms + item * count / 4, sums + item * count / 4, nil, ends, direction, -1, 1,
          rows.lowerBound, rows.upperBound, height / 2, width / 2, c)
      }
      added = terms
    }
    forEach(height, width) { item, rows in
      k_context_shift(
        y.pointer + item * count, x.pointer + item * count, added.map { $0 + item * count / 4 },
        ends, direction, keep, moved, rows.lowerBound, rows.upperBound, height, width, c)
    }
  }
}

extension Tensor {
  /// The channels of `[N, H, W, C]` in sixteen groups, each moved by an offset of its own; channels
  /// beyond the groups and places without a source are 0.
  ///
  /// Source: FS-RWKV, arXiv 2510.08951 (context shift).
  public func contextShifted() -> Tensor {
    Tensor.apply(ContextShift(keep: 0, moved: 1, blocks: nil), [self])
  }

  /// The frequency-aware shift of FS-RWKV, `w·(CTS(x) + IDWT(CTS(LL), LH, HL, HH)) + (1 − w)·x`, with
  /// `CTS(x) = w·shift(x) + (1 − w)·x` and one level of a zero-padded Haar transform.
  ///
  /// Maps of odd height or width are one larger after the transform and back, and then resized
  /// bilinearly.
  ///
  /// - Parameter w: 0.5 in the published network.
  /// - Returns: The shape of this tensor, `[N, H, W, C]`.
  ///
  /// Source: FS-RWKV, arXiv 2510.08951.
  public func waveletShifted(weight w: Float = 0.5) -> Tensor {
    precondition(shape.rank == 4, "waveletShifted: \(shape), expected [N, H, W, C]")
    if shape[1] % 2 == 0 && shape[2] % 2 == 0 {
      return Tensor.apply(
        ContextShift(keep: w * (2 - w) + 1 - w, moved: w * w, blocks: w * w / 4), [self])
    }
    func mixed(_ x: Tensor) -> Tensor {
      Tensor.apply(ContextShift(keep: 1 - w, moved: w, blocks: nil), [x])
    }
    return waveletShifted(input: mixed, low: mixed).scaled(by: w) + scaled(by: 1 - w)
  }

  /// `input(x) + IDWT(low(LL), LH, HL, HH)`, the general form of the frequency-aware shift.
  ///
  /// - Parameters:
  ///   - input: Applied to this tensor `[N, H, W, C]`.
  ///   - low: Applied to the low band, `[N, ⌈H/2⌉, ⌈W/2⌉, C]`.
  /// - Returns: The shape of this tensor.
  public func waveletShifted(
    input: (Tensor) -> Tensor, low: (Tensor) -> Tensor
  ) -> Tensor {
    let bands = waveletDecomposed(by: .haar, boundary: .zero, axes: [1, 2])
    let image = Shape(Array(bands.shape.dimensions.dropFirst()))
    let moved = low(bands.sliced(axis: 0, 0..<1).reshaped(to: image))
    let composed = Tensor.concatenate(
      [moved.reshaped(to: Shape([1] + image.dimensions)), bands.sliced(axis: 0, 1..<4)], axis: 0
    ).waveletComposed(by: .haar, boundary: .zero, axes: [1, 2])
    return input(self)
      + composed.resized(to: [shape[1], shape[2]], mode: .linear(alignCorners: false))
  }
}
