import Kernels

/// A layer norm, a depthwise convolution and the products of its result, as one operation of an
/// inference plan: keys, values and receptances, or a feed-forward.
///
/// Inputs: x `[N, H, W, C]`, the norm's weight and bias where present, the kernel `[C, 1, k, k]`, then for
/// each product all inputs but its first. The shifted image exists a few rows at a time and is
/// multiplied while they are in the cache. The output is that of the one product, or of several equal
/// ones behind each other, `[products, N, H, W, …]`.
struct ShiftedProducts: NonDifferentiableOperation {
  /// Nil where x is shifted as it is.
  let norm: LayerNorm?
  let products: [any RowwiseOperation]
  /// How many inputs each product has besides the shifted image.
  let inputCounts: [Int]

  private let shift = DepthwiseConvolution()

  init(norm: LayerNorm?, products: [any RowwiseOperation], inputCounts: [Int]) {
    self.norm = norm
    self.products = products
    self.inputCounts = inputCounts
  }

  var kind: OperationKind { .shiftedProducts }

  private var kernelIndex: Int {
    guard let parameters = norm?.parameters else { return 1 }
    return 1 + (parameters.hasWeight ? 1 : 0) + (parameters.hasBias ? 1 : 0)
  }

  /// The place of the first own input of each product.
  private var starts: [Int] {
    var start = kernelIndex + 1
    return inputCounts.map { count in
      defer { start += count }
      return start
    }
  }

  /// The shapes that a product sees; the shift keeps the shape of x.
  private func shapes(_ product: Int, _ inputs: [Shape]) -> [Shape] {
    let start = starts[product]
    return [inputs[0]] + inputs[start..<start + inputCounts[product]]
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let normed = norm?.outputShape(Array(inputs.prefix(kernelIndex))) ?? inputs[0]
    _ = shift.outputShape([normed, inputs[kernelIndex]])
    let outputs = products.indices.map { products[$0].outputShape(shapes($0, inputs)) }
    precondition(
      outputs.allSatisfy { $0 == outputs[0] }, "\(kind): products \(outputs) differ in shape")
    return outputs.count == 1 ? outputs[0] : Shape([outputs.count] + outputs[0].dimensions)
  }

  /// Several results stand behind each other.
  var writesSpacedRows: Bool { products.count == 1 && products[0].writesSpacedRows }

  func lowered(to precision: Precision) -> (any Operation)? {
    let lowered = products.map { $0.lowered(to: precision) as? any RowwiseOperation }
    guard lowered.contains(where: { $0 != nil }) else { return nil }
    return ShiftedProducts(
      norm: norm, products: zip(lowered, products).map { $0 ?? $1 }, inputCounts: inputCounts)
  }

  // MARK: - Weights

  /// The product that reads an input, and the input's place among that product's inputs.
  private func owner(ofInput index: Int) -> (product: Int, place: Int)? {
    let starts = starts
    guard let product = starts.lastIndex(where: { $0 <= index }) else { return nil }
    return (product, index - starts[product] + 1)
  }

  func preparation(ofInput index: Int, _ inputs: [Shape], _ pass: Pass) -> Preparation? {
    if index == kernelIndex {
      return shift.preparation(ofInput: 1, [inputs[0], inputs[index]], .forward)
    }
    guard let (product, place) = owner(ofInput: index) else { return nil }
    return products[product].preparation(ofInput: place, shapes(product, inputs), .forward)
  }

  func prepare(
    _ preparation: Preparation, ofInput index: Int, _ inputs: [Shape],
    from source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>
  ) {
    guard let (product, place) = owner(ofInput: index) else {
      return shift.prepare(
        preparation, ofInput: 1, [inputs[0], inputs[index]], from: source, into: destination)
    }
    products[product].prepare(
      preparation, ofInput: place, shapes(product, inputs), from: source, into: destination)
  }

  // MARK: - Pass

