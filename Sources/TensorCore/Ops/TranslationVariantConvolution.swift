import Kernels

/// Depthwise convolution of `[N, H, W, C]` with a kernel of its own at every output position.
///
/// Inputs: x and the weights `[h, w, k², C]`, which all images share; odd k, zero padding k / 2.
///
/// Source: Chen et al., *TVConv: Efficient Translation Variant Convolution for Layout-aware Visual
/// Processing*, CVPR 2022, eq. (2).
struct TranslationVariantConvolution: Operation {
  let kernel: Int
  let stride: Int

  var kind: OperationKind { .translationVariantConvolution }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weights) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && x.count > 0 && weights.rank == 4 && weights.channels == x.channels
        && weights[2] == kernel * kernel && kernel % 2 == 1 && stride >= 1
        && weights[0] == (x[1] - 1) / stride + 1 && weights[1] == (x[2] - 1) / stride + 1,
      "\(kind): x \(x), weights \(weights), not [N, H, W, C] and [h, w, \(kernel * kernel), C] with "
        + "h = ⌊(H − 1) / \(stride)⌋ + 1")
    return [x[0], weights[0], weights[1], x.channels]
  }

  private func sizes(_ x: Shape, _ weights: Shape) -> k_tvconv {
    k_tvconv(
      batch: x[0], channels: x.channels, kernel: kernel, stride: stride, in_height: x[1],
      in_width: x[2], out_height: weights[0], out_width: weights[1])
  }

  func forward(_ pass: ForwardPass) {
    let (x, weights) = (pass.inputs[0], pass.inputs[1])
    var sizes = sizes(x.shape, weights.shape)
    withUnsafePointer(to: &sizes) { sizes in
      pass.workers.run(chunks: weights.shape[0]) { row in
        k_tvconv_forward(pass.output.pointer, x.pointer, weights.pointer, sizes, row, row + 1)
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let upstream = pass.outputGradient
    var sizes = sizes(pass.shapes[0], pass.shapes[1])
    withUnsafePointer(to: &sizes) { sizes in
      if let gradient = pass.inputGradients[0] {
        let weights = pass.input(1)
        pass.workers.run(chunks: gradient.shape[1]) { row in
          k_tvconv_input_gradient(
            gradient.pointer, upstream.pointer, weights.pointer, sizes, row, row + 1)
        }
      }
      if let gradient = pass.inputGradients[1] {
        let x = pass.input(0)
        pass.workers.run(chunks: gradient.shape[0]) { row in
          k_tvconv_weight_gradient(
            gradient.pointer, upstream.pointer, x.pointer, sizes, row, row + 1)
        }
      }
    }
  }
}

extension Tensor {
  /// Depthwise convolution of `[N, H, W, C]` with a kernel of its own at every output position.
  ///
  /// - Parameters:
  ///   - weights: `[h, w, k², C]` with odd k, tap `(i, j)` at `i · k + j`; h = ⌊(H − 1) / stride⌋ + 1, and
  ///     so for w.
  ///   - stride: Steps along both axes.
  /// - Returns: `[N, h, w, C]`; the image is zero-padded by k / 2.
  public func convolved(withKernelsAtPositions weights: Tensor, stride: Int = 1) -> Tensor {
    precondition(
      weights.shape.rank == 4, "translation-variant convolution: weights \(weights.shape)")
    let kernel = Int(Double(weights.shape[2]).squareRoot().rounded())
    return Tensor.apply(
      TranslationVariantConvolution(kernel: kernel, stride: stride), [self, weights])
  }
}
