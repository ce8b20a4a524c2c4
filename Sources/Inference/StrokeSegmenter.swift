public import Imaging
public import Models
import TensorCore

/// Finds lesions in a brain, in memory that does not grow with the number of paths.
public struct StrokeSegmenter {
  /// The networks, in evaluation mode.
  public let system: StrokeSystem

  /// What was found, on the scan's own grid.
  public struct Result: Sendable {
    /// The probability of a lesion, shape `[z, y, x]`.
    public let probability: Volume
    /// Where it is above one half.
    public let mask: VoxelMask
    /// The lesions, the largest first.
    public let lesions: LesionList
  }

  /// A segmenter.
  ///
  /// - Parameter system: Networks that do not record gradients.
  public init(_ system: StrokeSystem) { self.system = system }

  /// Segments a brain without its skull.
  ///
  /// - Parameters:
  ///   - images: As many as the system has channels, on one grid; the first is T1.
  ///   - file: The first image's name in errors.
  ///   - progress: Told steps done and steps in all; may throw to stop.
  /// - Returns: Probability, mask and lesions.
  /// - Throws: `ImagingError` for an image without a brain, ``InferenceError/outputNotFinite(slice:)``,
  ///   or what `progress` throws.
  public func segment(
    _ images: [Volume], file: String, progress: (_ done: Int, _ total: Int) throws -> Void
  ) throws -> Result {
    precondition(
      images.count == system.inChannels, "stroke segmenter: \(images.count) images")
    let configuration = system.configuration
    let field = try BrainField(
      of: images[0], spacing: configuration.spacing, cropsToBrain: configuration.cropsToBrain,
      multiple: system.sizeMultiple, file: file)
    let total = system.steps(for: field.size)
    let inside = try system.probability(of: field.tensor(of: images)) { try progress($0, total) }
    let plane = field.size[1] * field.size[2]
    if let bad = inside.firstIndex(where: { !$0.isFinite }) {
      throw InferenceError.outputNotFinite(slice: bad / plane)
    }
    let geometry = images[0].geometry
    let probability = Volume(voxels: field.voxels(of: inside), geometry: geometry)
    let mask = VoxelMask(voxels: probability.voxels.map { $0 > 0.5 }, size: geometry.size)
    return Result(
      probability: probability, mask: mask,
      lesions: LesionList(of: mask, geometry: geometry, probability: probability.voxels))
  }
}
