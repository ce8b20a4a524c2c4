import Foundation

/// Photographs of optic discs with masks of disc and cup, in one of the layouts in which they are
/// published.
///
/// | layout | photographs | masks |
/// | --- | --- | --- |
/// | pairs | `NAME.png` | `NAME_mask.png` |
/// | REFUGE | `Training400/…/NAME.png`, `REFUGE-Validation400/…`, `REFUGE-Test400/…` | `Annotation-Training400/…/NAME.png`, `REFUGE-Validation400-GT/…`, `REFUGE-Test-GT/…` |
/// | Drishti-GS | `Training/Images/…/NAME.png`, `Test/Images/…` | `Training/GT/NAME/SoftMap/NAME_{ODsegSoftmap,cupsegSoftmap}.png`, `Test/Test_GT/…` |
///
/// `…` stands for folders of any depth, as unpacking and diagnoses make them. REFUGE is published as JPEG
/// with BMP masks, which are to be converted to PNG under their names.
///
/// Source: Orlando et al., *REFUGE Challenge*, Medical Image Analysis 59, 2020; Sivaswamy et al.,
/// *Drishti-GS*, ISBI 2014.
public struct FundusFolder: Sendable, Equatable {
  /// The layouts.
  public enum Layout: String, Sendable, CaseIterable {
    /// Photographs and masks side by side.
    case pairs
    /// That of the REFUGE challenge.
    case refuge
    /// That of Drishti-GS.
    case drishti
  }

  /// What a photograph is for.
  public enum Part: String, Sendable {
    /// Learning.
    case train
    /// Choosing among models.
    case validation
    /// The last comparison.
    case test
  }

  /// Where the truth stands.
  enum Mask: Sendable, Equatable {
    /// One grey picture of both.
    case levels(String)
    /// The share of experts that draw a pixel into the disc, and into the cup.
    case shares(disc: String, cup: String)
  }

  /// One photograph with its masks.
  public struct Photograph: Sendable, Equatable {
    /// The file's name without its ending.
    public let name: String
    /// The photograph.
    public let path: String
    /// What it is for.
    public let part: Part
    let mask: Mask
  }

  /// The layout that was recognised.
  public let layout: Layout
  /// Those with masks, by part and name.
  public let photographs: [Photograph]

  /// The share of experts from which a pixel counts: three of four.
  static let leastShare: Float = 0.74

  private static let refugeParts: [(Part, images: [String], masks: [String])] = [
    (.train, ["Training400", "REFUGE-Training400"], ["Annotation-Training400"]),
    (.validation, ["REFUGE-Validation400", "Validation400"], ["REFUGE-Validation400-GT"]),
    (.test, ["REFUGE-Test400", "Test400"], ["REFUGE-Test-GT"]),
  ]

  /// Lists a folder; no picture is read.
  ///
  /// - Parameter path: The folder.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` or ``ImagingError/noImages(folder:)``;
  ///   ``ImagingError/unsupportedFormat(file:reason:)`` if the photographs are still JPEG files.
  public init(path: String) throws(ImagingError) {
    guard FileManager.default.fileExists(atPath: path) else {
      throw .noSuchFile(file: path, reason: "a folder of photographs and masks should be there")
    }
    func exists(_ name: String) -> Bool {
      FileManager.default.fileExists(atPath: path + "/" + name)
    }
    let drishti = Self.drishti(path)
    if !drishti.isEmpty {
      (layout, photographs) = (.drishti, drishti)
    } else if Self.refugeParts.contains(where: { $0.masks.contains(where: exists) }) {
      layout = .refuge
      photographs = try Self.refuge(path)
    } else {
      layout = .pairs
      photographs = Self.pairs(path)
    }
    guard !photographs.isEmpty else { throw .noImages(folder: path) }
  }

