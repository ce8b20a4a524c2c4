import TensorCore
import TestSupport

extension GradientCase {
  // MARK: - Matrix products, convolutions, resampling

  static let weaving: [GradientCase] = [
    GradientCase("matmul", .matmul, inputs: [2, 3, 4], [2, 4, 5]) { $0[0].matmul($0[1]) },
    GradientCase("matmul with a transpose", .matmul, inputs: [2, 3, 4], [2, 5, 4]) {
      $0[0].matmul(transposing: $0[1])
    },
    GradientCase("matmul, one matrix for all", .matmul, .reshape, inputs: [2, 3, 4], [4, 5]) {
      $0[0].matmul($0[1])
    },
    GradientCase("matmul, broadcast batch", .matmul, .broadcast, inputs: [2, 1, 3, 4], [3, 4, 5]) {
      $0[0].matmul($0[1])
    },
    GradientCase(
      "convolution", .convolution, inputs: [2, 6, 5, 4], [8, 2, 3, 3], [8]
    ) { $0[0].convolved(with: $0[1], bias: $0[2], stride: [2, 1], padding: [1], groups: 2) },
    GradientCase(
      "convolution of volumes", .convolution, inputs: [1, 3, 4, 5, 2], [3, 2, 3, 3, 3], [3]
    ) { $0[0].convolved(with: $0[1], bias: $0[2], stride: [1, 2, 1], padding: [1]) },
    GradientCase("1 x 1 convolution", .linear, .reshape, inputs: [1, 4, 5, 6], [8, 6, 1, 1], [8]) {
      $0[0].convolved(with: $0[1], bias: $0[2])
    },
    GradientCase(
      "transposed convolution", .transposedConvolution, inputs: [2, 4, 3, 4], [4, 3, 3, 3], [3]
    ) {
      $0[0].transposedConvolved(
        with: $0[1], bias: $0[2], stride: [2], padding: [1], outputPadding: [1])
    },
    GradientCase(
      "transposed convolution of volumes", .transposedConvolution, inputs: [1, 2, 3, 2, 2],
      [2, 3, 2, 2, 2], [3]
    ) { $0[0].transposedConvolved(with: $0[1], bias: $0[2], stride: [2], padding: [0]) },
    GradientCase(
      "max pooling of volumes", .maxPool, drawing: ([1, 4, 2, 6, 2], .distinct)
    ) { $0[0].maxPooled(kernel: [2, 2, 2], stride: [2, 2, 2]) },
    GradientCase(
      "depthwise convolution", .depthwiseConvolution, inputs: [2, 19, 7, 18], [18, 1, 5, 5]
    ) { $0[0].depthwiseConvolved(with: $0[1]) },
    GradientCase(
      "translation-variant convolution", .translationVariantConvolution,
      inputs: [2, 4, 3, 5], [4, 3, 9, 5]
    ) { $0[0].convolved(withKernelsAtPositions: $0[1]) },
    GradientCase(
      "translation-variant convolution, stride 2", .translationVariantConvolution,
      inputs: [1, 6, 5, 3], [3, 3, 25, 3]
    ) { $0[0].convolved(withKernelsAtPositions: $0[1], stride: 2) },
    GradientCase(
      "max pooling, overlapping windows", .maxPool, drawing: ([1, 5, 4, 2], .distinct)
    ) { $0[0].maxPooled(kernel: [3], stride: [2], padding: [1]) },
    GradientCase("average pooling", .averagePool, inputs: [2, 7, 6, 3]) {
      $0[0].averagePooled(kernel: [3], stride: [2], padding: [1])
    },
    GradientCase("average pooling, padding not counted", .averagePool, inputs: [1, 5, 6, 3]) {
      $0[0].averagePooled(kernel: [2], stride: [2], padding: [1], countsPadding: false)
    },
    GradientCase("resize, nearest", .resize, inputs: [2, 4, 5, 3]) {
      $0[0].resized(to: [7, 3], mode: .nearest)
    },
    GradientCase("resize, linear", .resize, inputs: [2, 4, 5, 3]) {
      $0[0].resized(to: [7, 3], mode: .linear(alignCorners: false))
    },
    GradientCase("resize of a volume, aligned corners", .resize, inputs: [1, 3, 4, 5, 2]) {
      $0[0].resized(to: [5, 2, 9], mode: .linear(alignCorners: true))
    },
    GradientCase("pixel shuffle", .pixelShuffle, inputs: [2, 3, 2, 12]) {
      $0[0].pixelShuffled(by: 2)
    },
    GradientCase("pixel unshuffle", .pixelUnshuffle, inputs: [2, 6, 4, 3]) {
      $0[0].pixelUnshuffled(by: 2)
    },
  ]

  // MARK: - Normalisations

  static let normalizing: [GradientCase] = [
    GradientCase("layer norm", .layerNorm, inputs: [2, 3, 10], [10], [10]) {
      $0[0].layerNormalized(weight: $0[1], bias: $0[2])
    },
    GradientCase("layer norm without weight", .layerNorm, inputs: [2, 3, 10], [10]) {
      $0[0].layerNormalized(weight: nil, bias: $0[1])
    },
    GradientCase("group norm", .groupNorm, inputs: [2, 3, 4, 6], [6], [6]) {
      $0[0].groupNormalized(groups: 2, weight: $0[1], bias: $0[2])
    },
    GradientCase("instance norm without parameters", .groupNorm, inputs: [2, 3, 4, 6]) {
      $0[0].instanceNormalized(weight: nil, bias: nil)
    },
    GradientCase("batch norm", .batchNorm, inputs: [2, 3, 4, 6], [6], [6]) {
      $0[0].batchNormalized(weight: $0[1], bias: $0[2]).output
    },
    GradientCase(
      "norm by given statistics", .binary(.multiply), .unary(.rsqrt),
      drawing: ([2, 3, 4], .normal), ([4], .normal), ([4], .uniform(0.5..<2)), ([4], .normal),
      ([4], .normal)
    ) { $0[0].normalized(mean: $0[1], variance: $0[2], weight: $0[3], bias: $0[4]) },
    GradientCase("variance", .reduction(.mean), inputs: [3, 4, 5]) {
      $0[0].variance(axes: [0, 2])
    },
    GradientCase("softmax", .softmax, inputs: [2, 3, 9]) { $0[0].softmax() },
    GradientCase("logarithm of softmax", .logSoftmax, inputs: [2, 3, 9]) { $0[0].logSoftmax() },
  ]
}
