/// Every kind of operation there is.
///
/// A new operation adds its case here and to ``allCases``; the gradient tests then fail until it has a case
/// there too.
public enum OperationKind: Hashable, Sendable, CaseIterable {
  case unary(UnaryFunction)
  case binary(BinaryFunction)
  case reduction(ReductionFunction)
  case affine
  case reshape, permute, slice, pad, concatenate, broadcast
  case gather, scatterAdd
  case matmul, linear
  case convolution, transposedConvolution, depthwiseConvolution
  case translationVariantConvolution
  case maxPool, averagePool, resize, pixelShuffle, pixelUnshuffle
  case layerNorm, groupNorm, batchNorm
  case softmax, logSoftmax
  case feedForward, gatedProjection, shiftedProducts
  case omniShiftKernel, bidirectionalWKV
  case gatedDeltaRule, pointSample, foregroundMask, sumReLU
  case waveletAnalysis, waveletSynthesis, fourier, contextShift, adaptiveConvolution
  case blend, channelAffine
  case bandModulation, disjointSpectrum, kernelAssembly, sampleConvolution

  /// All kinds, with every elementwise and reduction function as a kind of its own.
  public static var allCases: [OperationKind] {
    UnaryFunction.allCases.map(OperationKind.unary)
      + BinaryFunction.allCases.map(OperationKind.binary)
      + ReductionFunction.allCases.map(OperationKind.reduction)
      + [
        .affine, .reshape, .permute, .slice, .pad, .concatenate, .broadcast, .gather, .scatterAdd,
        .matmul, .linear, .convolution, .transposedConvolution, .depthwiseConvolution, .maxPool,
        .averagePool, .resize, .pixelShuffle, .pixelUnshuffle, .layerNorm, .groupNorm, .batchNorm,
        .translationVariantConvolution,
        .softmax, .logSoftmax, .feedForward, .gatedProjection, .shiftedProducts, .omniShiftKernel,
        .bidirectionalWKV,
        .gatedDeltaRule, .pointSample, .foregroundMask, .sumReLU,
        .waveletAnalysis, .waveletSynthesis, .fourier, .contextShift, .adaptiveConvolution, .blend,
        .channelAffine, .bandModulation, .disjointSpectrum, .kernelAssembly, .sampleConvolution,
      ]
  }
}

extension OperationKind {
  /// Kinds that have no gradient, and asking for one stops: their outputs are piecewise constant, or they
  /// exist in inference plans alone.
  public static let withoutGradient: Set<OperationKind> = [.foregroundMask, .shiftedProducts]
}

/// Functions of one number, applied element by element.
public enum UnaryFunction: String, Hashable, Sendable, CaseIterable {
  case negate, exp, log, sqrt, rsqrt, abs, square, reciprocal
  case relu, reluSquared, leakyReLU, elu, sigmoid, tanh, silu, gelu, softplus, sin, cos
}

/// Functions of two numbers, applied element by element with broadcasting.
public enum BinaryFunction: String, Hashable, Sendable, CaseIterable {
  case add, subtract, multiply, divide, maximum, minimum
}

/// Functions that reduce axes.
public enum ReductionFunction: String, Hashable, Sendable, CaseIterable {
  case sum, mean, max
}
