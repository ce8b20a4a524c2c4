import Foundation
public import Imaging
import Layers
public import Models
public import TensorCore

/// How a volume is taken apart and put together again.
public struct RestorationOptions: Sendable {
  /// The plane of the slices; nil for the bundle's, or else the plane of acquisition.
  public var plane: AnatomicalPlane?
  /// Tiles of each slice; nil for whole slices.
  public var tiling: Tiling?
  /// Of which mirror images of each slice the results are averaged; nil for what the bundle says
  /// (``VolumeRestorer/symmetries(_:)``).
  public var symmetries: SliceSymmetries?
  /// Whether the results of the slices of all three planes are averaged, instead of one plane's.
  ///
  /// For voxels of about equal sides; each plane sees other neighbours, so their errors differ. Nil for what
  /// the bundle says, where the volume allows it (``VolumeRestorer/averagesPlanes(of:_:)``).
  public var averagesPlanes: Bool?
  /// By how much the inputs' resolution fell in the plane of their slices, where k-space was cut off.
  ///
  /// If it was filled with zeros, without noise, the frequencies that were measured are kept. Nil for what
  /// the bundle says; 1 keeps nothing.
  public var kSpaceFactor: Double?
  /// Whether results are limited to the range of the input's intensities.
  public var clipsToInputRange = false
  /// Voxels of the input, of the whole series, whose 0 stands for no number and is none of its intensities.
  public var nonFinite: NonFiniteMask?
  /// Voxels outside keep the input's intensities; `[z, y, x]`, one volume.
  public var mask: [Bool]?

  /// Whole slices in the bundle's plane.
  public init() {}
}

/// Restores volumes slice by slice with a network.
///
/// The only place where millimetres and anatomical planes become tensor axes. Intensities are
/// normalised per volume as the bundle says, and mapped back exactly. All slices (or tiles) of one size
/// go through one inference plan; ``execution(of:_:)`` tells where that is not possible.
public final class VolumeRestorer {
  private let runner: ModelRunner
  private let normalization: IntensityNormalization
  private let defaultPlane: AnatomicalPlane?
  private let kSpaceFactor: Double?
  private let averagesPlanes: Bool
  private let averagesSymmetries: Bool
  private let paddingBelow: Float?
  /// Voxels along each side from which a volume is worth seeing from three sides.
  private static let leastSide = 32

  /// What happened to one volume.
  public struct Result: Sendable {
    /// The restored volume, on the input's grid.
    public var volume: Volume
    /// Whether the input was constant and is returned as it was.
    public var isConstant: Bool
  }

  /// A restorer with a bundle's network.
  ///
  /// - Parameters:
  ///   - bundle: Its weights are loaded and checked.
  ///   - precision: Of the operations that have a choice.
  /// - Throws: ``InferenceError/bundleInvalid(bundle:reason:)``, also for a network that takes neither one
  ///   slice nor an odd number of them, or makes more than one.
  public init(
    _ bundle: ModelBundle, precision: Precision = .float32
  ) throws(InferenceError) {
    let model = try bundle.loadModel()
    guard model.spatialAxes == 2 else {
      throw .bundleInvalid(
        bundle: bundle.path,
        reason:
          "its network is one for images of \(model.spatialAxes) axes, and `run` restores slices")
    }
    guard model.outChannels == 1, !model.inChannels.isMultiple(of: 2) else {
      throw .bundleInvalid(
        bundle: bundle.path,
        reason: "its network makes \(model.outChannels) channels of \(model.inChannels); `run` "
          + "restores one slice from it and as many neighbours on either side")
    }
    runner = ModelRunner(model, precision: precision)
    kSpaceFactor = bundle.card.kSpaceFactor
    averagesPlanes = bundle.card.averagesPlanes ?? false
    averagesSymmetries = bundle.card.averagesSymmetries ?? false
    paddingBelow = bundle.card.paddingBelow.map(Float.init)
    normalization = bundle.card.normalization
    defaultPlane = bundle.card.plane
  }

