import Foundation

/// The folder of one patient of CAMUS: apical clips from end-diastole to end-systole with masks of
/// every frame.
///
/// `patient0001/patient0001_2CH_half_sequence.nii.gz` and `…_half_sequence_gt.nii.gz`, the frames along
/// the third axis; labels 1 left ventricle, 2 myocardium, 3 left atrium; `Info_2CH.cfg`.
///
/// Source: Leclerc et al., *Deep Learning for Segmentation Using an Open Large-Scale Dataset in 2D
/// Echocardiography*, IEEE TMI 38, 2019; layout of the NIfTI release.
public struct CAMUSFolder: Sendable, Equatable {
  /// A direction of the scan.
  public enum View: String, Sendable, CaseIterable {
    /// Apical two-chamber.
    case twoChamber = "2CH"
    /// Apical four-chamber.
    case fourChamber = "4CH"
  }

  /// The folder.
  public let path: String
  /// As in `patient0001`: the folder's name.
  public let patient: String

  /// A patient's folder; nothing is read.
  public init(path: String) {
    self.path = path
    patient = URL(fileURLWithPath: path).lastPathComponent
  }

  /// All patients below a folder, by name.
  public static func patients(in folder: String) -> [CAMUSFolder] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.filter { $0.hasPrefix("patient") }.sorted()
      .map { CAMUSFolder(path: folder + "/" + $0) }
  }

  /// The path of a clip.
  public func clipPath(_ view: View) -> String {
    "\(path)/\(patient)_\(view.rawValue)_half_sequence.nii.gz"
  }

  /// The path of a clip's masks.
  public func maskPath(_ view: View) -> String {
    "\(path)/\(patient)_\(view.rawValue)_half_sequence_gt.nii.gz"
  }

  /// A clip and its masks on one grid, `[frames, rows, columns]` each.
  ///
  /// - Throws: ``ImagingError``, also if the two lie on different grids.
  public func clip(_ view: View) throws(ImagingError) -> (image: Volume, masks: Volume) {
    let image = try ScanFile.read(clipPath(view)).volume
    let masks = try ScanFile.read(maskPath(view)).volume
    try masks.requireGrid(of: image, file: maskPath(view), referenceFile: clipPath(view))
    return (image, masks)
  }

  /// What `Info_<view>.cfg` says, `key: value` line by line.
  ///
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)``.
  public func information(_ view: View) throws(ImagingError) -> [String: String] {
    let file = "\(path)/Info_\(view.rawValue).cfg"
    guard let data = FileManager.default.contents(atPath: file),
      let text = String(data: data, encoding: .utf8)
    else { throw .noSuchFile(file: file, reason: nil) }
    var values: [String: String] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      values[parts[0].trimmingCharacters(in: .whitespaces)] =
        parts[1].trimmingCharacters(in: .whitespaces)
    }
    return values
  }

  /// The frames that the authors of GDKVM take of a clip: evenly spaced with both ends, halves rounded
  /// to even.
  ///
  /// - Parameters:
  ///   - count: Frames of the clip, ≥ 1.
  ///   - wanted: Frames to take, ≥ 1; they repeat if there are fewer.
  /// - Returns: Indices, ascending.
  public static func sampledFrames(of count: Int, wanted: Int = 10) -> [Int] {
    precondition(count >= 1 && wanted >= 1, "sampled frames: \(wanted) of \(count)")
    let step = wanted == 1 ? 0 : Double(count - 1) / Double(wanted - 1)
    return (0..<wanted).map { Int((Double($0) * step).rounded(.toNearestOrEven)) }
  }
}
