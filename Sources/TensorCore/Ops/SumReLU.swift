import Kernels

/// `max(a + b, 0)` for operands of one shape: the end of a residual block, in one pass over memory.
struct SumReLU: Operation {
  var kind: OperationKind { .sumReLU }
  var backwardReads: BackwardReads { .output }

  func outputShape(_ inputs: [Shape]) -> Shape {
    precondition(
      inputs[0] == inputs[1], "sumReLU: \(inputs[0]) and \(inputs[1]) differ")
    return inputs[0]
  }

  func forward(_ pass: ForwardPass) {
    let (a, b, y) = (pass.inputs[0].pointer, pass.inputs[1].pointer, pass.output.pointer)
    pass.workers.run(count: pass.output.count, grain: ElementChunks.elements) { range in
      let first = range.lowerBound
      k_binary_forward(y + first, a + first, 1, b + first, 1, K_BINARY_ADD, false, range.count)
      // The chunk is still in the cache.
      k_unary_forward(y + first, y + first, K_UNARY_RELU, 0, range.count)
    }
  }

  func backward(_ pass: BackwardPass) {
    let (dy, y) = (pass.outputGradient.pointer, pass.outputValues.pointer)
    let gradients = pass.inputGradients.compactMap { $0?.pointer }
    pass.workers.run(count: pass.outputGradient.count, grain: ElementChunks.elements) { range in
      let first = range.lowerBound
      for gradient in gradients {
        k_relu_backward_from_output(gradient + first, dy + first, y + first, range.count)
      }
    }
  }
}

extension Tensor {
  /// `max(a + b, 0)` for tensors of one shape.
  public static func sumReLU(_ a: Tensor, _ b: Tensor) -> Tensor { apply(SumReLU(), [a, b]) }
}
