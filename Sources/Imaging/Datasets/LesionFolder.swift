import Foundation

/// One brain with the mask of its lesions.
public struct LesionCase: Sendable, Equatable {
  /// The case's name: subject, and visit if there is one.
  public let name: String
  /// The subject; visits of one subject share it.
  public let subject: String
  /// The images, on one grid, in the order in which a network takes them.
  public let images: [String]
  /// The mask; voxels other than 0 are lesion.
  public let mask: String

  /// A case.
  public init(name: String, subject: String, images: [String], mask: String) {
    self.name = name
    self.subject = subject
    self.images = images
    self.mask = mask
  }
}

/// A folder of brains with lesion masks in one of the published layouts.
///
/// | layout | images | mask |
/// | --- | --- | --- |
/// | ATLAS R2.0 (BIDS) | `sub-*/ses-*/anat/*_T1w` | `*_label-L_desc-T1lesion_mask` beside it |
/// | ISLES 2022 (BIDS) | `sub-*/ses-*/dwi/*_dwi`, `*_adc` | `derivatives/sub-*/ses-*/*_msk` |
/// | ISLES 2015 | `*.MR_T1.*`, `*.MR_Flair.*` below each case's folder | `*.OT.*` |
/// | nnU-Net raw | `imagesTr/CASE_0000`, `_0001`, … | `labelsTr/CASE` |
///
/// Cases without a mask are left out: in ATLAS and ISLES these are the hidden test sets.
///
/// Sources: Liew et al., *A large, curated, open-source stroke neuroimaging dataset*, Scientific Data 9,
/// 2022; Hernandez Petzsche et al., *ISLES 2022*, Scientific Data 9, 2022; Maier et al., *ISLES 2015*,
/// Medical Image Analysis 35, 2017; Isensee et al., *nnU-Net*, Nature Methods 18, 2021.
public struct LesionFolder: Sendable, Equatable {
  /// How the files lie.
  public enum Layout: String, Sendable, CaseIterable {
    /// ATLAS R2.0.
    case atlas
    /// ISLES 2022.
    case isles2022
    /// ISLES 2015, sub-acute stroke.
    case isles2015
    /// nnU-Net raw.
    case nnUNet
  }

  /// The folder.
  public let path: String
  /// How the files lie.
  public let layout: Layout
  /// The cases with masks, by name.
  public let cases: [LesionCase]

  /// Looks through a folder; no image is read.
  ///
  /// - Parameter path: The folder.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` for a missing folder or file,
  ///   ``ImagingError/unsupportedFormat(file:reason:)`` if the files lie in no known way.
  public init(path: String) throws(ImagingError) {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue
    else { throw .noSuchFile(file: path, reason: "a folder of brains should be there") }
    self.path = path
    if FileManager.default.fileExists(atPath: path + "/dataset.json"),
      FileManager.default.fileExists(atPath: path + "/imagesTr")
    {
      layout = .nnUNet
      cases = try Self.nnUNet(path)
      return
    }
    let files = FolderTree.subpaths(of: path)
      .filter { ImageFormat(path: $0) == .nifti }
    let found: [(Layout, [LesionCase])] = [
      (.atlas, Self.atlas(path, files)), (.isles2022, Self.isles2022(path, files)),
      (.isles2015, Self.isles2015(path, files)),
    ]
    guard let match = found.first(where: { !$0.1.isEmpty }) else {
      throw .unsupportedFormat(
        file: path,
        reason: "no brain with a mask in the layout of ATLAS R2.0 (sub-*/ses-*/anat), ISLES 2022 "
          + "(sub-*, derivatives), ISLES 2015 (*.MR_T1.*, *.OT.*) or nnU-Net raw (dataset.json, "
          + "imagesTr)")
    }
    layout = match.0
    cases = match.1
  }

  // MARK: - BIDS

  private static func atlas(_ path: String, _ files: [String]) -> [LesionCase] {
    let known = Dictionary(files.map { (stem($0), $0) }) { first, _ in first }
    return files.compactMap { file in
      let stem = stem(file)
      guard stem.hasSuffix("_T1w"),
        let mask = known[stem.dropLast("_T1w".count) + "_label-L_desc-T1lesion_mask"]
      else { return nil }
      return bidsCase(path, [file], mask: mask)
    }
  }