  /// A restorer with a network in memory.
  ///
  /// - Parameters:
  ///   - model: A network that records no gradients, of one channel from an odd number of slices.
  ///   - normalization: How intensities are brought to its range.
  ///   - averagesPlanes: As in ``ModelCard/averagesPlanes``.
  ///   - averagesSymmetries: As in ``ModelCard/averagesSymmetries``.
  ///   - paddingBelow: As in ``ModelCard/paddingBelow``.
  ///   - precision: Of the operations that have a choice.
  public init(
    _ model: any RestorationModel, normalization: IntensityNormalization,
    averagesPlanes: Bool = false, averagesSymmetries: Bool = false, paddingBelow: Float? = nil,
    precision: Precision = .float32
  ) {
    runner = ModelRunner(model, precision: precision)
    self.normalization = normalization
    defaultPlane = nil
    kSpaceFactor = nil
    self.averagesPlanes = averagesPlanes
    self.averagesSymmetries = averagesSymmetries
    self.paddingBelow = paddingBelow
  }

  /// The slices of a volume, one for each call of the network without tiles and flips.
  ///
  /// - Parameters:
  ///   - volume: Any number of volumes on one grid.
  ///   - options: The plane counts.
  /// - Returns: Slices of all volumes together.
  public func sliceCount(of volume: Volume, _ options: RestorationOptions) -> Int {
    planes(volume, options).reduce(0) { $0 + SliceLayout($1, of: volume.geometry).count }
      * volume.volumeCount
  }

  /// How many voxels are padding (``ModelCard/paddingBelow``), which is not restored.
  public func paddingCount(of volume: Volume) -> Int {
    guard let paddingBelow else { return 0 }
    return volume.voxels.count { $0 < paddingBelow }
  }

  private var model: any RestorationModel { runner.model }

  /// How many bytes a restoration takes beyond the program itself.
  ///
  /// Exact for the network's share where a plan runs it. Without one that share is measured with a
  /// small image and scaled by the pixels of a slice, as activations grow in proportion to them.
  ///
  /// - Parameters:
  ///   - volume: What is to be restored.
  ///   - options: Plane and tiles count.
  /// - Returns: Bytes.
  public func memoryEstimate(for volume: Volume, _ options: RestorationOptions) -> Int {
    let weights = MemoryLayout<Float>.size * model.parameterCount(.stored)
    // Where there is padding, the network sees a copy without it.
    let volumes =
      (averagesPlanes(of: volume, options) ? 4 : 3) + (paddingCount(of: volume) > 0 ? 1 : 0)
    // Plans of all planes stay.
    let network = Set(networkShapes(volume, options)).reduce(0) { sum, shape in
      sum
        + (runner.memoryBytes(for: shape, bandRows: bandRows(options))
          ?? weights + scaledActivationBytes(shape))
    }
    return network + weights + volumes * MemoryLayout<Float>.size * volume.voxels.count
  }

  /// How the network computes the slices of a volume.
  ///
  /// - Parameters:
  ///   - volume: What is to be restored.
  ///   - options: Plane and tiles count.
  /// - Returns: Planned, or why not.
  public func execution(of volume: Volume, _ options: RestorationOptions) -> ModelExecution {
    let found = networkShapes(volume, options).map {
      runner.execution(for: $0, bandRows: bandRows(options))
    }
    return found.first { $0 != .planned } ?? .planned
  }

  /// What the network sees at a time, for each plane.
  private func networkShapes(_ volume: Volume, _ options: RestorationOptions) -> [Shape] {
    planes(volume, options).flatMap { plane -> [Shape] in
      // Other sizes are refused when it comes to restoring them.
      if let bound = model.boundSize { return [[1, bound.height, bound.width, model.inChannels]] }
      let layout = SliceLayout(plane, of: volume.geometry)
      let tiling = bandRows(options) == nil ? options.tiling : nil
      let height = min(layout.height, tiling?.height ?? layout.height)
      let width = min(layout.width, tiling?.width ?? layout.width)
      let shape: Shape = [1, height, width, model.inChannels]
      return symmetries(options) == .square && height != width
        ? [shape, [1, width, height, model.inChannels]] : [shape]
    }
  }

  /// Rows of the bands in which a ``BandedModel`` works instead of tiles.
  private func bandRows(_ options: RestorationOptions) -> Int? {
    model is any BandedModel ? options.tiling?.height : nil
  }

