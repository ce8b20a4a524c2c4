import Foundation
import Imaging
import Randomness

/// Makes the pairs of a task: degraded slices and what a network should make of them, normalised.
struct TaskSimulator: Sendable {
  /// How strong a degradation is.
  enum Strength: Sendable {
    /// Drawn from the configured ranges.
    case drawn
    /// The one at which validation measures.
    case validation
  }

  /// A target and degraded versions of it, each `[height, width]`; no versions if they are made when
  /// a sample is drawn.
  struct Pair: Sendable {
    let height: Int
    let width: Int
    let target: [Float]
    var inputs: [[Float]]
  }

  let section: TrainingConfiguration.DataSection

  /// Whether degraded versions are made once, when training starts, because they are expensive.
  var isPrepared: Bool { [.lowDose, .lowCount, .paired].contains(section.kind) }

  /// The map to normalised intensities of a clean volume; nil if the volume is empty.
  func map(of volume: Volume) -> IntensityMap? {
    switch (section.kind, section.normalization) {
    case (_, "mri"), (_, "ct"), (_, "pet"), (_, "byte"):
      return try? section.intensities.map(for: volume.voxels)
    case (.lowDose, _):
      // Noise reaches the lower end in every reconstruction, so it is each image's minimum.
      let high = OrderStatistics(of: volume.voxels).percentile(99.5) ?? 0
      let low = Double(LowDoseCT.range.lowerBound)
      return high > low ? IntensityMap(shift: low, scale: high - low) : nil
    case (_, "all"):
      let statistics = OrderStatistics(of: volume.voxels)
      guard let low = statistics.percentile(0), let high = statistics.percentile(99.5), high > low
      else { return nil }
      return IntensityMap(shift: low, scale: high - low)
    default:
      let positive = OrderStatistics(of: volume.voxels, selection: .positive)
      guard let scale = positive.percentile(99.5), scale > 0 else { return nil }
      return IntensityMap(shift: 0, scale: scale)
    }
  }

  /// The pair of one slice with some degraded versions; without versions its target is the clean
  /// slice, of which ``target(of:)`` makes what is to be learnt.
  ///
  /// - Parameters:
  ///   - slice: In the units of the volume.
  ///   - map: The volume's map.
  ///   - meanActivity: As ``LowCountPET`` takes it.
  ///   - versions: How many degraded versions.
  ///   - strength: How strong they are.
  ///   - generator: Where random numbers come from.
  /// - Returns: The pair.
  /// - Throws: What the simulator throws.
  func pair(
    of slice: ImageSlice, _ map: IntensityMap, meanActivity: Double, versions: Int,
    _ strength: Strength, _ generator: inout SeededGenerator
  ) throws(ImagingError) -> Pair {
    switch section.kind {
    case .lowDose:
      var simulator = LowDoseCT()
      let measured = try simulator.measured(slice)
      let inputs = (0..<versions).map { _ in
        simulator.photons =
          strength == .validation
          ? section.validationPhotons : logUniform(section.photons, &generator)
        return map.normalized(simulator.degraded(measured, using: &generator))
      }
      return Pair(
        height: slice.height, width: slice.width, target: map.normalized(measured.reference),
        inputs: inputs)
    case .lowCount:
      var simulator = LowCountPET()
      let measured = try simulator.measured(slice, meanActivity: meanActivity)
      let inputs = (0..<versions).map { _ in
        simulator.counts =
          strength == .validation
          ? section.validationCounts : logUniform(section.counts, &generator)
        return map.normalized(simulator.degraded(measured, using: &generator))
      }
      return Pair(
        height: slice.height, width: slice.width, target: map.normalized(measured.reference),
        inputs: inputs)
    case .paired:
      preconditionFailure("paired slices are given, not simulated")
    case .rician, .superResolution, .fieldStrength:
      let clean = map.normalized(slice.pixels).map { max(0, $0) }
      var pair = Pair(height: slice.height, width: slice.width, target: clean, inputs: [])
      for _ in 0..<versions { pair.inputs.append(degraded(pair, strength, &generator)) }
      guard versions > 0 else { return pair }
      return Pair(
        height: slice.height, width: slice.width, target: target(of: clean), inputs: pair.inputs)
    }
  }

  /// The pair of two given slices.
  func pair(of target: ImageSlice, _ input: ImageSlice, _ map: IntensityMap) -> Pair {
    Pair(
      height: target.height, width: target.width, target: map.normalized(target.pixels),
      inputs: [map.normalized(input.pixels)])
  }

  /// What a network should make of the degraded versions of a clean normalised slice.
  func target(of clean: [Float]) -> [Float] {
    guard section.kind == .fieldStrength else { return clean }
    let exponent = Float(FieldStrengthPair().targetGamma)
    return clean.map { pow($0, exponent) }
  }

  /// Degrades a whole normalised slice at once, for the tasks that do this for each sample.
  func degraded(
    _ pair: Pair, _ strength: Strength, _ generator: inout SeededGenerator
  ) -> [Float] {
    let isValidation = strength == .validation
    guard [.superResolution, .fieldStrength].contains(section.kind) else {
      let percent =
        isValidation
        ? section.validationNoisePercent : uniform(section.noisePercent, &generator)
      var noisy = pair.target
      noisy.withUnsafeMutableBufferPointer {
        RicianNoise(sigma: percent / 100).apply(to: $0, using: &generator)
      }
      return noisy
    }
    // The draws come first, so that a range without extent takes numbers too.
    let factor = uniform(section.factor, &generator)
    let noise = uniform(section.noisePercent, &generator) / 100
    guard section.kind == .superResolution else {
      let fields = FieldStrengthPair()
      let exponent = Float(fields.sourceGamma)
      let truncation = KSpaceTruncation(
        factor: isValidation ? fields.factor : factor, noise: isValidation ? fields.noise : noise)
      return truncation.applied(
        to: pair.target.map { pow($0, exponent) }, height: pair.height, width: pair.width,
        using: &generator)
    }
    let truncation = KSpaceTruncation(
      factor: isValidation ? (section.factor[0] + section.factor[1]) / 2 : factor,
      noise: isValidation ? section.noisePercent[0] / 100 : noise)
    return truncation.applied(
      to: pair.target, height: pair.height, width: pair.width, using: &generator)
  }

  func uniform(_ range: [Double], _ generator: inout SeededGenerator) -> Double {
    range[0] + (range[1] - range[0]) * generator.nextUniformDouble()
  }

  func logUniform(_ range: [Double], _ generator: inout SeededGenerator) -> Double {
    exp(uniform(range.map { log($0) }, &generator))
  }
}
