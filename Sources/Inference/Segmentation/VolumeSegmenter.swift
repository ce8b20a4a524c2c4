public import Imaging
public import Models
public import TensorCore

/// Segments images with a ``UNet`` and the plan of its dataset: resampling, patches that overlap by half
/// and are joined with Gaussian weights, and back to the image's grid.
public final class VolumeSegmenter {
  /// The network, in evaluation mode.
  public let network: UNet
  /// How it sees images.
  public let plan: SegmentationPlan

  private let overlap: Double
  private var program: InferencePlan?
  private var cannotPlan = false

  /// A segmenter.
  ///
  /// - Parameters:
  ///   - network: With as many channels and classes as the plan says.
  ///   - plan: That of the dataset.
  ///   - overlap: The part of a patch that it shares with its neighbour, `0..<1`.
  /// - Throws: ``InferenceError/bundleInvalid(bundle:reason:)`` if the two do not fit.
  public init(
    _ network: UNet, plan: SegmentationPlan, overlap: Double = 0.5
  ) throws(InferenceError) {
    if let rule = plan.brokenRule {
      throw .bundleInvalid(bundle: UNet.architecture, reason: "the plan: \(rule)")
    }
    let sizes = (0..<plan.axes).map { axis in plan.pooling.reduce(1) { $0 * $1[axis] } }
    guard network.inChannels == plan.channels.count,
      network.outChannels == plan.labels.count + 1, network.configuration.axes == plan.axes,
      plan.patch.count == plan.axes, zip(plan.patch, sizes).allSatisfy({ $0 % $1 == 0 })
    else {
      throw .bundleInvalid(
        bundle: UNet.architecture,
        reason: "the plan's channels, labels, axes or patch are not those of the network")
    }
    (self.network, self.plan, self.overlap) = (network, plan, overlap)
  }

  /// What was found in an image, on its grid.
  public struct Segmentation: Sendable {
    /// The most probable class of each voxel; 0 for the background.
    public let labels: LabelMap
    /// Of every class, `[z, y, x, classes]`, the background first.
    let values: [Float]

    /// The probability of a structure, 0 to 1.
    ///
    /// - Parameter label: Its number, from 1.
    /// - Returns: One value a voxel.
    public func probability(of label: Int) -> Volume {
      let classes = values.count / labels.labels.count
      return Volume(
        voxels: stride(from: label, to: values.count, by: classes).map { values[$0] },
        geometry: labels.geometry)
    }
  }

  /// Segments one image.
  ///
  /// - Parameters:
  ///   - volumes: One a channel, all on one grid.
  ///   - file: The name in errors.
  ///   - progress: Told the part that is done; true stops the work.
  /// - Returns: On the image's grid.
  /// - Throws: ``InferenceError/cancelled``, ``InferenceError/outputNotFinite(slice:)``, or
  ///   `ImagingError.invalidDimensions` if the voxels' sizes cannot be.
  public func segment(
    _ volumes: [Volume], file: String = "image", progress: (Double) -> Bool = { _ in false }
  ) throws -> Segmentation {
    let preprocessor = SegmentationPreprocessor(plan)
    let geometry = volumes[0].geometry
    try plan.requireSize(of: geometry, file: file)
    let values = preprocessor.onGrid(
      try probabilities(preprocessor.image(volumes), progress: progress), of: geometry)
    return Segmentation(labels: try preprocessor.labelMap(values, on: geometry), values: values)
  }

  /// The probability of each class at each voxel of a prepared image.
  ///
  /// - Parameters:
  ///   - image: `[1, slices, rows, columns, channels]`.
  ///   - progress: Told the part that is done; true stops the work.
  /// - Returns: `[1, slices, rows, columns, classes]`.
  /// - Throws: ``InferenceError/cancelled``.
  public func probabilities(
    _ image: Tensor, progress: (Double) -> Bool = { _ in false }
  ) throws -> Tensor {
    let patch = plan.patchVolume
    let size = Array(image.shape.dimensions[1...3])
    // What is smaller than a patch is continued by zeros, the mean of a normalised image.
    let missing = zip(patch, size).map { max(0, $0 - $1) }
    let before = missing.map { $0 / 2 }
    let padded = Engine.shared.perform {
      missing.allSatisfy { $0 == 0 }
        ? image
        : image.padded(
          before: [0] + before + [0], after: [0] + zip(missing, before).map { $0 - $1 } + [0])
    }
    let full = Array(padded.shape.dimensions[1...3])
    let starts = zip(full, patch).map { Tiling.starts(length: $0, tile: $1, overlap: overlap) }
    let blend = Tiling(height: 8, width: 8, overlap: overlap, blend: .gaussian)
    let weights = patch.map(blend.weights)
    let classes = network.outChannels
    var sum = [Float](repeating: 0, count: full.reduce(1, *) * classes)
    var total = [Float](repeating: 0, count: full.reduce(1, *))
    let count = starts.reduce(1) { $0 * $1.count }
    var done = 0
    for z in starts[0] {
      for y in starts[1] {
        for x in starts[2] {
          let values = patchProbabilities(padded, [z, y, x], patch)
          var at = 0
          for dz in 0..<patch[0] {
            for dy in 0..<patch[1] {
              let row = ((z + dz) * full[1] + y + dy) * full[2] + x
              let weight = weights[0][dz] * weights[1][dy]
              for dx in 0..<patch[2] {
                let w = weight * weights[2][dx]
                total[row + dx] += w
                for c in 0..<classes { sum[(row + dx) * classes + c] += w * values[at + c] }
                at += classes
              }
            }
          }
          done += 1
          if progress(Double(done) / Double(count)) { throw InferenceError.cancelled }
        }
      }
    }
    for voxel in total.indices {
      for c in 0..<classes { sum[voxel * classes + c] /= total[voxel] }
    }
    return Engine.shared.perform {
      let ranges = zip(before, size).map { $0..<$0 + $1 }
      return Tensor(Shape([1] + full + [classes]), sum)
        .sliced([0..<1] + ranges + [0..<classes])
    }
  }

  private func patchProbabilities(_ image: Tensor, _ start: [Int], _ patch: [Int]) -> [Float] {
    Engine.shared.perform {
      let ranges = zip(start, patch).map { $0..<$0 + $1 }
      var x = image.sliced([0..<1] + ranges + [0..<image.shape.channels])
      if plan.axes == 2 { x = x.reshaped(to: Shape([1] + plan.patch + [image.shape.channels])) }
      return logits(x).softmax().values
    }
  }

  /// By a plan, made once; operation by operation if the network cannot be planned.
  private func logits(_ x: Tensor) -> Tensor {
    if program == nil, !cannotPlan {
      do throws(PlanError) { program = try network.patchPlan(for: x.shape) } catch {
        cannotPlan = true
      }
    }
    guard let program else { return network.forward(x) }
    do throws(PlanError) { return try program(x) } catch {
      self.program = nil
      cannotPlan = true
      return network.forward(x)
    }
  }
}
