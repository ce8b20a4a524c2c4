/// Folds Omni-Shift's four branches into one depthwise 5×5 kernel:
/// `α₀·δ + α₁·K₁ + α₂·K₃ + α₃·K₅`, each centred.
///
/// Inputs alpha `[4]`, K₁ `[C, 1, 1, 1]`, K₃ `[C, 1, 3, 3]`, K₅ `[C, 1, 5, 5]`. A convolution is linear
/// in its kernel, so training through the folded kernel has the same gradients as the four branches.
///
/// Source: Restore-RWKV, arXiv 2407.11087, §3 (Omni-Shift, structural re-parameterisation).
struct OmniShiftKernel: Operation {
  var kind: OperationKind { .omniShiftKernel }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let channels = inputs[1][0]
    precondition(
      inputs == [[4], [channels, 1, 1, 1], [channels, 1, 3, 3], [channels, 1, 5, 5]],
      "omni-shift: \(inputs), expected [4], [C, 1, 1, 1], [C, 1, 3, 3], [C, 1, 5, 5]")
    return [channels, 1, 5, 5]
  }

  /// The tap of the 3×3 kernel under a tap of the 5×5 one.
  private static func tap3(_ tap: Int) -> Int? {
    let (row, column) = (tap / 5 - 1, tap % 5 - 1)
    return (0..<3).contains(row) && (0..<3).contains(column) ? row * 3 + column : nil
  }

  func forward(_ pass: ForwardPass) {
    let alpha = pass.inputs[0].pointer
    let (k1, k3, k5) = (pass.inputs[1].pointer, pass.inputs[2].pointer, pass.inputs[3].pointer)
    for channel in 0..<pass.inputs[1].count {
      for tap in 0..<25 {
        var value = alpha[3] * k5[channel * 25 + tap]
        if let inner = Self.tap3(tap) { value += alpha[2] * k3[channel * 9 + inner] }
        if tap == 12 { value += alpha[0] + alpha[1] * k1[channel] }
        pass.output.pointer[channel * 25 + tap] = value
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let channels = pass.shapes[1].count
    let dy = pass.outputGradient.pointer
    let alpha = pass.input(0).pointer
    let (k1, k3, k5) = (pass.input(1).pointer, pass.input(2).pointer, pass.input(3).pointer)
    var dAlpha = [Double](repeating: 0, count: 4)
    for channel in 0..<channels {
      for tap in 0..<25 {
        let g = dy[channel * 25 + tap]
        dAlpha[3] += Double(g) * Double(k5[channel * 25 + tap])
        pass.inputGradients[3]?.pointer[channel * 25 + tap] = alpha[3] * g
        if let inner = Self.tap3(tap) {
          dAlpha[2] += Double(g) * Double(k3[channel * 9 + inner])
          pass.inputGradients[2]?.pointer[channel * 9 + inner] = alpha[2] * g
        }
        if tap == 12 {
          dAlpha[0] += Double(g)
          dAlpha[1] += Double(g) * Double(k1[channel])
          pass.inputGradients[1]?.pointer[channel] = alpha[1] * g
        }
      }
    }
    for (index, value) in dAlpha.enumerated() {
      pass.inputGradients[0]?.pointer[index] = Float(value)
    }
  }
}

extension Tensor {
  /// Omni-Shift's four branches as one depthwise kernel.
  ///
  /// - Parameters:
  ///   - alpha: The branches' weights, `[4]`: identity, 1×1, 3×3, 5×5.
  ///   - conv1x1: `[C, 1, 1, 1]`.
  ///   - conv3x3: `[C, 1, 3, 3]`.
  ///   - conv5x5: `[C, 1, 5, 5]`.
  /// - Returns: `[C, 1, 5, 5]`.
  public static func omniShiftKernel(
    alpha: Tensor, conv1x1: Tensor, conv3x3: Tensor, conv5x5: Tensor
  ) -> Tensor {
    apply(OmniShiftKernel(), [alpha, conv1x1, conv3x3, conv5x5])
  }
}
