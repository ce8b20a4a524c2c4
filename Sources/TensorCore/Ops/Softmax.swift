import Kernels

/// Softmax over the innermost axis.
struct Softmax: Operation {
  var kind: OperationKind { .softmax }
  var backwardReads: BackwardReads { .output }

  func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    forEachBlock(of: x.shape, pass.workers) { start, rows, channels in
      k_softmax_forward(y.pointer + start, x.pointer + start, rows, channels)
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let (y, upstream) = (pass.outputValues, pass.outputGradient)
    forEachBlock(of: y.shape, pass.workers) { start, rows, channels in
      k_softmax_backward(
        gradient.pointer + start, upstream.pointer + start, y.pointer + start, false, rows, channels
      )
    }
  }
}

/// Logarithm of the softmax over the innermost axis, without forming the softmax.
struct LogSoftmax: Operation {
  var kind: OperationKind { .logSoftmax }
  var backwardReads: BackwardReads { .output }

  func outputShape(_ inputs: [Shape]) -> Shape { inputs[0] }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    forEachBlock(of: x.shape, pass.workers) { start, rows, channels in
      k_log_softmax_forward(y.pointer + start, x.pointer + start, rows, channels)
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let (y, upstream) = (pass.outputValues, pass.outputGradient)
    forEachBlock(of: y.shape, pass.workers) { start, rows, channels in
      k_log_softmax_backward(
        gradient.pointer + start, upstream.pointer + start, y.pointer + start, false, rows, channels
      )
    }
  }
}

/// Calls `body` with the first element and the number of rows of blocks that cover a tensor.
private func forEachBlock(
  of shape: Shape, _ workers: WorkerPool,
  _ body: (_ start: Int, _ rows: Int, _ channels: Int) -> Void
) {
  let channels = shape.channels
  workers.run(count: shape.rows, grain: (1 << 14) / max(1, channels)) { rows in
    body(rows.lowerBound * channels, rows.count, channels)
  }
}

extension Tensor {
  /// Softmax over the innermost axis; exact for large inputs, NaN in a row makes the row NaN.
  public func softmax() -> Tensor { Tensor.apply(Softmax(), [self]) }

  /// Logarithm of the softmax over the innermost axis, by the log-sum-exp of each row.
  public func logSoftmax() -> Tensor { Tensor.apply(LogSoftmax(), [self]) }
}