  /// Floats of one thread: normalised rows, shifted rows, and what products need.
  private func parts(_ inputs: [Shape]) -> (normalised: Int, shifted: Int, own: Int) {
    let bands = ShiftBands(inputs[0], kernel: inputs[kernelIndex][2])
    let own = products.indices.map { products[$0].rowScratchCount(shapes($0, inputs)) }.max() ?? 0
    func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }
    return (
      norm == nil ? 0 : aligned(bands.buffered * bands.rowCount),
      aligned(bands.group * bands.rowCount), aligned(own)
    )
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let parts = parts(inputs)
    return Engine.shared.workers.threads * (parts.normalised + parts.shifted + parts.own)
  }

  /// The pass of each product, with a first input that is not read.
  private func passes(_ pass: ForwardPass) -> [ForwardPass] {
    let size = pass.output.count / products.count
    let shape =
      products.count == 1
      ? pass.output.shape : Shape(Array(pass.output.shape.dimensions.dropFirst()))
    return zip(starts, inputCounts).enumerated().map { index, range in
      let own = range.0..<range.0 + range.1
      return ForwardPass(
        inputs: [pass.inputs[0]] + pass.inputs[own],
        output: Buffer(
          pass.output.pointer + index * size, shape,
          rowStride: products.count == 1 ? pass.output.rowStride : nil), saved: pass.saved,
        scratch: pass.scratch, prepared: [nil] + pass.prepared[own], workers: pass.workers)
    }
  }

  func forward(_ pass: ForwardPass) {
    guard let taps = pass.prepared[kernelIndex] else { preconditionFailure("\(kind): no taps") }
    let (shape, kernel) = (pass.inputs[0].shape, pass.inputs[kernelIndex].shape[2])
    let (bands, parts) = (ShiftBands(shape, kernel: kernel), parts(pass.inputs.map(\.shape)))
    let (height, rowCount, passes) = (shape[1], bands.rowCount, passes(pass))
    let weight = norm?.parameters.weightIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    let bias = norm?.parameters.biasIndex.map { UnsafePointer(pass.inputs[$0].pointer) }
    pass.workers.run(chunks: shape[0] * bands.perImage) { chunk, worker in
      let image = chunk / bands.perImage
      let x = UnsafePointer(pass.inputs[0].pointer) + image * height * rowCount
      let buffer = pass.scratch + worker * (parts.normalised + parts.shifted + parts.own)
      let shifted = buffer + parts.normalised
      bands.forEachStep(of: chunk % bands.perImage) { rows, needed, held in
        var (source, present) = (x, 0..<height)
        if let norm {
          bands.refill(buffer, needed, after: held) { fresh, target in
            k_layer_norm_forward(
              target, nil, nil, x + fresh.lowerBound * rowCount, weight, bias, norm.eps,
              fresh.count * shape[2], shape.channels)
          }
          (source, present) = (UnsafePointer(buffer), needed)
        }
        for row in stride(from: rows.lowerBound, to: rows.upperBound, by: bands.group) {
          let end = min(rows.upperBound, row + bands.group)
          // Row r of the result belongs at r · rowCount behind the address that is passed on.
          k_depthwise_forward(
            shifted - (row - present.lowerBound) * rowCount, source, taps, kernel,
            row - present.lowerBound, end - present.lowerBound, present.count, shape[2],
            shape.channels)
          let first = (image * height + row) * shape[2]
          for (product, pass) in zip(products, passes) {
            product.forward(
              first..<first + (end - row) * shape[2], of: shifted,
              into: pass.output.pointer + first * pass.output.rowStride, pass,
              scratch: shifted + parts.shifted)
          }
        }
      }
    }
  }
}

/// The division of images into bands of rows that are normalised and shifted together, by shape alone.
struct ShiftBands {
  /// Rows of a band and bands of an image; a band is one task.
  let rows: Int
  let perImage: Int
  /// Rows normalised at a time.
  let step: Int
  /// Rows shifted and multiplied at a time: about a quarter of a megabyte, but no short products.
  let group: Int
  /// Normalised rows that are there meanwhile.
  let buffered: Int
  /// Floats of a row.
  let rowCount: Int

  private let height: Int
  private let reach: Int

  init(_ x: Shape, kernel: Int) {
    height = x[1]
    reach = kernel / 2
    rowCount = x[2] * x.channels
    rows = max(8, (height + 15) / 16)
    perImage = (height + rows - 1) / rows
    // About a megabyte, but not so few rows that most of the time goes into moving them.
    step = max(4, min(rows, (1 << 18) / max(1, rowCount) - (kernel - 1)))
    group = min(step, max((1 << 16) / max(1, rowCount), (127 + x[2]) / max(1, x[2]), 1))
    buffered = step + kernel - 1
  }

  /// Goes down a band: the rows of a step, those that it reads, and those that the step before read.
  func forEachStep(
    of band: Int, _ body: (_ rows: Range<Int>, _ needed: Range<Int>, _ held: Range<Int>) -> Void
  ) {
    let (first, last) = (band * rows, min(height, (band + 1) * rows))
    var held = 0..<0
    for row in stride(from: first, to: last, by: step) {
      let end = min(last, row + step)
      let needed = max(0, row - reach)..<min(height, end + reach)
      body(row..<end, needed, held)
      held = needed
    }
  }

  /// Lets a buffer hold other rows than before: those that it has move up, `write` makes the others.
  func refill(
    _ buffer: UnsafeMutablePointer<Float>, _ needed: Range<Int>, after held: Range<Int>,
    _ write: (_ fresh: Range<Int>, _ target: UnsafeMutablePointer<Float>) -> Void
  ) {
    let kept = max(0, held.upperBound - needed.lowerBound)
    if kept > 0 {
      buffer.update(
        from: buffer + (needed.lowerBound - held.lowerBound) * rowCount, count: kept * rowCount)
    }
    write(needed.lowerBound + kept..<needed.upperBound, buffer + kept * rowCount)
  }
}
