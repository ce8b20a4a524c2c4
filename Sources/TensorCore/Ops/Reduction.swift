/// Sum, mean or maximum over some axes, which are left with size 1 or removed.
struct Reduction: Operation {
  let function: ReductionFunction
  /// The reduced axes, ascending.
  let axes: [Int]
  let keepsAxes: Bool

  var kind: OperationKind { .reduction(function) }
  var backwardReads: BackwardReads { function == .max ? .everything : .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      function == .sum || axes.allSatisfy { inputs[0][$0] > 0 },
      "\(function.rawValue): axes \(axes) of \(inputs[0]) are empty")
    let kept = keptShape(inputs[0]).dimensions
    return keepsAxes
      ? Shape(kept) : Shape(kept.indices.filter { !axes.contains($0) }.map { kept[$0] })
  }

  private func keptShape(_ shape: Shape) -> Shape {
    Shape(shape.dimensions.enumerated().map { axes.contains($0) ? 1 : $1 })
  }

  private func reduction(of shape: Shape) -> AxisReduction {
    AxisReduction(shape, isReduced: axes.contains)
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let shape = inputs[0]
    let kept = keptShape(shape).count
    switch (pass, function) {
    case (.forward, _): return reduction(of: shape).scratchCount
    case (.backward, .sum): return 0
    case (.backward, .mean): return kept
    case (.backward, .max): return shape.count + kept + reduction(of: shape).scratchCount
    }
  }

  func forward(_ pass: ForwardPass) {
    let shape = pass.inputs[0].shape
    let output = pass.output
    reduction(of: shape).run(
      function, from: pass.inputs[0].pointer, to: output.pointer, scratch: pass.scratch,
      workers: pass.workers)
    guard function == .mean else { return }
    let size = Float(axes.reduce(1) { $0 * shape[$1] })
    pass.workers.run(count: output.count, grain: 1 << 15) { range in
      for index in range { output.pointer[index] /= size }
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let upstream = pass.outputGradient
    switch function {
    case .sum:
      spread(upstream.pointer, over: gradient, pass.workers)
    case .mean:
      let size = Float(axes.reduce(1) { $0 * gradient.shape[$1] })
      pass.workers.run(count: upstream.count, grain: 1 << 15) { range in
        for index in range { pass.scratch[index] = upstream.pointer[index] / size }
      }
      spread(pass.scratch, over: gradient, pass.workers)
    case .max:
      maximumBackward(pass, gradient)
    }
  }

  /// Elements equal to the maximum share its gradient in equal parts.
  private func maximumBackward(_ pass: BackwardPass, _ gradient: Buffer) {
    let (x, upstream) = (pass.input(0), pass.outputGradient)
    let isMaximum = pass.scratch
    let share = isMaximum + x.count
    spread(pass.outputValues.pointer, over: gradient, pass.workers)
    pass.workers.run(count: x.count, grain: 1 << 15) { range in
      for index in range {
        isMaximum[index] = x.pointer[index] == gradient.pointer[index] ? 1 : 0
      }
    }
    reduction(of: x.shape).run(
      .sum, from: isMaximum, to: share, scratch: share + upstream.count, workers: pass.workers)
    for index in 0..<upstream.count { share[index] = upstream.pointer[index] / share[index] }
    spread(share, over: gradient, pass.workers)
    pass.workers.run(count: x.count, grain: 1 << 15) { range in
      for index in range { gradient.pointer[index] *= isMaximum[index] }
    }
  }

  /// Repeats one value per kept position along the reduced axes.
  private func spread(
    _ values: UnsafePointer<Float>, over target: Buffer, _ workers: WorkerPool
  ) {
    let strides = keptShape(target.shape).strides
    StridedCopy(
      sizes: target.shape.dimensions,
      source: strides.enumerated().map { axes.contains($0) ? 0 : $1 },
      target: target.shape.strides
    ).run(from: values, to: target.pointer, workers: workers)
  }
}

extension Tensor {
  /// The sum of all elements.
  public func sum() -> Tensor { sum(axes: Array(0..<shape.rank)) }

  /// The mean of all elements.
  public func mean() -> Tensor { mean(axes: Array(0..<shape.rank)) }

  /// The sum over some axes, which keep size 1 if `keepingAxes`, and else are removed.
  public func sum(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    reduced(.sum, axes, keepingAxes)
  }

  /// The mean over some axes, which keep size 1 if `keepingAxes`, and else are removed.
  public func mean(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    reduced(.mean, axes, keepingAxes)
  }

  /// The largest element along some axes, NaN if there is one; equal maxima share the gradient.
  public func maximum(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    reduced(.max, axes, keepingAxes)
  }

  /// The mean squared deviation from the mean along some axes (divided by n, not n − 1).
  ///
  /// In two passes: the mean of squares minus the squared mean would cancel.
  public func variance(axes: [Int], keepingAxes: Bool = false) -> Tensor {
    let centred = self - mean(axes: axes, keepingAxes: true)
    return (centred * centred).mean(axes: axes, keepingAxes: keepingAxes)
  }

  private func reduced(
    _ function: ReductionFunction, _ axes: [Int], _ keepsAxes: Bool
  ) -> Tensor {
    let axes = Set(axes.map { shape.normalized(axis: $0) }).sorted()
    return Tensor.apply(Reduction(function: function, axes: axes, keepsAxes: keepsAxes), [self])
  }
}