  /// Makes sure that a network that is bound to one size gets whole slices of that size.
  private func checkSize(
    _ height: Int, _ width: Int, _ file: String, _ options: RestorationOptions
  ) throws(InferenceError) {
    guard let bound = model.boundSize else { return }
    let expected = "\(bound.height)x\(bound.width)"
    if options.tiling != nil {
      throw .sizeMismatch(file: file, expected: expected, found: "tiles")
    }
    if symmetries(options) == .square, bound.height != bound.width {
      throw .sizeMismatch(
        file: file, expected: expected, found: "\(bound.width)x\(bound.height), transposed")
    }
    guard bound == (height, width) else {
      throw .sizeMismatch(file: file, expected: expected, found: "\(height)x\(width)")
    }
  }

  private func scaledActivationBytes(_ shape: Shape) -> Int {
    let multiple = model.sizeMultiple
    let bound = model.boundSize
    let (height, width) = (bound?.height ?? 8 * multiple, bound?.width ?? 8 * multiple)
    let pixels = shape.dimensions[1...2].reduce(1) { product, length in
      product * ((length + multiple - 1) / multiple * multiple)
    }
    return Int(Double(activationBytes(height, width)) / Double(height * width) * Double(pixels))
  }

  private func activationBytes(_ height: Int, _ width: Int) -> Int {
    Engine.shared.perform {
      let x = Tensor([1, height, width, model.inChannels], repeating: 0.5)
      // The first run packs weights, which the estimate counts by themselves.
      _ = model(x)
      return BufferPool.shared.measuringPeak { _ = model(x) }
    }
  }

  /// Restores every volume of a series.
  ///
  /// - Parameters:
  ///   - original: Finite intensities, one channel.
  ///   - file: The input's name in errors.
  ///   - options: How to take it apart.
  ///   - progress: Told the number of slices done after each; returns false to stop.
  /// - Returns: The restored series.
  /// - Throws: ``InferenceError`` or what the normalisation throws.
  public func restore(
    _ original: Volume, file: String = "image", options: RestorationOptions = RestorationOptions(),
    progress: (Int) -> Bool = { _ in true }
  ) throws -> Result {
    var input = original
    if let paddingBelow {
      for index in input.voxels.indices where input.voxels[index] < paddingBelow {
        input.voxels[index] = paddingBelow
      }
    }
    var result = input
    var constants = 0
    var done = 0
    let planes = planes(input, options)
    for plane in planes {
      let layout = SliceLayout(plane, of: input.geometry)
      try checkSize(layout.height, layout.width, file, options)
    }
    for index in 0..<input.volumeCount {
      let range = input.range(ofVolume: index)
      let voxels = Array(input.voxels[range])
      let map = try normalization.map(for: voxels, file: file)
      guard let first = voxels.first, voxels.contains(where: { $0 != first }) else {
        constants += 1
        done += sliceCount(of: input, options) / input.volumeCount
        continue
      }
      var sum: [Float] = []
      for plane in planes {
        try restore(input, plane, volume: index, map, options, into: &result) {
          done += 1
          return progress(done)
        }
        guard planes.count > 1 else { continue }
        let part = Float(1) / Float(planes.count)
        sum =
          sum.isEmpty
          ? result.voxels[range].map { $0 * part }
          : zip(sum, result.voxels[range]).map { $0 + $1 * part }
      }
      if !sum.isEmpty { result.voxels.replaceSubrange(range, with: sum) }
      finish(&result, input, volume: index, options)
    }
    if let paddingBelow {
      for index in original.voxels.indices where original.voxels[index] < paddingBelow {
        result.voxels[index] = original.voxels[index]
      }
    }
    return Result(volume: result, isConstant: constants == input.volumeCount)
  }

  /// Restores the slices of one plane of one volume.
  private func restore(
    _ input: Volume, _ plane: AnatomicalPlane, volume index: Int, _ map: IntensityMap,
    _ options: RestorationOptions, into result: inout Volume, progress: () -> Bool
  ) throws(InferenceError) {
    let slices = input.slices(in: plane, ofVolume: index)
    let factor = options.kSpaceFactor ?? kSpaceFactor ?? 1
    let measuredFrequencies = factor > 1 ? KSpaceTruncation(factor: factor) : nil
    for (number, slice) in slices.enumerated() {
      var restored = slice
      let places = SliceStack.places(
        around: number, reach: model.inChannels / 2, count: slices.count)
      let stack = SliceStack(
        places.map { map.normalized($0 == number ? slice.pixels : slices[$0].pixels) },
        height: slice.height, width: slice.width)
      restored.pixels = map.restored(try restore(stack, number, options))
      if let measuredFrequencies {
        restored.pixels = measuredFrequencies.keeping(
          slice.pixels, in: restored.pixels, height: slice.height, width: slice.width)
      }
      result.replaceSlice(at: number, in: plane, ofVolume: index, with: restored)
      // What is finite on the network's scale may lie beyond the greatest number on the image's.
      guard restored.pixels.allSatisfy(\.isFinite) else { throw .outputNotFinite(slice: number) }
      guard progress() else { throw .cancelled }
    }
  }

