import Foundation

/// A raw dataset in the layout of nnU-Net: `dataset.json`, `imagesTr/CASE_0000…`, `labelsTr/CASE…`.
///
/// `dataset.json` names the channels (`channel_names`, or `modality` in the first version of the layout)
/// and the labels (name to number, or number to name in the first version). Colour PNG files are several
/// channels at once.
///
/// Source: Isensee et al., *nnU-Net*, Nature Methods 18, 2021, and its documented dataset format.
public struct NNUNetFolder: Sendable, Equatable {
  /// A case: its channels and its labels.
  public struct Case: Sendable, Equatable {
    /// The name without channel and ending.
    public let name: String
    /// The files of the channels in order.
    public let images: [String]
    /// The label map; nil for cases to be segmented.
    public let labels: String?

    /// A case.
    public init(name: String, images: [String], labels: String?) {
      (self.name, self.images, self.labels) = (name, images, labels)
    }
  }

  /// A structure.
  public struct Label: Sendable, Equatable, Codable {
    /// As in `liver`.
    public let name: String
    /// Its number in label maps, > 0.
    public let value: Int

    /// A structure.
    public init(name: String, value: Int) { (self.name, self.value) = (name, value) }
  }

  /// The folder.
  public let path: String
  /// The channels' names in order, as in `CT`, `T1`.
  public let channels: [String]
  /// The structures by number, the background left out.
  public let labels: [Label]
  /// The cases with labels, by name.
  public let cases: [Case]

  /// Reads `dataset.json` and lists the files.
  ///
  /// - Parameter path: The folder.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` if something of it is missing,
  ///   ``ImagingError/unsupportedFormat(file:reason:)`` if `dataset.json` is of another form.
  public init(path: String) throws(ImagingError) {
    self.path = path
    let description = path + "/dataset.json"
    guard let data = FileManager.default.contents(atPath: description) else {
      throw .noSuchFile(file: description, reason: "an nnU-Net raw folder has it")
    }
    guard
      let document = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
    else { throw .unsupportedFormat(file: description, reason: "it is not a JSON object") }
    channels = try Self.channels(document, description)
    labels = try Self.labels(document, description)
    let found = try Self.images(in: path + "/imagesTr")
    var cases: [Case] = []
    for item in found {
      guard let truth = Self.file(named: item.name, in: path + "/labelsTr") else {
        throw .noSuchFile(
          file: "\(path)/labelsTr/\(item.name)", reason: "\(item.images[0]) has no label map")
      }
      cases.append(Case(name: item.name, images: item.images, labels: truth))
    }
    guard !cases.isEmpty else { throw .noImages(folder: path + "/imagesTr") }
    // A case that was not copied would go unseen.
    if let count = document["numTraining"] as? Int, count != cases.count {
      throw .unsupportedFormat(
        file: description, reason: "numTraining is \(count), imagesTr has \(cases.count) cases")
    }
    let names = Set(cases.map(\.name))
    let maps = (try? FileManager.default.contentsOfDirectory(atPath: path + "/labelsTr")) ?? []
    for map in maps.sorted() where !map.hasPrefix(".") && ImageFormat(path: map) != nil {
      guard names.contains(ImageFormat.stem(of: map)) else {
        throw .noSuchFile(
          file: "\(path)/imagesTr/\(ImageFormat.stem(of: map))",
          reason: "labelsTr/\(map) has no image")
      }
    }
    self.cases = cases
  }

  /// The cases of a folder of images, `CASE_0000` and so on; names without a channel are cases of one.
  ///
  /// - Parameter folder: As in `imagesTs`.
  /// - Returns: By name, without labels.
  /// - Throws: ``ImagingError/noImages(folder:)``; ``ImagingError/noSuchFile(file:reason:)`` if a channel
  ///   is missing.
  public static func images(in folder: String) throws(ImagingError) -> [Case] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    var files: [String: [Int: String]] = [:]
    for name in names.sorted() where !name.hasPrefix(".") && ImageFormat(path: name) != nil {
      let stem = ImageFormat.stem(of: name)
      let digits = stem.suffix(4)
      let hasChannel = stem.dropLast(4).hasSuffix("_") && digits.allSatisfy(\.isNumber)
      let channel = hasChannel ? Int(digits) ?? 0 : 0
      let other = files[hasChannel ? String(stem.dropLast(5)) : stem, default: [:]]
        .updateValue("\(folder)/\(name)", forKey: channel)
      if let other {
        throw .unreadable(
          file: "\(folder)/\(name)", reason: "\(other) is the same channel of the same case")
      }
    }
    guard !files.isEmpty else { throw .noImages(folder: folder) }
    var cases: [Case] = []
    for (name, channels) in files.sorted(by: { $0.key < $1.key }) {
      var images: [String] = []
      for channel in 0..<channels.count {
        guard let file = channels[channel] else {
          throw .noSuchFile(
            file: "\(folder)/\(name)", reason: "its channel \(channel) is missing among others")
        }
        images.append(file)
      }
      cases.append(Case(name: name, images: images, labels: nil))
    }
    return cases
  }

  private static func file(named name: String, in folder: String) -> String? {
    for ending in [".nii.gz", ".nii", ".png", ".hdr"] {
      let path = "\(folder)/\(name)\(ending)"
      if FileManager.default.fileExists(atPath: path) { return path }
    }
    return nil
  }

  private static func channels(
    _ document: [String: Any], _ file: String
  ) throws(ImagingError) -> [String] {
    guard
      let names = (document["channel_names"] ?? document["modality"]) as? [String: String],
      !names.isEmpty
    else {
      throw .unsupportedFormat(file: file, reason: "it has no channel_names, number to name")
    }
    var channels: [String] = []
    for index in 0..<names.count {
      guard let name = names["\(index)"] else {
        throw .unsupportedFormat(file: file, reason: "channel_names has no channel \(index)")
      }
      channels.append(name)
    }
    return channels
  }

  private static func labels(
    _ document: [String: Any], _ file: String
  ) throws(ImagingError) -> [Label] {
    guard let stored = document["labels"] as? [String: Any] else {
      throw .unsupportedFormat(file: file, reason: "it has no labels, name to number")
    }
    guard stored["ignore"] == nil else {
      throw .unsupportedFormat(
        file: file, reason: "voxels to be ignored (the label `ignore`) are not handled")
    }
    var labels: [Label] = []
    for (key, value) in stored {
      if let number = value as? Int {
        labels.append(Label(name: key, value: number))
      } else if let name = value as? String, let number = Int(key) {
        labels.append(Label(name: name, value: number))
      } else if let name = value as? String, let number = Int(name) {
        labels.append(Label(name: key, value: number))
      } else {
        throw .unsupportedFormat(
          file: file, reason: "label `\(key)` is no number; regions of labels are not handled")
      }
    }
    labels.removeAll { $0.value == 0 }
    labels.sort { $0.value < $1.value }
    guard !labels.isEmpty, labels.map(\.value) == Array(1...labels.count), labels.count < 256 else {
      throw .unsupportedFormat(
        file: file,
        reason: "labels are numbered 0 for the background, then 1, 2, 3 without gaps")
    }
    guard Set(labels.map(\.name)).count == labels.count else {
      throw .unsupportedFormat(file: file, reason: "two labels have one name")
    }
    return labels
  }
}
