public import TensorCore

extension Tensor {
  /// One channel for each class: 1 where the class index is that of the channel, else 0.
  ///
  /// - Parameter classes: The number of classes; every element is a whole number in `0..<classes`.
  /// - Returns: This shape with an axis of `classes` at the end.
  public func oneHot(classes: Int) -> Tensor {
    let shape = Shape(shape.dimensions + [classes])
    return Tensor(shape) { target in
      target.initialize(repeating: 0)
      withValues { indices in
        for (place, index) in indices.enumerated() {
          let index = Int(index)
          precondition(
            (0..<classes).contains(index), "oneHot: class \(index) of \(classes)")
          target[place * classes + index] = 1
        }
      }
    }
  }

  /// The soft Dice loss of logits, all classes alike.
  ///
  /// With p the softmax and y the target, `dice[n, c] = (2·Σ p·y + smooth) / (Σ p + Σ y + smooth)` over
  /// space, and the loss is the mean over n of `C − Σ_c dice[n, c]`: 0 for a perfect result.
  ///
  /// Source: Milletari et al., *V-Net*, 3DV 2016, in the form of Xue et al., NeuroImage: Clinical 25
  /// (2019) 102118, published code.
  ///
  /// - Parameters:
  ///   - target: 0 to 1 for each class, the shape of the logits `[N, spatial…, C]`.
  ///   - smooth: Added above and below.
  /// - Returns: A scalar.
  public func softDiceLoss(target: Tensor, smooth: Float = 1) -> Tensor {
    precondition(
      target.shape == shape && shape.rank > 2,
      "softDiceLoss: logits \(shape), target \(target.shape)")
    let space = Array(1..<shape.rank - 1)
    let probabilities = softmax()
    let both = (probabilities * target).sum(axes: space)
    let sizes = probabilities.sum(axes: space) + target.sum(axes: space)
    let dice = (both * 2 + smooth) / (sizes + smooth)
    return (dice.sum(axes: [1]) * -1 + Float(shape.channels)).mean()
  }
}
