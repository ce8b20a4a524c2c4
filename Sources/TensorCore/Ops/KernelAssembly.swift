import Kernels

/// How an attention turns a logit into a factor.
public enum AttentionActivation: Hashable, Sendable {
  /// `multiplier · σ(x)`.
  case sigmoid(multiplier: Float)
  /// `1 + tanh x`.
  case tanh
}

/// One convolution kernel for each sample, from kernels in space and up to four attentions.
///
/// Inputs: spectral kernels `[B, O·k, I·k]`, then those that are there of: local weights
/// `[O·k², taps]` and descriptor `[B, I]`; channel `[B, I]`; filter `[B, O]`; spatial `[B, k²]`.
/// Output `[B, O, I, k, k]`.
struct KernelAssembly: Operation {
  let kernel: Int
  /// nil without local attention.
  let local: AttentionActivation?
  let hasChannel: Bool
  let hasFilter: Bool
  let hasSpatial: Bool

  var kind: OperationKind { .kernelAssembly }

  private var channelIndex: Int? { hasChannel ? (local == nil ? 1 : 3) : nil }
  private var filterIndex: Int? {
    hasFilter ? 1 + (local == nil ? 0 : 2) + (hasChannel ? 1 : 0) : nil
  }
  private var spatialIndex: Int? {
    hasSpatial ? 1 + (local == nil ? 0 : 2) + (hasChannel ? 1 : 0) + (hasFilter ? 1 : 0) : nil
  }

  /// Numbers that follow from the shapes.
  private struct Sizes {
    let samples: Int
    let outputs: Int
    let inputs: Int
    let kernel: Int
    let taps: Int

    var count: Int { outputs * inputs * kernel * kernel }
    /// The descriptor with zeros at both ends.
    var padded: Int { inputs + taps - 1 }
    /// Filters of one task: fixed by the shape.
    var perChunk: Int { max(1, min(outputs, (1 << 15) / max(1, inputs * kernel * kernel))) }
    var chunks: Int { (outputs + perChunk - 1) / perChunk }
    /// Sums of one task of backward: descriptors, channels, spatial factors of all samples.
    var sumCount: Int { samples * (padded + inputs + kernel * kernel) }
  }

  private func sizes(_ inputs: [Shape]) -> Sizes {
    let a = inputs[0]
    return Sizes(
      samples: a[0], outputs: a[1] / kernel, inputs: a[2] / kernel, kernel: kernel,
      taps: local == nil ? 1 : inputs[1][1])
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let a = inputs[0]
    precondition(
      a.rank == 3 && kernel > 0 && a[1] % kernel == 0 && a[2] % kernel == 0,
      "kernelAssembly: \(a) with kernels of \(kernel)")
    let sizes = sizes(inputs)
    func check(_ index: Int?, _ expected: Shape, _ name: String) {
      guard let index else { return }
      precondition(
        inputs[index] == expected, "kernelAssembly: \(name) \(inputs[index]), expected \(expected)")
    }
    if local != nil {
      check(1, [sizes.outputs * kernel * kernel, sizes.taps], "local weights")
      check(2, [sizes.samples, sizes.inputs], "descriptor")
      precondition(sizes.taps % 2 == 1, "kernelAssembly: \(sizes.taps) taps is not an odd number")
    }
    check(channelIndex, [sizes.samples, sizes.inputs], "channel")
    check(filterIndex, [sizes.samples, sizes.outputs], "filter")
    check(spatialIndex, [sizes.samples, kernel * kernel], "spatial")
    return [sizes.samples, sizes.outputs, sizes.inputs, kernel, kernel]
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let sizes = sizes(inputs)
    let threads = Engine.shared.workers.threads
    let descriptors = sizes.samples * sizes.padded
    switch pass {
    case .forward: return descriptors + threads * kernel * sizes.inputs
    case .backward:
      // A stand-in for a gradient of the local weights that nobody wants.
      let spare = local == nil ? 0 : inputs[1].count
      return descriptors + threads * 2 * kernel * sizes.inputs + sizes.chunks * sizes.sumCount
        + sizes.sumCount + sizes.samples * (sizes.count + sizes.outputs) + spare
    }
  }

  /// The factors of one sample; `pointer` gives an input's values.
  private func factors(
    _ sample: Int, _ sizes: Sizes, descriptors: UnsafeMutablePointer<Float>,
    _ pointer: (Int) -> UnsafeMutablePointer<Float>
  ) -> k_kernel_factors {
    var factors = k_kernel_factors()
    factors.taps = sizes.taps
    if let local {
      factors.local = UnsafePointer(pointer(1))
      factors.descriptor = UnsafePointer(descriptors + sample * sizes.padded)
      switch local {
      case .sigmoid(let multiplier): factors.multiplier = multiplier
      case .tanh: factors.is_tanh = true
      }
    }
    factors.channel = channelIndex.map { UnsafePointer(pointer($0) + sample * sizes.inputs) }
    factors.filter = filterIndex.map { UnsafePointer(pointer($0) + sample * sizes.outputs) }
    factors.spatial = spatialIndex.map { UnsafePointer(pointer($0) + sample * kernel * kernel) }
    return factors
  }

  private func pad(
    _ descriptor: UnsafePointer<Float>, into target: UnsafeMutablePointer<Float>, _ sizes: Sizes
  ) {
    let edge = (sizes.taps - 1) / 2
    for sample in 0..<sizes.samples {
      let row = target + sample * sizes.padded
      row.update(repeating: 0, count: sizes.padded)
      (row + edge).update(from: descriptor + sample * sizes.inputs, count: sizes.inputs)
    }
  }

