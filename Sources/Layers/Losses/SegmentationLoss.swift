public import TensorCore

extension Tensor {
  /// Mean cross-entropy of logits against class shares: the mean over positions of `−Σ_c y_c log p_c`.
  ///
  /// - Parameter target: One-hot or soft, the shape of the logits `[N, spatial…, C]`.
  /// - Returns: A scalar.
  public func crossEntropy(target: Tensor) -> Tensor {
    precondition(shape == target.shape, "cross-entropy: logits \(shape), target \(target.shape)")
    return (logSoftmax() * target).sum().scaled(by: -1 / Float(shape.rows))
  }

  /// Cross-entropy plus one minus the mean Dice of all classes but the first, over the whole batch.
  ///
  /// `dice[c] = (2·Σ p·y + s) / (Σ p + Σ y + s)` with sums over batch and space: small structures that
  /// are not in every sample still give a steady value.
  ///
  /// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021, methods (loss, batch Dice).
  ///
  /// - Parameters:
  ///   - target: One-hot, the shape of the logits `[N, spatial…, C]`, C ≥ 2.
  ///   - smooth: s.
  /// - Returns: A scalar.
  public func segmentationLoss(target: Tensor, smooth: Float = 1) -> Tensor {
    let classes = shape.channels
    precondition(
      shape == target.shape && classes >= 2 && shape.rank > 2,
      "segmentation loss: logits \(shape), target \(target.shape)")
    let positions: Shape = [shape.rows, classes]
    let p = softmax().reshaped(to: positions).sliced(axis: 1, 1..<classes)
    let y = target.reshaped(to: positions).sliced(axis: 1, 1..<classes)
    let both = (p * y).sum(axes: [0])
    let sizes = p.sum(axes: [0]) + y.sum(axes: [0])
    let dice = (both * 2 + smooth) / (sizes + smooth)
    return crossEntropy(target: target) + (dice.mean() * -1 + 1)
  }
}