  /// Whether a volume is restored from the slices of all three planes.
  ///
  /// As the options say, or else if the bundle wants it and the voxels' sides are about equal
  /// (``Geometry/isIsotropic``), with at least 32 voxels along each, no plane is asked for, and no
  /// frequencies of one plane are kept.
  ///
  /// - Parameters:
  ///   - volume: What is to be restored.
  ///   - options: How.
  /// - Returns: Whether three planes are averaged.
  public func averagesPlanes(of volume: Volume, _ options: RestorationOptions) -> Bool {
    if let wanted = options.averagesPlanes { return wanted }
    let size = volume.size
    return averagesPlanes && options.plane == nil && volume.geometry.isIsotropic
      && min(size.x, size.y, size.z) >= Self.leastSide
      && (options.kSpaceFactor ?? kSpaceFactor ?? 1) == 1
  }

  /// Of which mirror images of each slice the results are averaged.
  ///
  /// As the options say, or else all eight if the bundle wants it and measured frequencies are kept.
  public func symmetries(_ options: RestorationOptions) -> SliceSymmetries {
    if let wanted = options.symmetries { return wanted }
    let factor = options.kSpaceFactor ?? kSpaceFactor ?? 1
    return averagesSymmetries && factor > 1 ? .square : .identity
  }

  /// The planes whose slices the network sees.
  ///
  /// - Parameters:
  ///   - volume: What is to be restored.
  ///   - options: How.
  /// - Returns: One plane or all.
  public func planes(_ volume: Volume, _ options: RestorationOptions) -> [AnatomicalPlane] {
    averagesPlanes(of: volume, options)
      ? AnatomicalPlane.allCases
      : [options.plane ?? defaultPlane ?? volume.geometry.acquisitionPlane]
  }

  private func finish(
    _ result: inout Volume, _ input: Volume, volume: Int, _ options: RestorationOptions
  ) {
    let range = input.range(ofVolume: volume)
    let numbers = range.lazy.filter { options.nonFinite?[$0] != true }.map { input.voxels[$0] }
    if options.clipsToInputRange, let low = numbers.min(), let high = numbers.max() {
      for index in range { result.voxels[index] = min(max(result.voxels[index], low), high) }
    }
    if let mask = options.mask {
      for index in range where !mask[index - range.lowerBound] {
        result.voxels[index] = input.voxels[index]
      }
    }
  }

  /// One slice, whole or in tiles; `[height, width]`.
  private func restore(
    _ stack: SliceStack, _ number: Int, _ options: RestorationOptions
  ) throws(InferenceError) -> [Float] {
    let restored: [Float]
    if let tiling = options.tiling, bandRows(options) == nil {
      restored = tiling.map(stack) { run($0, symmetries(options)) { runner($0) } }
    } else {
      restored = run(stack, symmetries(options)) {
        runner($0, bandRows: bandRows(options))
      }
    }
    guard restored.allSatisfy(\.isFinite) else { throw .outputNotFinite(slice: number) }
    return restored
  }

  private func run(
    _ stack: SliceStack, _ symmetries: SliceSymmetries, _ network: (Tensor) -> Tensor
  ) -> [Float] {
    guard symmetries != .identity else { return run(stack, network) }
    var sum = [Float](repeating: 0, count: stack.height * stack.width)
    let all = symmetries.all
    for symmetry in all {
      let order = symmetry.order(stack.height, stack.width)
      let restored = run(stack.mirrored(by: symmetry, order), network)
      for (index, source) in order.enumerated() {
        sum[source] += restored[index] / Float(all.count)
      }
    }
    return sum
  }

  private func run(_ stack: SliceStack, _ network: (Tensor) -> Tensor) -> [Float] {
    Engine.shared.perform {
      network(Tensor([1, stack.height, stack.width, stack.channels], stack.pixels)).values
    }
  }
}
