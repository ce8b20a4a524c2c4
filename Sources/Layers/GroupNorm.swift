public import TensorCore

/// Normalises groups of neighbouring channels of each item over all positions, then scales and shifts
/// each channel.
///
/// State dictionary: `weight` `[C]`, initially 1, and `bias` `[C]`, initially 0.
///
/// Source: Wu, He, *Group Normalization*, ECCV 2018.
public final class GroupNorm: Module {
  /// The scale, `[C]`.
  public let weight: Parameter
  /// The shift, `[C]`.
  public let bias: Parameter
  /// The number of groups.
  public let groups: Int
  /// Added to the variance.
  public let eps: Float

  /// A layer for a number of channels, a multiple of `groups`.
  public init(channels: Int, groups: Int, eps: Float = 1e-5) {
    precondition(
      groups > 0 && channels % groups == 0, "groupNorm: \(channels) channels in \(groups) groups")
    weight = Parameter([channels], repeating: 1)
    bias = Parameter([channels], repeating: 0)
    self.groups = groups
    self.eps = eps
  }

  /// The scale and the shift.
  public var members: [Member] { [.parameter("weight", weight), .parameter("bias", bias)] }

  /// Normalises `[N, …, C]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.groupNormalized(groups: groups, weight: weight.tensor, bias: bias.tensor, eps: eps)
  }
}

/// Normalises each channel of each item over all positions; scales and shifts it if `isAffine`.
///
/// State dictionary: `weight` and `bias` `[C]` if the layer is affine, else nothing.
///
/// Source: Ulyanov, Vedaldi, Lempitsky, *Instance Normalization*, arXiv 1607.08022.
public final class InstanceNorm: Module {
  /// The scale, `[C]`, nil for a layer without one.
  public let weight: Parameter?
  /// The shift, `[C]`, nil for a layer without one.
  public let bias: Parameter?
  /// Added to the variance.
  public let eps: Float

  /// A layer for a number of channels.
  public init(channels: Int, eps: Float = 1e-5, isAffine: Bool = false) {
    weight = isAffine ? Parameter([channels], repeating: 1) : nil
    bias = isAffine ? Parameter([channels], repeating: 0) : nil
    self.eps = eps
  }

  /// The scale and the shift, if there are any.
  public var members: [Member] {
    (weight.map { [.parameter("weight", $0)] } ?? [])
      + (bias.map { [.parameter("bias", $0)] } ?? [])
  }

  /// Normalises `[N, …, C]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    x.instanceNormalized(weight: weight?.tensor, bias: bias?.tensor, eps: eps)
  }
}
