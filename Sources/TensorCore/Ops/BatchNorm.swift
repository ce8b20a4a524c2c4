extension Tensor {
  /// Batch normalisation of `[N, ..., C]` by the statistics of the batch itself: each channel over all
  /// items and positions; `weight` and `bias` are `[C]`.
  ///
  /// `mean` and `variance` (`[C]`, the variance divided by n, not n − 1) are not tracked; running
  /// averages are made of them.
  ///
  /// Source: Ioffe, Szegedy, *Batch Normalization*, ICML 2015, algorithm 1.
  public func batchNormalized(
    weight: Tensor?, bias: Tensor?, eps: Float = 1e-5
  ) -> (output: Tensor, mean: Tensor, variance: Tensor) {
    let parameters = NormParameters(hasWeight: weight != nil, hasBias: bias != nil)
    let (output, saved) = Tensor.applyKeepingSaved(
      GroupNorm(groups: nil, eps: eps, parameters: parameters),
      [self] + [weight, bias].compactMap(\.self))
    guard let saved else { preconditionFailure("batchNorm: forward saved no statistics") }
    let channels = shape.channels
    func statistic(_ index: Int) -> Tensor {
      Tensor([channels]) {
        $0.baseAddress?.update(from: saved.pointer + index * channels, count: channels)
      }
    }
    return (output, statistic(0), statistic(2))
  }

  /// Normalisation by given statistics, `(x − mean) / √(variance + eps) · weight + bias`, all `[C]`.
  public func normalized(
    mean: Tensor, variance: Tensor, weight: Tensor?, bias: Tensor?, eps: Float = 1e-5
  ) -> Tensor {
    let inverse = (variance + eps).reciprocalSquareRoot()
    let scaled = (self - mean) * (weight.map { $0 * inverse } ?? inverse)
    return bias.map { scaled + $0 } ?? scaled
  }
}
