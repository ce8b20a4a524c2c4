import TensorCore
import TestSupport

extension GradientCase {
  // MARK: - Wavelets, spectra, shifts and dynamic kernels

  static let transforming: [GradientCase] =
    wavelets + spectra + [
      GradientCase("context shift", .contextShift, inputs: [2, 5, 6, 20]) {
        $0[0].contextShifted()
      },
      GradientCase("wavelet shift", .contextShift, inputs: [2, 6, 4, 19]) {
        $0[0].waveletShifted(weight: 0.4)
      },
      GradientCase("wavelet shift, odd sizes", .contextShift, inputs: [1, 5, 4, 9]) {
        $0[0].waveletShifted(weight: 0.4)
      },
      GradientCase(
        "adaptive convolution", .adaptiveConvolution, inputs: [2, 4, 5, 16], [2, 4, 5, 18]
      ) { $0[0].adaptivelyConvolved(with: $0[1], kernel: 3, group: 8) },
      GradientCase(
        "adaptive convolution, other sizes", .adaptiveConvolution, inputs: [1, 6, 5, 6],
        [1, 6, 5, 50]
      ) { $0[0].adaptivelyConvolved(with: $0[1], kernel: 5, group: 3) },
      GradientCase("blend", .blend, inputs: [3, 40, 18], [3, 40, 18], [1, 1, 18]) {
        $0[0].blended(with: $0[1], weight: $0[2])
      },
      GradientCase("channel affine", .channelAffine, inputs: [3, 40, 18], [18], [18]) {
        $0[0].channelScaled(by: $0[1], shift: $0[2])
      },
      GradientCase("band modulation", .bandModulation, inputs: [2, 9, 8, 3], [2, 9, 8, 3]) {
        $0[0].bandModulated(by: FrequencyBands(divisors: [2, 4, 8]), weights: $0[1])
      },
      GradientCase(
        "band modulation, weighted lowest band, two parts", .bandModulation,
        inputs: [1, 7, 9, 4], [1, 7, 9, 6]
      ) {
        $0[0].bandModulated(
          by: FrequencyBands(divisors: [2, 6]), weights: $0[1], groups: 2, weighsLowest: true)
      },
      GradientCase(
        "spectrum in groups", .disjointSpectrum, inputs: [2, 6, 5, 2], [3, 6]
      ) {
        let order = SpectrumOrder.ofSignal(rows: 6, width: 8)
        return $0[0].disjointSpectrum(
          attention: $0[1], groups: SpectrumGroups(order.order, kept: 30, count: 3), alpha: 1.5,
          width: 8)
      },
      assembly(.sigmoid(multiplier: 2)), assembly(.tanh),
      GradientCase(
        "kernel assembly without local attention", .kernelAssembly, inputs: [2, 5, 4], [2, 5]
      ) {
        $0[0].assembledKernels(kernel: 1, local: nil, channel: nil, filter: $0[1], spatial: nil)
      },
      GradientCase(
        "convolution by sample", .sampleConvolution, inputs: [2, 6, 5, 4], [2, 3, 4, 3, 3], [3]
      ) {
        $0[0].convolvedBySample(
          with: $0[1], bias: $0[2], stride: [2, 1], padding: [2], dilation: [1, 2])
      },
    ]

  private static func assembly(_ activation: AttentionActivation) -> GradientCase {
    GradientCase(
      "kernel assembly, \(activation)", .kernelAssembly, inputs: [2, 6, 36], [12, 3], [2, 18],
      [2, 18], [2, 3], [2, 4]
    ) {
      $0[0].assembledKernels(
        kernel: 2, local: ($0[1], $0[2], activation), channel: $0[3], filter: $0[4],
        spatial: $0[5])
    }
  }

  private static let wavelets: [GradientCase] = WaveletBoundary.allCases.flatMap { boundary in
    ["haar", "db3", "bior2.2"].compactMap(Wavelet.init(named:)).flatMap { wavelet in
      [
        GradientCase(
          "\(wavelet.name) analysis, \(boundary)", .waveletAnalysis, inputs: [2, 7, 6, 3]
        ) { $0[0].waveletDecomposed(by: wavelet, boundary: boundary, axes: [1, 2]) },
        GradientCase(
          "\(wavelet.name) synthesis, \(boundary)", .waveletSynthesis, inputs: [2, 9, 7]
        ) { $0[0].waveletComposed(by: wavelet, boundary: boundary, axes: [-1]) },
      ]
    }
  }

  private static let spectra: [GradientCase] = [
    GradientCase("fft, one axis", .fourier, inputs: [2, 7, 3, 2]) { $0[0].fft() },
    GradientCase("fft, two axes", .fourier, inputs: [2, 4, 5, 3, 2]) {
      $0[0].fft(normalization: .forward)
    },
    GradientCase("inverse fft, three axes", .fourier, inputs: [1, 2, 3, 4, 2, 2]) { $0[0].ifft() },
    GradientCase("real fft, odd", .fourier, inputs: [2, 7, 3]) { $0[0].rfft() },
    GradientCase("real fft, two axes", .fourier, inputs: [2, 5, 6, 3]) {
      $0[0].rfft(normalization: .ortho)
    },
    GradientCase("real fft, pairs of channels", .fourier, inputs: [2, 6, 4]) { $0[0].rfft() },
    GradientCase("inverse real fft, even", .fourier, inputs: [2, 4, 3, 2]) { $0[0].irfft(last: 6) },
    GradientCase("inverse real fft, pairs of channels", .fourier, inputs: [2, 4, 4, 2]) {
      $0[0].irfft(last: 6)
    },
    GradientCase("inverse real fft, three axes", .fourier, inputs: [1, 2, 3, 3, 2, 2]) {
      $0[0].irfft(last: 5, normalization: .forward)
    },
  ]
}
