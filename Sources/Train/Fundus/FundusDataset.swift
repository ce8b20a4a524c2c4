import Foundation
import Imaging
import Randomness
public import TensorCore

/// Photographs of optic discs with masks of disc and cup, from a folder in one of the layouts of
/// ``FundusFolder``.
///
/// A photograph that shows much more than the disc is cut to the square around it; images and masks are
/// then brought to a square, images in −1...1. A set with a validation part of its own is validated by
/// it; of others a share is held back. Test parts are not read.
///
/// Source: Wang et al., *DoFE*, IEEE TMI 39(12), 2020 (levels, cuts and augmentation), with a split of
/// its own for validation.
public struct FundusDataset: Sendable {
  /// One photograph.
  public struct Item: Sendable {
    /// The file's name without its ending.
    public let name: String
    /// `[side, side, 3]` in −1...1.
    let image: [Float]
    /// `[side, side, 2]`: 1 in the cup, 1 in the disc.
    let mask: [Float]
  }

  /// Rows and columns.
  public let side: Int
  /// What is learnt from.
  public let train: [Item]
  /// By which a checkpoint is chosen, never learnt from.
  public let validation: [Item]
  /// What was noticed about the photographs, one sentence each.
  let warnings: [String]

  private static let splitStream: UInt64 = 1
  private static let sampleStream: UInt64 = 2

  /// Reads a folder.
  ///
  /// - Parameters:
  ///   - folder: Holds the PNG files, see ``FundusFolder``.
  ///   - side: Rows and columns of what the network gets.
  ///   - validationShare: The part of the images kept for validation, at least one, in `0..<1`.
  ///   - seed: Decides which; the names' order does not.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` if there are fewer than two images with masks
  ///   or a mask does not fit; what reading a PNG file throws.
  public init(folder: String, side: Int, validationShare: Double, seed: UInt64) throws {
    let photographs: [FundusFolder.Photograph]
    do {
      photographs = try FundusFolder(path: folder).photographs.filter { $0.part != .test }
    } catch {
      guard case .noImages = error else { throw error }
      throw TrainingError.invalidSplit(
        file: folder, reason: "it has no images with a mask NAME_mask.png, nor a known layout")
    }
    guard photographs.count >= 2, (0..<1).contains(validationShare) else {
      throw TrainingError.invalidSplit(
        file: folder, reason: "it has \(photographs.count) images with masks; at least 2")
    }
    self.side = side
    let notes = ImageNotes()
    func item(_ photograph: FundusFolder.Photograph) throws -> Item {
      try Self.item(photograph, side: side, notes)
    }
    let given = photographs.filter { $0.part == .validation }
    if !given.isEmpty, given.count < photographs.count {
      validation = try given.map(item)
      train = try photographs.filter { $0.part == .train }.map(item)
      warnings = notes.sentences
      return
    }
    let items = try photographs.map(item)
    warnings = notes.sentences
    var generator = SeededGenerator(seed: seed, stream: Self.splitStream)
    let order = generator.permutation(items.count)
    let held = min(items.count - 1, max(1, Int((validationShare * Double(items.count)).rounded())))
    validation = order.prefix(held).sorted().map { items[$0] }
    train = order.dropFirst(held).sorted().map { items[$0] }
  }

  /// The disc's extent as a part of the picture's, below which the picture is cut to it.
  private static let leastDisc = 0.3

  private static func item(
    _ photograph: FundusFolder.Photograph, side: Int, _ notes: ImageNotes
  ) throws -> Item {
    let image: PNGPixels
    var labels: [UInt8]
    do { (image, labels) = try photograph.read() } catch {
      guard case .unsupportedFormat(let file, let reason) = error else { throw error }
      throw TrainingError.invalidSplit(file: file, reason: reason)
    }
    for warning in image.warnings { notes.add("\(warning)", about: photograph.path) }
    var (values, height, width) = (image.values, image.height, image.width)
    let measures = OpticDiscMeasures(labels: labels, width: width)
    let extent = Double(max(measures.discHeight, measures.discWidth))
    if extent < leastDisc * Double(min(height, width)),
      let region = FundusRegion(around: labels, width: width)
    {
      values = region.cut(values, height: height, width: width, channels: 3)
      labels = region.cut(labels, height: height, width: width, channels: 1)
      (height, width) = (region.side, region.side)
    }
    let half = Float((1 << image.bitDepth) - 1) / 2
    let resized = LanczosResampling.resize(
      values, height: height, width: width, channels: 3, toHeight: side, width: side)
    var classes = [Float](repeating: 0, count: side * side * 2)
    for y in 0..<side {
      for x in 0..<side {
        let row = (2 * y + 1) * height / (2 * side)
        let column = (2 * x + 1) * width / (2 * side)
        let label = labels[row * width + column]
        classes[(y * side + x) * 2] = label == 2 ? 1 : 0
        classes[(y * side + x) * 2 + 1] = label >= 1 ? 1 : 0
      }
    }
    return Item(
      name: photograph.name, image: resized.map { min(max($0 / half - 1, -1), 1) }, mask: classes)
  }

