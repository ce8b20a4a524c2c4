import Layers
public import TensorCore

/// A measure of how far a prediction is from its target: a norm over all elements, and weighted terms
/// beside it.
public struct RestorationLoss: Sendable, Equatable {
  /// The norm.
  public enum Norm: Sendable, Equatable {
    /// Mean of |x − t|.
    case l1
    /// Mean of (x − t)².
    case l2
    /// Mean of √((x − t)² + ε²).
    case charbonnier(epsilon: Float)
    /// Mean over samples of half the logarithm of the mean of (x − t)² + ε²: a decibel counts the same
    /// whether a sample is hard or easy.
    case peakSignal(epsilon: Float)
    /// The loss of FS-RWKV: smooth L1, structural similarity and edges.
    case translation
  }

  /// The norm; its weight is 1.
  public var norm: Norm
  /// The weight of ``SpectralLoss``.
  public var frequencyWeight: Float
  /// The weight of ``SimilarityLoss``.
  public var similarityWeight: Float
  /// The scales of the similarity: 1 for SSIM, more for MS-SSIM.
  public var similarityScales: Int

  /// A loss.
  ///
  /// - Parameters:
  ///   - norm: The norm, with weight 1.
  ///   - frequencyWeight: The weight of ``SpectralLoss``.
  ///   - similarityWeight: The weight of ``SimilarityLoss``.
  ///   - similarityScales: Its scales.
  public init(
    _ norm: Norm, frequencyWeight: Float = 0, similarityWeight: Float = 0,
    similarityScales: Int = 1
  ) {
    self.norm = norm
    self.frequencyWeight = frequencyWeight
    self.similarityWeight = similarityWeight
    self.similarityScales = similarityScales
  }

  /// The loss that a configuration names.
  public init(_ section: TrainingConfiguration.LossSection) {
    let norm: Norm =
      switch section.name {
      case "l1": .l1
      case "l2": .l2
      case "translation": .translation
      case "psnr": .peakSignal(epsilon: Float(section.epsilon))
      default: .charbonnier(epsilon: Float(section.epsilon))
      }
    self.init(
      norm, frequencyWeight: Float(section.frequencyWeight),
      similarityWeight: Float(section.similarityWeight),
      similarityScales: section.similarityScales)
  }

  /// The smallest height and width of images that it can compare.
  var leastSize: Int {
    // The window of the translation loss reaches over the border by reflection, by half its size.
    let window = norm == .translation ? WindowedSimilarity().window / 2 + 1 : 1
    guard similarityWeight > 0 else { return window }
    return max(window, SimilarityLoss(scales: similarityScales).leastSize)
  }

  /// The loss, a scalar.
  ///
  /// - Parameters:
  ///   - prediction: `[N, H, W, C]`.
  ///   - target: The same shape.
  /// - Returns: A tracked scalar if the prediction is tracked.
  public func callAsFunction(_ prediction: Tensor, _ target: Tensor) -> Tensor {
    precondition(
      prediction.shape == target.shape, "loss: \(prediction.shape), target \(target.shape) differ")
    let difference = prediction - target
    var loss =
      switch norm {
      case .l1: difference.absolute().mean()
      case .l2: difference.squared().mean()
      case .charbonnier(let epsilon):
        difference.squared().scaled(by: 1, adding: epsilon * epsilon).squareRoot().mean()
      case .peakSignal(let epsilon):
        difference.squared().mean(axes: Array(1..<difference.shape.rank))
          .scaled(by: 1, adding: epsilon * epsilon).logarithm().mean().scaled(by: 0.5)
      case .translation: TranslationLoss()(prediction, target)
      }
    if frequencyWeight > 0 { loss = loss + SpectralLoss()(prediction, target) * frequencyWeight }
    if similarityWeight > 0 {
      let similarity = SimilarityLoss(scales: similarityScales)
      loss = loss + similarity(prediction, target) * similarityWeight
    }
    return loss
  }
}