  private static func isles2022(_ path: String, _ files: [String]) -> [LesionCase] {
    func name(_ file: String) -> String {
      (stem(file).split(separator: "/").last.map(String.init)) ?? file
    }
    let known = Dictionary(files.map { (name($0), $0) }) { first, _ in first }
    return files.compactMap { file in
      let name = name(file)
      guard file.contains("derivatives/"), name.hasSuffix("_msk") else { return nil }
      let base = name.dropLast("_msk".count)
      guard let diffusion = known[base + "_dwi"], let coefficient = known[base + "_adc"] else {
        return nil
      }
      return bidsCase(path, [diffusion, coefficient], mask: file)
    }
  }

  private static func bidsCase(_ path: String, _ images: [String], mask: String) -> LesionCase? {
    let name = stem(images[0]).split(separator: "/").last.map(String.init) ?? images[0]
    let parts = name.split(separator: "_")
    guard let subject = parts.first(where: { $0.hasPrefix("sub-") }) else { return nil }
    let visit = parts.first { $0.hasPrefix("ses-") }
    return LesionCase(
      name: [subject, visit].compactMap { $0 }.joined(separator: "_"), subject: String(subject),
      images: images.map { path + "/" + $0 }, mask: path + "/" + mask)
  }

  /// A path without the endings of an image.
  private static func stem(_ file: String) -> String {
    let folder = file.split(separator: "/").dropLast()
    return (folder + [Substring(ImageFormat.stem(of: file))]).joined(separator: "/")
  }

  // MARK: - ISLES 2015

  private static func isles2015(_ path: String, _ files: [String]) -> [LesionCase] {
    var cases: [String: [String: String]] = [:]
    for file in files {
      let parts = file.split(separator: "/")
      guard parts.count >= 2, let name = parts.last else { continue }
      for kind in ["MR_T1", "MR_Flair", "OT"] where name.contains(".\(kind).") {
        // Without the two folders at most that each file has: its own, and that of the case.
        let folder = parts.dropLast(parts.count >= 3 ? 2 : 1).joined(separator: "/")
        cases[folder, default: [:]][kind] = path + "/" + file
      }
    }
    return cases.sorted { $0.key < $1.key }.compactMap { folder, found in
      guard let t1 = found["MR_T1"], let flair = found["MR_Flair"], let mask = found["OT"] else {
        return nil
      }
      return LesionCase(name: folder, subject: folder, images: [t1, flair], mask: mask)
    }
  }

  // MARK: - nnU-Net

  private static func nnUNet(_ path: String) throws(ImagingError) -> [LesionCase] {
    let description = path + "/dataset.json"
    let data = FileManager.default.contents(atPath: description) ?? Data()
    guard
      let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let channels = object["channel_names"] as? [String: Any] ?? object["modality"]
        as? [String: Any], !channels.isEmpty,
      let ending = object["file_ending"] as? String ?? Optional(".nii.gz")
    else {
      throw .unsupportedFormat(
        file: description, reason: "it needs channel_names and file_ending, as nnU-Net writes them")
    }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path + "/labelsTr")) ?? []
    let stems = names.filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }.sorted()
      .map { String($0.dropLast(ending.count)) }
    guard !stems.isEmpty else {
      throw .unsupportedFormat(file: path + "/labelsTr", reason: "it has no *\(ending)")
    }
    var cases: [LesionCase] = []
    for stem in stems {
      var images: [String] = []
      for channel in 0..<channels.count {
        let digits = String(channel)
        let suffix = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        let image = "\(path)/imagesTr/\(stem)_\(suffix)\(ending)"
        guard FileManager.default.fileExists(atPath: image) else {
          throw .noSuchFile(
            file: image, reason: "dataset.json names \(channels.count) channels for each case")
        }
        images.append(image)
      }
      cases.append(
        LesionCase(
          name: stem, subject: stem, images: images, mask: "\(path)/labelsTr/\(stem)\(ending)"))
    }
    return cases
  }
}
