import Synchronization
public import TensorCore

/// Normalises each channel over the whole batch, then scales and shifts it.
///
/// In training the statistics are those of the batch, and running averages follow them:
/// `running = (1 − momentum) · running + momentum · batch`, with the variance divided by n for
/// normalising and by n − 1 for the average. In evaluation, the initial mode, the averages are used.
///
/// State dictionary: `weight` `[C]`, initially 1, `bias` `[C]`, initially 0, and the buffers
/// `running_mean` `[C]`, `running_var` `[C]` and `num_batches_tracked` `[]`.
///
/// Source: Ioffe, Szegedy, *Batch Normalization*, ICML 2015, algorithms 1 and 2.
public final class BatchNorm: Module {
  /// The scale, `[C]`.
  public let weight: Parameter
  /// The shift, `[C]`.
  public let bias: Parameter
  /// The average of the batches' means, `[C]`.
  public let runningMean: Parameter
  /// The average of the batches' variances, `[C]`.
  public let runningVariance: Parameter
  /// How many batches the averages have seen, `[]`.
  public let batchCount: Parameter
  /// Added to the variance.
  public let eps: Float
  /// The weight of a new batch in the averages.
  public let momentum: Float

  private let training = Atomic<Bool>(false)

  /// Whether the batch's own statistics are used.
  public var isTraining: Bool { training.load(ordering: .acquiring) }
  private let folded = FoldCache<(scale: Tensor, shift: Tensor)>()

  /// A layer for a number of channels.
  public init(channels: Int, eps: Float = 1e-5, momentum: Float = 0.1) {
    weight = Parameter([channels], repeating: 1)
    bias = Parameter([channels], repeating: 0)
    runningMean = .constant([channels], 0)
    runningVariance = .constant([channels], 1)
    batchCount = .constant(.scalar, 0)
    self.eps = eps
    self.momentum = momentum
  }

  /// The two parameters and the three buffers.
  public var members: [Member] {
    [
      .parameter("weight", weight), .parameter("bias", bias),
      .buffer("running_mean", runningMean), .buffer("running_var", runningVariance),
      .buffer("num_batches_tracked", batchCount),
    ]
  }

  /// A scale and a shift of each channel: what remains for a deployed copy.
  public var deployedCount: Int { 2 * weight.count }

  /// Batch statistics in training, running averages otherwise.
  public func modeChanged(isTraining: Bool) {
    training.store(isTraining, ordering: .releasing)
  }

  /// What the layer does in evaluation, as `scale · x + shift`, both `[C]`.
  ///
  /// Depends on parameters alone, so that a convolution before this layer can take it into its kernel
  /// and bias.
  public var affine: (scale: Tensor, shift: Tensor) {
    folded.value(of: [weight, bias, runningMean, runningVariance]) {
      let scale = weight.tensor * (runningVariance.tensor + eps).reciprocalSquareRoot()
      return (scale, bias.tensor - runningMean.tensor * scale)
    }
  }

  /// Normalises `[N, …, C]`; in training there must be more than one value for each channel.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    guard isTraining else {
      let (scale, shift) = affine
      return x.channelScaled(by: scale, shift: shift)
    }
    precondition(
      x.shape.rows > 1,
      "batchNorm: training on \(x.shape), one value per channel; use a batch of at least 2")
    let (output, mean, variance) = x.batchNormalized(
      weight: weight.tensor, bias: bias.tensor, eps: eps)
    let count = Float(x.shape.rows)
    follow(mean, with: runningMean, factor: 1)
    follow(variance, with: runningVariance, factor: count / (count - 1))
    batchCount.update { $0[0] += 1 }
    return output
  }

  private func follow(_ statistic: Tensor, with average: Parameter, factor: Float) {
    average.update { values in
      statistic.withValues { batch in
        for index in values.indices {
          values[index] = (1 - momentum) * values[index] + momentum * factor * batch[index]
        }
      }
    }
  }
}

extension Parameter {
  /// A buffer with every element the same.
  static func constant(_ shape: Shape, _ value: Float) -> Parameter {
    Parameter(shape, requiresGradient: false) { $0.initialize(repeating: value) }
  }
}
