import Foundation
public import Imaging
import Layers
import TensorCore

/// Finds the clean volumes that a split names: files, phantoms made when asked for, or MR scans in the
/// contrast of CT.
///
/// Besides images, `.bin` files are read: slices that Python pickled as tensors (``PickledTensor``).
///
/// A phantom's name is `phantom:CONTRAST:SEED` with the contrast `t1`, `t2`, `flair`, `fdg` (``BrainPhantom``
/// at about 2 mm) or `ct` (``BodyPhantom``). Brains come from the tissue maps of the data section,
/// which are averaged to about 2 mm, or from formulas if it names none. `ct-like:SEED:PATH` is the image at a
/// path in the contrast of a seed (``CTLikeContrast``).
public struct ScanSource: Sendable {
  /// How names of pickled tensors end.
  public static let pickleEnding = ".bin"
  /// How names of phantoms begin.
  public static let phantomPrefix = "phantom:"

  /// An MR scan in the contrast of CT, `ct-like:SEED:PATH`.
  struct CTLikeName {
    let seed: UInt64
    let path: String
    static let prefix = "ct-like:"
    var text: String { "\(Self.prefix)\(seed):\(path)" }
  }

  /// What a name's image goes back to: scans in another contrast, links of both kinds and phantoms of one brain
  /// show the same.
  ///
  /// - Parameter name: As ``volume(_:)`` takes it.
  /// - Returns: What is equal for all names of it, and how errors call it.
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` for a name that is not right.
  static func origin(of name: String) throws(TrainingError) -> (identity: String, text: String) {
    if name.hasPrefix(phantomPrefix) {
      let parts = name.split(separator: ":").map(String.init)
      guard parts.count == 3 else { return (name, name) }
      let isBrain = BrainPhantom.Contrast(rawValue: parts[1]) != nil
      // 03 is 3.
      let seed = UInt64(parts[2]).map(String.init) ?? parts[2]
      let text = phantomPrefix + "\(isBrain ? "brain" : parts[1]):" + seed
      return (text, text)
    }
    var path = try CTLikeName(name)?.path ?? name
    // Either file of a pair names the same image.
    path = ImageFormat.files(of: path).first(where: FileManager.default.fileExists) ?? path
    return (
      FileIdentity.text(of: path), URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    )
  }

  private let section: TrainingConfiguration.DataSection
  private let tissue: BrainTissue?
  private let notes = ImageNotes()

  /// What was noticed about the images that were read, one sentence each.
  var warnings: [String] { notes.sentences }

  /// Keeps a sentence about an image.
  func note(_ text: String, about name: String) { notes.add(text, about: name) }

  /// Prepares what the phantoms among some subjects are made of.
  ///
  /// - Parameters:
  ///   - section: Names tissue maps, intensity offset and the spacing of pictures.
  ///   - subjects: Those that will be read.
  /// - Throws: What reading the tissue maps throws.
  public init(
    _ section: TrainingConfiguration.DataSection, for subjects: [DataSplit.Subject]
  ) throws {
    self.section = section
    let brains = BrainPhantom.Contrast.allCases.map { Self.phantomPrefix + $0.rawValue + ":" }
    let needsTissue = subjects.contains { subject in
      (subject.files + (subject.inputs ?? [])).contains { brains.contains(where: $0.hasPrefix) }
    }
    guard needsTissue else {
      tissue = nil
      return
    }
    guard section.tissueMaps.count == 2 else {
      tissue = .generated()
      return
    }
    let maps = try BrainTissue(
      greyMatter: ScanFile.read(section.tissueMaps[0]).volume,
      whiteMatter: ScanFile.read(section.tissueMaps[1]).volume)
    tissue = try maps.averaged(by: max(1, Int((2 / maps.geometry.spacing.min()).rounded())))
  }

  /// A clean volume, in HU for CT.
  ///
  /// - Parameter name: A path or a phantom's name.
  /// - Returns: The volume or series.
  /// - Throws: What reading an image throws, or ``TrainingError/invalidSplit(file:reason:)`` for a
  ///   name of a phantom that does not exist.
  public func volume(_ name: String) throws -> Volume {
    guard !name.hasPrefix(Self.phantomPrefix) else { return try phantom(name) }
    if let named = try CTLikeName(name) {
      return CTLikeContrast(seed: named.seed).applied(to: try volume(named.path))
    }
    if name.hasSuffix(Self.pickleEnding) { return try pickle(name) }
    // A folder is a stack of pictures.
    let isPicture = ImageFormat(path: name) != .nifti
    let spacing = SIMD3(repeating: section.pictureSpacing)
    let options = isPicture ? NIfTIReadOptions(assumedSpacing: spacing) : NIfTIReadOptions()
    let scan = try ScanFile.read(name, options: options)
    if let mask = scan.nonFinite {
      note("\(mask.count) voxels are NaN or infinite; trained on as 0", about: name)
    }
    var volume = scan.volume
    let offset = Float(section.intensityOffset)
    if offset != 0, isPicture { volume.voxels = volume.voxels.map { $0 - offset } }
    return volume
  }

  /// One slice `[1, H, W]`, as the authors' program stores what it trains on.
  private func pickle(_ path: String) throws -> Volume {
    let tensor = try PickledTensor(contentsOf: path).tensor
    let broken = tensor.withValues { values in values.count { !$0.isFinite } }
    guard broken == 0 else {
      throw TrainingError.invalidSplit(
        file: path, reason: "\(broken) of its numbers are infinite or NaN")
    }
    let sizes = Array(tensor.shape.dimensions.drop { $0 == 1 })
    guard tensor.shape.count > 0, (1...2).contains(sizes.count), tensor.shape.rank >= 2 else {
      throw TrainingError.invalidSplit(
        file: path, reason: "it holds a tensor of shape \(tensor.shape), not of one slice [1, H, W]"
      )
    }
    let (height, width) = (tensor.shape.dimensions.suffix(2).first ?? 1, tensor.shape.channels)
    let spacing = section.pictureSpacing
    return Volume(
      voxels: tensor.values,
      geometry: Geometry(
        size: GridSize(x: width, y: height, z: 1), spacing: SIMD3(spacing, spacing, spacing)))
  }

  private func phantom(_ name: String) throws -> Volume {
    let parts = name.split(separator: ":").map(String.init)
    guard parts.count == 3, let seed = UInt64(parts[2]) else {
      throw TrainingError.invalidSplit(
        file: name, reason: "a phantom is named phantom:CONTRAST:SEED")
    }
    if parts[1] == "ct" { return BodyPhantom().image(subject: seed) }
    guard let contrast = BrainPhantom.Contrast(rawValue: parts[1]), let tissue else {
      throw TrainingError.invalidSplit(
        file: name,
        reason: "there is no phantom of the contrast \(parts[1]): t1, t2, flair, fdg or ct")
    }
    return BrainPhantom(tissue).image(contrast, subject: seed)
  }
}

extension ScanSource.CTLikeName {
  /// Takes a name apart; nil if it is another one.
  init?(_ name: String) throws(TrainingError) {
    guard name.hasPrefix(Self.prefix) else { return nil }
    let parts = name.split(separator: ":", maxSplits: 2).map(String.init)
    guard parts.count == 3, let seed = UInt64(parts[1]),
      !parts[2].hasPrefix(ScanSource.phantomPrefix)
    else {
      throw .invalidSplit(
        file: name, reason: "a scan in the contrast of CT is named ct-like:SEED:PATH, a file's path"
      )
    }
    self.init(seed: seed, path: parts[2])
  }
}
