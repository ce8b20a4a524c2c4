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

  /// A target and degraded versions of it; no versions if they are made when a sample is drawn.
  struct Pair: Sendable {
    let height: Int
    let width: Int
    /// `[height, width]`.
    let target: [Float]
    /// Without versions: the clean slices around the target and itself, each `[height, width]`.
    var clean: [[Float]] = []
    /// Versions of all slices of the stack, each `[height, width]`.
    var inputs: [[[Float]]] = []
    /// Which of the slices above each channel shows; at the first and last slice one shows twice.
    var order = [0]
    /// The plane of the slices, where more than one may be used.
    var plane: AnatomicalPlane?
    /// The channel of the slice that is restored.
    var middle: Int { order.count / 2 }
  }

  /// A slice and its neighbours, without repetition.
  struct Stack {
    /// In the order of their places.
    let slices: [ImageSlice]
    /// Which of them each channel shows.
    let order: [Int]
    /// The one in the middle.
    var middle: ImageSlice { slices[order[order.count / 2]] }

    /// The slices `reach` places around one of them.
    init(_ all: VolumeSlices, around place: Int, reach: Int) {
      let places = (place - reach...place + reach).map { min(max($0, 0), all.count - 1) }
      let first = places[0]
      slices = (first...(places.last ?? first)).map { all[$0] }
      order = places.map { $0 - first }
    }
  }

  /// How many samples have slices on coarser grids, where some do.
  private static let shareReduced = 0.5
  /// How many samples have slices that do not fill k-space, where some do.
  private static let shareFilled = 0.5
  /// The exponent at the edge of k-space is drawn up to it.
  private static let largestRollOff = 1.0

  /// How many stacks of clean slices have noise of a scanner, where some do.
  private static let shareWithScannerNoise = 0.5
  /// The scanner's smoothing is drawn up to it, in detectors.
  private static let largestSmoothing = 3.0

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
    case (.rician, "all"), (.superResolution, "all"), (.fieldStrength, "all"):
      // The degraded image is a magnitude, whatever interpolation left in the clean one: it begins at 0.
      let high = OrderStatistics(of: volume.voxels).percentile(99.5) ?? 0
      return high > 0 ? IntensityMap(shift: 0, scale: high) : nil
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
  ///   - stack: The slice and its neighbours in the units of the volume.
  ///   - map: The volume's map.
  ///   - meanActivity: As ``LowCountPET`` takes it.
  ///   - versions: How many degraded versions.
  ///   - strength: How strong they are.
  ///   - generator: Where random numbers come from.
  /// - Returns: The pair.
  /// - Throws: What the simulator throws.
  func pair(
    of stack: Stack, _ map: IntensityMap, meanActivity: Double, versions: Int,
    _ strength: Strength, _ generator: inout SeededGenerator
  ) throws(ImagingError) -> Pair {
    let (slice, middle) = (stack.middle, stack.order[stack.order.count / 2])
    switch section.kind {
    case .lowDose:
      var simulator = LowDoseCT()
      let (slices, noise) = scanned(stack.slices, strength, &generator)
      var measured: [LowDoseCT.Measured] = []
      for slice in slices {
        guard let noise else {
          measured.append(try simulator.measured(slice))
          continue
        }
        measured.append(try simulator.measured(slice, with: noise, using: &generator))
      }
      let inputs = (0..<versions).map { _ in
        simulator.photons =
          strength == .validation
          ? section.validationPhotons : logUniform(section.photons, &generator)
        return measured.map { map.normalized(simulator.degraded($0, using: &generator)) }
      }
      return Pair(
        height: slices[middle].height, width: slices[middle].width,
        target: map.normalized(measured[middle].reference), inputs: inputs, order: stack.order)
    case .lowCount:
      var simulator = LowCountPET()
      var measured: [LowCountPET.Measured] = []
      for slice in stack.slices {
        measured.append(try simulator.measured(slice, meanActivity: meanActivity))
      }
      let inputs = (0..<versions).map { _ in
        simulator.counts =
          strength == .validation
          ? section.validationCounts : logUniform(section.counts, &generator)
        return measured.map { map.normalized(simulator.degraded($0, using: &generator)) }
      }
      return Pair(
        height: slice.height, width: slice.width,
        target: map.normalized(measured[middle].reference), inputs: inputs, order: stack.order)
    case .paired:
      preconditionFailure("paired slices are given, not simulated")
    case .rician, .superResolution, .fieldStrength:
      let clean = stack.slices.map { map.normalized($0.pixels).map { max(0, $0) } }
      guard versions > 0 else {
        return Pair(
          height: slice.height, width: slice.width, target: clean[middle], clean: clean,
          order: stack.order)
      }
      let inputs = (0..<versions).map { _ in
        degraded(clean, slice.height, slice.width, strength, &generator)
      }
      return Pair(
        height: slice.height, width: slice.width, target: target(of: clean[middle]),
        inputs: inputs, order: stack.order)
    }
  }

  /// The pair of given slices.
  func pair(of target: ImageSlice, _ inputs: Stack, _ map: IntensityMap) -> Pair {
    Pair(
      height: target.height, width: target.width, target: map.normalized(target.pixels),
      inputs: [inputs.slices.map { map.normalized($0.pixels) }], order: inputs.order)
  }

  /// What a network should make of the degraded versions of a clean normalised slice.
  func target(of clean: [Float]) -> [Float] {
    guard section.kind == .fieldStrength else { return clean }
    let exponent = Float(FieldStrengthPair().targetGamma)
    return clean.map { pow($0, exponent) }
  }

  /// The coarser grid of a sample's slices, drawn; nil if they stay on theirs.
  func reduction(_ generator: inout SeededGenerator) -> GridReduction? {
    guard section.gridPart[0] < 1, generator.nextUniformDouble() < Self.shareReduced else {
      return nil
    }
    return GridReduction(part: uniform(section.gridPart, &generator))
  }

  /// The contrast of a sample's clean slices, drawn; nil if they keep theirs.
  func contrast(_ generator: inout SeededGenerator) -> IntensityCurve? {
    guard section.contrastPart > 0, generator.nextUniformDouble() < section.contrastPart else {
      return nil
    }
    return .contrast(using: &generator)
  }

  /// How much of k-space a sample's clean slices have, drawn; nil if they keep all.
  func filling(_ generator: inout SeededGenerator) -> KSpaceFilling? {
    // Drawn only where it is wanted: the samples of other configurations stay what they were.
    guard section.acquiredPart[0] < 1, generator.nextUniformDouble() < Self.shareFilled else {
      return nil
    }
    let parts = SIMD2(
      uniform(section.acquiredPart, &generator), uniform(section.acquiredPart, &generator))
    return KSpaceFilling(
      parts: parts, rollOff: Self.largestRollOff * generator.nextUniformDouble())
  }

  /// Clean slices as another scanner shows them, drawn: on a finer grid, and the noise that they would have.
  ///
  /// Validation shows what there is.
  private func scanned(
    _ slices: [ImageSlice], _ strength: Strength, _ generator: inout SeededGenerator
  ) -> (slices: [ImageSlice], noise: LowDoseCT.ScannerNoise?) {
    guard strength == .drawn else { return (slices, nil) }
    var result = slices
    // Drawn only where it is wanted: the samples of other configurations stay what they were.
    if section.magnification[1] > 1 {
      let factor = logUniform(section.magnification, &generator)
      result = slices.map { $0.magnified(by: factor) }
    }
    guard !section.scannerPhotons.isEmpty,
      generator.nextUniformDouble() < Self.shareWithScannerNoise
    else { return (result, nil) }
    let noise = LowDoseCT.ScannerNoise(
      photons: logUniform(section.scannerPhotons, &generator),
      smoothing: Self.largestSmoothing * generator.nextUniformDouble())
    return (result, noise)
  }

  /// Degrades whole normalised slices alike, for the tasks that do this for each sample.
  func degraded(
    _ clean: [[Float]], _ height: Int, _ width: Int, _ strength: Strength,
    _ generator: inout SeededGenerator
  ) -> [[Float]] {
    let isValidation = strength == .validation
    guard [.superResolution, .fieldStrength].contains(section.kind) else {
      let percent =
        isValidation
        ? section.validationNoisePercent : uniform(section.noisePercent, &generator)
      return clean.map { slice in
        var noisy = slice
        noisy.withUnsafeMutableBufferPointer {
          RicianNoise(sigma: percent / 100).apply(to: $0, using: &generator)
        }
        return noisy
      }
    }
    // The draws come first, so that a range without extent takes numbers too.
    let factor = uniform(section.factor, &generator)
    let noise = uniform(section.noisePercent, &generator) / 100
    guard section.kind == .superResolution else {
      let fields = FieldStrengthPair()
      let exponent = Float(fields.sourceGamma)
      let truncation = KSpaceTruncation(
        factor: isValidation ? fields.factor : factor, noise: isValidation ? fields.noise : noise)
      return clean.map { slice in
        truncation.applied(
          to: slice.map { pow($0, exponent) }, height: height, width: width, using: &generator)
      }
    }
    let truncation = KSpaceTruncation(
      factor: isValidation ? (section.factor[0] + section.factor[1]) / 2 : factor,
      noise: isValidation ? section.noisePercent[0] / 100 : noise)
    return clean.map {
      truncation.applied(to: $0, height: height, width: width, using: &generator)
    }
  }

  func uniform(_ range: [Double], _ generator: inout SeededGenerator) -> Double {
    range[0] + (range[1] - range[0]) * generator.nextUniformDouble()
  }

  func logUniform(_ range: [Double], _ generator: inout SeededGenerator) -> Double {
    exp(uniform(range.map { log($0) }, &generator))
  }
}

extension ImageSlice {
  /// The slice on a grid that is finer by a factor, to the nearest whole number of pixels.
  fileprivate func magnified(by factor: Double) -> ImageSlice {
    let size = [height, width].map { max(1, Int((Double($0) * factor).rounded())) }
    return ImageSlice(
      pixels: LanczosResampling.resize(
        pixels, height: height, width: width, channels: 1, toHeight: size[0], width: size[1]),
      height: size[0], width: size[1], rowSpacing: rowSpacing / factor,
      columnSpacing: columnSpacing / factor)
  }
}