  /// A batch to learn from: images drawn at random, half of them enlarged and cropped again.
  ///
  /// Height and width are enlarged by factors of their own up to 1.5. There are no flips and turns: the
  /// network learns where things are.
  ///
  /// - Parameters:
  ///   - step: Decides, with the seed, what is drawn.
  ///   - count: Images.
  ///   - seed: That of the run.
  /// - Returns: Images `[count, side, side, 3]` and masks `[count, side, side, 2]`.
  public func batch(step: Int, count: Int, seed: UInt64) -> (images: Tensor, masks: Tensor) {
    let drawn = (0..<count).map { index -> (image: [Float], mask: [Float]) in
      var generator = SeededGenerator(
        seed: seed, stream: Self.sampleStream, UInt64(step), UInt64(index))
      let item = train[generator.nextInt(below: train.count)]
      guard generator.nextUniform() < 0.5 else { return (item.image, item.mask) }
      let height = 1 + 0.5 * generator.nextUniform()
      let width = 1 + 0.5 * generator.nextUniform()
      // The corner of the crop, as a part of the room that enlarging made.
      let top = generator.nextUniform() * (height - 1)
      let left = generator.nextUniform() * (width - 1)
      return enlarged(item, (height, width), (top, left))
    }
    return (
      Tensor([count, side, side, 3], drawn.flatMap(\.image)),
      Tensor([count, side, side, 2], drawn.flatMap(\.mask))
    )
  }

  /// Linear between pixels for the image, the nearest pixel for the mask.
  private func enlarged(
    _ item: Item, _ factor: (Float, Float), _ corner: (Float, Float)
  ) -> (image: [Float], mask: [Float]) {
    var image = [Float](repeating: 0, count: item.image.count)
    var mask = [Float](repeating: 0, count: item.mask.count)
    func source(_ index: Int, _ factor: Float, _ corner: Float) -> Float {
      let position = (Float(index) + 0.5 + corner * Float(side)) / factor - 0.5
      return min(max(position, 0), Float(side - 1))
    }
    for y in 0..<side {
      let row = source(y, factor.0, corner.0)
      let y0 = min(Int(row), max(0, side - 2))
      let (y1, fy) = (min(y0 + 1, side - 1), row - Float(y0))
      for x in 0..<side {
        let column = source(x, factor.1, corner.1)
        let x0 = min(Int(column), max(0, side - 2))
        let (x1, fx) = (min(x0 + 1, side - 1), column - Float(x0))
        for c in 0..<3 {
          func at(_ y: Int, _ x: Int) -> Float { item.image[(y * side + x) * 3 + c] }
          let upper = at(y0, x0) * (1 - fx) + at(y0, x1) * fx
          let lower = at(y1, x0) * (1 - fx) + at(y1, x1) * fx
          image[(y * side + x) * 3 + c] = upper * (1 - fy) + lower * fy
        }
        let nearest = (fy < 0.5 ? y0 : y1) * side + (fx < 0.5 ? x0 : x1)
        mask[(y * side + x) * 2] = item.mask[nearest * 2]
        mask[(y * side + x) * 2 + 1] = item.mask[nearest * 2 + 1]
      }
    }
    return (image, mask)
  }

  /// The mean Dice of cup and disc over the validation images.
  ///
  /// A pixel belongs to a class if its probability is above 0.75, the authors' threshold;
  /// `(2 · |A ∩ B| + 1) / (|A| + |B| + 1)` for each image.
  ///
  /// - Parameter logits: Maps `[1, side, side, 3]` to `[1, side, side, 2]`.
  /// - Returns: Both means, in 0...1; NaN if the network makes no numbers.
  public func validationDice(_ logits: (Tensor) -> Tensor) -> (cup: Double, disc: Double) {
    var sums = [0.0, 0.0]
    // The logit of 0.75.
    let threshold = Float(log(3.0))
    for item in validation {
      let output = logits(Tensor([1, side, side, 3], item.image)).values
      // The training stops at a score that is no number.
      guard output.allSatisfy(\.isFinite) else { return (.nan, .nan) }
      for c in 0..<2 {
        var (both, total) = (0.0, 0.0)
        for pixel in 0..<side * side {
          let found = output[2 * pixel + c] > threshold
          let truth = item.mask[2 * pixel + c] > 0.5
          if found && truth { both += 1 }
          total += (found ? 1 : 0) + (truth ? 1 : 0)
        }
        sums[c] += (2 * both + 1) / (total + 1)
      }
    }
    return (sums[0] / Double(validation.count), sums[1] / Double(validation.count))
  }
}
