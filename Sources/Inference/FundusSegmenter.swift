import Foundation
public import Imaging
public import Models
import TensorCore

/// Disc and cup of one photograph.
public struct FundusSegmentation: Sendable {
  /// How the part that the network saw was chosen.
  public enum Origin: String, Sendable, Codable {
    /// Found in a photograph of the whole field.
    case located
    /// Given by the caller.
    case given
    /// The whole picture.
    case whole
  }

  /// 0 outside of the disc, 1 its rim, 2 the cup, in the photograph's size.
  public let labels: [UInt8]
  /// The part that the network saw; nil if no part looked like a disc.
  public let region: FundusRegion?
  /// How it was chosen.
  public let origin: Origin
  /// The mean probability of the disc inside of it; nil without a disc.
  public let confidence: Double?
}

/// Finds optic disc and cup with a network that is bound to squares around the disc.
///
/// A photograph of the whole field is searched for places that may be the disc; the network sees a square
/// around each, twice adjusted to the disc that it finds there, and the most certain one is kept. Other
/// pictures are taken as such squares.
///
/// Probabilities are resampled to the photograph's pixels and cut at 0.75; of disc and cup the largest
/// connected part is kept and its holes are filled, as the authors do; the cup counts inside the disc.
///
/// Source: Chen et al., *TVConv*, CVPR 2022, published code (threshold and parts).
public struct FundusSegmenter {
  /// The network, in evaluation mode.
  public let model: TVConvNet
  private let runner: ModelRunner
  private let normalization: IntensityNormalization

  /// The probability from which a pixel belongs to a structure.
  public static let threshold: Float = 0.75
  /// Bytes that a pixel of a square takes at most while it is looked at: colours, logits, masks and parts.
  private static let bytesPerPixel = 64
  /// The most pixels of a square, whatever the memory: more than any camera has.
  private static let mostPixels = 1 << 30
  private static let candidates = 4
  private static let adjustments = 2

  /// A segmenter.
  ///
  /// - Parameters:
  ///   - model: A network of two classes, cup and disc, that does not record gradients.
  ///   - normalization: Of intensities in 0...255.
  public init(_ model: TVConvNet, normalization: IntensityNormalization) {
    precondition(
      model.inChannels == 3 && model.outChannels == 2,
      "fundus segmenter: \(model.inChannels) channels to \(model.outChannels) classes")
    self.model = model
    self.normalization = normalization
    runner = ModelRunner(model)
  }

  /// Segments a photograph.
  ///
  /// - Parameters:
  ///   - image: Colours.
  ///   - region: The square around the disc if it is known.
  ///   - file: What errors call the photograph.
  /// - Returns: Labels in the photograph's size.
  /// - Throws: ``InferenceError/channelMismatch(file:model:expected:found:)``,
  ///   ``InferenceError/outputNotFinite(slice:)``, `ImagingError.pngTooLarge` if the square around the disc,
  ///   or that of the longer side of a picture taken as such, needs more memory than there is, or what the
  ///   normalisation throws.
  public func segment(
    _ image: PNGPixels, region: FundusRegion? = nil, file: String = "image"
  ) throws -> FundusSegmentation {
    guard image.channels == 3 else {
      throw InferenceError.channelMismatch(
        file: file, model: TVConvNet.architecture, expected: 3, found: image.channels)
    }
    let scale = 255 / Float((1 << image.bitDepth) - 1)
    let levels = scale == 1 ? image.values : image.values.map { $0 * scale }
    let values = try normalization.map(for: levels, file: file).normalized(levels)
    let picture = Picture(
      values: values, height: image.height, width: image.width, file: file)
    if let region {
      return try segmentation(picture, region, .given)
    }
    guard OpticDiscLocator.showsWholeField(image) else {
      let side = max(image.height, image.width)
      return try segmentation(
        picture,
        FundusRegion(x: (image.width - side) / 2, y: (image.height - side) / 2, side: side),
        .whole)
    }
    var best: FundusSegmentation?
    for place in OpticDiscLocator.candidates(in: image, count: Self.candidates) {
      var region = FundusRegion(around: (place.x, place.y), diameter: place.diameter)
      var found = try segmentation(picture, region, .located)
      for _ in 0..<Self.adjustments {
        guard found.confidence != nil,
          let next = FundusRegion(around: found.labels, width: image.width), next.side > 8
        else { break }
        region = next
        found = try segmentation(picture, region, .located)
      }
      if let confidence = found.confidence, confidence > best?.confidence ?? 0 { best = found }
    }
    return best
      ?? FundusSegmentation(
        labels: [UInt8](repeating: 0, count: image.height * image.width), region: nil,
        origin: .located, confidence: nil)
  }

