import Foundation
import Imaging
import Randomness

/// One sample of a batch: a crop of a slice and its neighbours, degraded and clean.
///
/// What is drawn, and in which order, decides the bits of a run. Only what a configuration asks for is drawn, so
/// that the samples of all others stay what they were.
struct SampleDraw {
  private let simulator: TaskSimulator
  private let slice: TaskSimulator.Pair
  private let magnified: MagnifiedCrop?
  private let reduction: GridReduction?
  private let window: CropWindow
  /// Which slice of the pair each channel shows.
  private let order: [Int]

  private var section: TrainingConfiguration.DataSection { simulator.section }
  /// Rows and columns of the slice, or of the coarser grid to which it is reduced.
  private var height: Int { reduction?.reduced(slice.height) ?? slice.height }
  private var width: Int { reduction?.reduced(slice.width) ?? slice.width }

  /// Draws where the crop lies.
  ///
  /// - Parameters:
  ///   - slice: The slice and its neighbours.
  ///   - simulator: That of the task.
  ///   - crop: Side of the crop, pixels.
  ///   - generator: The sample's.
  init(
    of slice: TaskSimulator.Pair, _ simulator: TaskSimulator, crop: Int,
    using generator: inout SeededGenerator
  ) {
    let section = simulator.section
    (self.slice, self.simulator) = (slice, simulator)
    // What is prepared was magnified before it was degraded.
    magnified =
      section.magnification[1] > 1 && !simulator.isPrepared
      ? MagnifiedCrop(
        side: crop, factor: simulator.logUniform(section.magnification, &generator)) : nil
    reduction = simulator.reduction(&generator)
    window = CropWindow(
      crop: magnified?.sourceSide ?? crop,
      height: reduction?.reduced(slice.height) ?? slice.height,
      width: reduction?.reduced(slice.width) ?? slice.width, flips: section.flips, &generator)
    let isAlone =
      section.neighbours > 0 && generator.nextUniformDouble() < section.alonePart
    order = isAlone ? slice.order.map { _ in slice.order[slice.middle] } : slice.order
  }

  /// Degrades the crop and writes both versions.
  ///
  /// - Parameters:
  ///   - noisy: `[crop, crop, channels]`.
  ///   - clean: `[crop, crop]`.
  ///   - generator: The sample's.
  func write(
    to noisy: UnsafeMutableBufferPointer<Float>, clean: UnsafeMutableBufferPointer<Float>,
    using generator: inout SeededGenerator
  ) {
    if simulator.isPrepared {
      window.copy(slice.target, into: clean)
      fill(noisy, with: slice.inputs[generator.nextInt(below: slice.inputs.count)])
    } else {
      let gamma = Float(simulator.logUniform(section.gamma, &generator))
      let contrast = Contrast(gamma: gamma, curve: simulator.contrast(&generator))
      if [.superResolution, .fieldStrength].contains(section.kind) {
        writeWholeSlice(to: noisy, clean: clean, contrast, &generator)
      } else {
        writeWithNoise(to: noisy, clean: clean, contrast, &generator)
      }
    }
    let scale = Float(simulator.uniform(section.intensityScale, &generator))
    for index in clean.indices { clean[index] *= scale }
    for index in noisy.indices { noisy[index] *= scale }
  }

  private func fill(_ noisy: UnsafeMutableBufferPointer<Float>, with stack: [[Float]]) {
    for (channel, position) in order.enumerated() {
      window.copy(stack[position], into: noisy, channel: channel, of: order.count)
    }
  }

  /// k-space belongs to the slice as a whole: it is degraded first and cut then.
  private func writeWholeSlice(
    to noisy: UnsafeMutableBufferPointer<Float>, clean: UnsafeMutableBufferPointer<Float>,
    _ contrast: Contrast, _ generator: inout SeededGenerator
  ) {
    var stack = slice.clean.map(contrast.applied)
    if let reduction {
      stack = stack.map { reduction.applied(to: $0, height: slice.height, width: slice.width) }
    }
    if let filling = simulator.filling(&generator) {
      stack = stack.map { filling.applied(to: $0, height: height, width: width) }
    }
    window.copy(simulator.target(of: stack[slice.order[slice.middle]]), into: clean)
    fill(noisy, with: simulator.degraded(stack, height, width, .drawn, &generator))
  }

  /// Noise of pixels that know nothing of each other is added to the crop alone.
  private func writeWithNoise(
    to noisy: UnsafeMutableBufferPointer<Float>, clean: UnsafeMutableBufferPointer<Float>,
    _ contrast: Contrast, _ generator: inout SeededGenerator
  ) {
    let noise = RicianNoise(sigma: simulator.uniform(section.noisePercent, &generator) / 100)
    func cut(_ pixels: [Float]) -> [Float] {
      let values = magnified?.cut(pixels, by: window) ?? window.values(of: pixels)
      return contrast.applied(to: values)
    }
    _ = clean.update(fromContentsOf: cut(slice.target))
    for position in Set(order).sorted() {
      var crop =
        position == slice.order[slice.middle] ? [Float](clean) : cut(slice.clean[position])
      crop.withUnsafeMutableBufferPointer { noise.apply(to: $0, using: &generator) }
      for (channel, shown) in order.enumerated() where shown == position {
        for index in crop.indices { noisy[index * order.count + channel] = crop[index] }
      }
    }
  }
}

/// What becomes of the intensities of a clean slice before it is degraded.
private struct Contrast {
  /// The exponent.
  let gamma: Float
  /// The curve that comes before it.
  let curve: IntensityCurve?

  func applied(to values: [Float]) -> [Float] {
    let curved = curve.map { curve in values.map { max(0, curve($0)) } } ?? values
    return gamma == 1 ? curved : curved.map { pow($0, gamma) }
  }
}