  private static func pairs(_ folder: String) -> [Photograph] {
    let ending = "_mask.png"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }
      .filter(names.containsPhotograph).sorted()
      .map { name in
        Photograph(
          name: name, path: "\(folder)/\(name).png", part: .train,
          mask: .levels("\(folder)/\(name)\(ending)"))
      }
  }

  private static func refuge(_ folder: String) throws(ImagingError) -> [Photograph] {
    var result: [Photograph] = []
    for (part, images, masks) in refugeParts {
      let truths = byName(masks.flatMap { files(below: folder + "/" + $0) }, ending: ".png")
      let all = images.flatMap { files(below: folder + "/" + $0) }
      let photographs = byName(all, ending: ".png")
      for (name, path) in photographs.sorted(by: { $0.key < $1.key }) {
        guard let truth = truths[name] else { continue }
        result.append(Photograph(name: name, path: path, part: part, mask: .levels(truth)))
      }
      if photographs.isEmpty, let other = all.first(where: { $0.lowercased().hasSuffix(".jpg") }) {
        throw .unsupportedFormat(
          file: other,
          reason: "REFUGE's JPEG photographs and BMP masks have to be converted to PNG files of "
            + "the same names")
      }
    }
    return result
  }

  private static func drishti(_ folder: String) -> [Photograph] {
    var result: [Photograph] = []
    for (part, images, masks) in [
      (Part.train, "Training/Images", "Training/GT"), (.test, "Test/Images", "Test/Test_GT"),
    ] {
      let truths = byName(files(below: "\(folder)/\(masks)"), ending: "_ODsegSoftmap.png")
      let photographs = byName(files(below: "\(folder)/\(images)"), ending: ".png")
      for (name, path) in photographs.sorted(by: { $0.key < $1.key }) {
        guard let disc = truths[name] else { continue }
        let cup = disc.dropLast("ODsegSoftmap.png".count) + "cupsegSoftmap.png"
        result.append(
          Photograph(
            name: name, path: path, part: part, mask: .shares(disc: disc, cup: String(cup))))
      }
    }
    return result
  }

  private static func files(below folder: String) -> [String] {
    FolderTree.subpaths(of: folder).map { folder + "/" + $0 }
  }

  private static func byName(_ paths: [String], ending: String) -> [String: String] {
    var result: [String: String] = [:]
    for path in paths where path.hasSuffix(ending) {
      let name = path.dropLast(ending.count).split(separator: "/").last.map(String.init)
      if let name, !name.hasPrefix(".") { result[name] = path }
    }
    return result
  }
}

extension [String] {
  /// Whether the list has a photograph of this name.
  fileprivate func containsPhotograph(_ name: String) -> Bool { contains(name + ".png") }
}

extension FundusFolder.Photograph {
  /// Reads the photograph and its labels.
  ///
  /// Grey levels of a mask mean 0 outside of the disc, 1 its rim and 2 the cup; or, if there are greater
  /// ones, up to 50 the cup, up to 200 the rim, above the outside (the levels of REFUGE). The cup counts
  /// as far as it lies in the disc.
  ///
  /// - Returns: Colours as stored, and 0, 1 or 2 for each pixel.
  /// - Throws: What reading PNG files throws; ``ImagingError/unsupportedFormat(file:reason:)`` if the
  ///   pictures do not fit each other.
  public func read() throws(ImagingError) -> (image: PNGPixels, labels: [UInt8]) {
    let image = try PNGImage(contentsOf: path).pixels()
    guard image.channels == 3 else {
      throw .unsupportedFormat(file: path, reason: "it has \(image.channels) channels, not colours")
    }
    func grey(_ file: String) throws(ImagingError) -> PNGPixels {
      let mask = try PNGImage(contentsOf: file).pixels()
      guard mask.channels == 1, (mask.height, mask.width) == (image.height, image.width) else {
        throw .unsupportedFormat(
          file: file,
          reason: "a grey mask of \(image.height)x\(image.width) is needed, it is "
            + "\(mask.height)x\(mask.width)x\(mask.channels)")
      }
      return mask
    }
    switch mask {
    case .levels(let file):
      let values = try grey(file).values
      let isLabelled = (values.max() ?? 0) <= 2
      return (
        image,
        values.map { isLabelled ? UInt8($0) : $0 <= 50 ? 2 : $0 <= 200 ? 1 : 0 }
      )
    case .shares(let disc, let cup):
      let (disc, cup) = (try grey(disc), try grey(cup))
      func isIn(_ mask: PNGPixels, _ index: Int) -> Bool {
        mask.values[index] >= FundusFolder.leastShare * Float((1 << mask.bitDepth) - 1)
      }
      return (
        image,
        disc.values.indices.map { isIn(disc, $0) ? (isIn(cup, $0) ? 2 : 1) : 0 }
      )
    }
  }
}