  func forward(_ pass: ForwardPass) {
    let sizes = sizes(pass.inputs.map(\.shape))
    let (a, y, descriptors) = (pass.inputs[0].pointer, pass.output.pointer, pass.scratch)
    if local != nil { pad(pass.inputs[2].pointer, into: descriptors, sizes) }
    let rows = descriptors + sizes.samples * sizes.padded
    pass.workers.run(chunks: sizes.samples * sizes.chunks) { unit, worker in
      let (sample, chunk) = unit.quotientAndRemainder(dividingBy: sizes.chunks)
      var factors = factors(sample, sizes, descriptors: descriptors) { pass.inputs[$0].pointer }
      k_assemble_kernel_forward(
        y + sample * sizes.count, a + sample * sizes.count, &factors,
        rows + worker * kernel * sizes.inputs, chunk * sizes.perChunk,
        min(sizes.outputs, (chunk + 1) * sizes.perChunk), sizes.inputs, kernel)
    }
  }

  func backward(_ pass: BackwardPass) {
    let sizes = sizes(pass.shapes)
    let (k, count) = (kernel, sizes.count)
    let descriptors = pass.scratch
    if local != nil { pad(pass.input(2).pointer, into: descriptors, sizes) }
    let rows = descriptors + sizes.samples * sizes.padded
    let sums = rows + Engine.shared.workers.threads * 2 * k * sizes.inputs
    let total = sums + sizes.chunks * sizes.sumCount
    let spareKernel = total + sizes.sumCount
    let spareFilter = spareKernel + sizes.samples * count
    let spareLocal = spareFilter + sizes.samples * sizes.outputs
    let da = pass.inputGradients[0]?.pointer ?? spareKernel
    let dFilter = filterIndex.flatMap { pass.inputGradients[$0]?.pointer } ?? spareFilter
    let dLocal = (local == nil ? nil : pass.inputGradients[1]?.pointer) ?? spareLocal
    let (a, dy) = (pass.input(0).pointer, pass.outputGradient.pointer)
    pass.workers.run(chunks: sizes.chunks) { chunk, worker in
      let filters = chunk * sizes.perChunk..<min(sizes.outputs, (chunk + 1) * sizes.perChunk)
      let sum = sums + chunk * sizes.sumCount
      sum.update(repeating: 0, count: sizes.sumCount)
      if local != nil {
        (dLocal + filters.lowerBound * k * k * sizes.taps).update(
          repeating: 0, count: filters.count * k * k * sizes.taps)
      }
      let channels = sum + sizes.samples * sizes.padded
      let spatial = channels + sizes.samples * sizes.inputs
      for sample in 0..<sizes.samples {
        var factors = factors(sample, sizes, descriptors: descriptors) { pass.input($0).pointer }
        var gradients = k_kernel_gradients(
          a: da + sample * count, local: dLocal, descriptor: sum + sample * sizes.padded,
          channel: channels + sample * sizes.inputs, filter: dFilter + sample * sizes.outputs,
          spatial: spatial + sample * k * k)
        k_assemble_kernel_backward(
          &gradients, dy + sample * count, a + sample * count, &factors,
          rows + worker * 2 * k * sizes.inputs, filters.lowerBound, filters.upperBound,
          sizes.inputs, k)
      }
    }
    k_sum_parts(total, sums, false, 0, sizes.sumCount, sizes.chunks, sizes.sumCount)
    let channels = total + sizes.samples * sizes.padded
    if local != nil, let gradient = pass.inputGradients[2]?.pointer {
      for sample in 0..<sizes.samples {
        (gradient + sample * sizes.inputs).update(
          from: total + sample * sizes.padded + (sizes.taps - 1) / 2, count: sizes.inputs)
      }
    }
    if let gradient = channelIndex.flatMap({ pass.inputGradients[$0] }) {
      gradient.pointer.update(from: channels, count: gradient.count)
    }
    if let gradient = spatialIndex.flatMap({ pass.inputGradients[$0] }) {
      gradient.pointer.update(from: channels + sizes.samples * sizes.inputs, count: gradient.count)
    }
  }
}

extension Tensor {
  /// Convolution kernels `[B, O, I, k, k]` from these kernels in space `[B, O·k, I·k]`, multiplied by
  /// attentions.
  ///
  /// - Parameters:
  ///   - kernel: k.
  ///   - local: A factor for every element, from a 1-D convolution along the input channels: its
  ///     weights `[O·k², taps]`, its input `[B, I]` and the activation.
  ///   - channel: `[B, I]`.
  ///   - filter: `[B, O]`.
  ///   - spatial: `[B, k²]`.
  /// - Returns: `[B, O, I, k, k]`.
  ///
  /// Source: FDConv, arXiv 2503.18783 (kernel spatial modulation).
  public func assembledKernels(
    kernel: Int, local: (weight: Tensor, descriptor: Tensor, activation: AttentionActivation)?,
    channel: Tensor?, filter: Tensor?, spatial: Tensor?
  ) -> Tensor {
    Tensor.apply(
      KernelAssembly(
        kernel: kernel, local: local?.activation, hasChannel: channel != nil,
        hasFilter: filter != nil, hasSpatial: spatial != nil),
      [self] + (local.map { [$0.weight, $0.descriptor] } ?? [])
        + [channel, filter, spatial].compactMap(\.self))
  }
}