  private struct Picture {
    let values: [Float]
    let height: Int
    let width: Int
    let file: String
  }

  /// Refuses a square for which there is no memory: a long picture has a much larger one.
  private static func requireMemory(
    for region: FundusRegion, of picture: Picture
  ) throws(ImagingError) {
    let limit = min(NIfTIReadOptions.machineMemory, UInt64(mostPixels * bytesPerPixel))
    let pixels = Double(region.side) * Double(region.side)
    guard pixels * Double(bytesPerPixel) > Double(limit) else { return }
    throw .pngTooLarge(
      file: picture.file, width: picture.width, height: picture.height,
      needed: UInt64(exactly: (pixels * Double(bytesPerPixel)).rounded()) ?? .max, limit: limit)
  }

  /// What the network finds in one square.
  private func segmentation(
    _ picture: Picture, _ region: FundusRegion, _ origin: FundusSegmentation.Origin
  ) throws -> FundusSegmentation {
    try Self.requireMemory(for: region, of: picture)
    let side = model.configuration.imageSize
    let square = region.cut(
      picture.values, height: picture.height, width: picture.width, channels: 3)
    let input = LanczosResampling.resize(
      square, height: region.side, width: region.side, channels: 3, toHeight: side, width: side)
    let logits = Engine.shared.perform {
      runner(Tensor([1, side, side, 3], input))
        .resized(to: [region.side, region.side], mode: .linear(alignCorners: false)).values
    }
    guard logits.allSatisfy(\.isFinite) else {
      throw InferenceError.outputNotFinite(slice: 0)
    }
    let limit = log(Self.threshold / (1 - Self.threshold))
    let size = GridSize(x: region.side, y: region.side, z: 1)
    func mask(_ channel: Int) -> VoxelMask {
      let raw = VoxelMask(
        voxels: (0..<size.count).map { logits[2 * $0 + channel] > limit }, size: size)
      let parts = ConnectedComponents(of: raw)
      return parts.largest.map { parts.mask(of: $0).holesFilled() } ?? raw
    }
    let (cup, disc) = (mask(0), mask(1))
    var labels = [UInt8](repeating: 0, count: picture.height * picture.width)
    var (sum, count, edge) = (0.0, 0, 0)
    for pixel in 0..<size.count where disc.voxels[pixel] {
      let (row, column) = (pixel / region.side, pixel % region.side)
      sum += Double(1 / (1 + exp(-logits[2 * pixel + 1])))
      count += 1
      if row == 0 || column == 0 || row == region.side - 1 || column == region.side - 1 {
        edge += 1
      }
      let (y, x) = (region.y + row, region.x + column)
      guard (0..<picture.height).contains(y), (0..<picture.width).contains(x) else { continue }
      labels[y * picture.width + x] = cup.voxels[pixel] ? 2 : 1
    }
    // A disc is round and lies inside of its square: less trust where it is not or does not.
    var confidence: Double?
    if count > 0 {
      let measures = OpticDiscMeasures(
        labels: disc.voxels.map { $0 ? 1 : 0 }, width: region.side)
      let ellipse = Double.pi / 4 * Double(measures.discHeight * measures.discWidth)
      let ratio = Double(measures.discHeight) / Double(max(1, measures.discWidth))
      let shape = min(1, Double(count) / ellipse) * min(ratio, 1 / ratio)
      let cutOff = min(1, 4 * Double(edge) / Double(region.side))
      confidence = sum / Double(count) * shape * (1 - cutOff)
    }
    return FundusSegmentation(
      labels: labels, region: region, origin: origin, confidence: confidence)
  }
}
