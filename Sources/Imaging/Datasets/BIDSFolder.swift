import Foundation

/// A dataset in the layout of BIDS: `sub-LABEL/[ses-LABEL/]DATATYPE/NAME.nii.gz`.
///
/// Links to folders are followed, as DataLad and copies of large datasets have them. Nothing is written.
public struct BIDSFolder: Sendable {
  /// One image of a participant.
  public struct Image: Sendable, Equatable {
    /// Where it is from the dataset's folder, as in `sub-01/ses-A/anat/sub-01_ses-A_T1w.nii.gz`.
    public let path: String
    /// What its name says.
    public let name: BIDSName
    /// The label of its session; nil for a dataset without sessions.
    public let session: String?

    /// The folder of the image from the dataset's folder, as in `sub-01/ses-A/anat`.
    public var folder: String { path.split(separator: "/").dropLast().joined(separator: "/") }
  }

  /// What lies in the folder of a participant.
  public struct Participant: Sendable {
    /// Without `sub-`.
    public let label: String
    /// The images whose names are of the form that BIDS asks for, by path.
    public let images: [Image]
    /// What is named otherwise, by path.
    public let problems: [ImagingError]

    /// The sessions, sorted.
    public var sessions: [String] { Set(images.compactMap(\.session)).sorted() }
  }

  /// The part of `dataset_description.json` that BIDS requires, and whence the dataset can be had.
  public struct Description: Sendable, Equatable, Decodable {
    /// The dataset's name.
    public let name: String
    /// As in `1.8.0`.
    public let version: String
    /// As in `doi:10.18112/openneuro.ds000001.v1.0.0`.
    public let doi: String?

    private enum CodingKeys: String, CodingKey {
      case name = "Name"
      case version = "BIDSVersion"
      case doi = "DatasetDOI"
    }
  }

  /// The folder.
  public let path: String
  /// The labels of all participants without `sub-`, in bytewise order; images are not looked for yet.
  public let participantLabels: [String]

  /// Looks for participants.
  ///
  /// - Parameter path: The dataset's folder.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` for a missing folder,
  ///   ``ImagingError/noImages(folder:)`` if it holds no participant.
  public init(path: String) throws(ImagingError) {
    guard Self.isFolder(path) else {
      throw .noSuchFile(file: path, reason: "the folder of a BIDS dataset should be there")
    }
    self.path = path
    participantLabels = Self.names(in: path)
      .filter { $0.hasPrefix("sub-") && $0.count > 4 && Self.isFolder(path + "/" + $0) }
      .map { String($0.dropFirst(4)) }
    guard !participantLabels.isEmpty else { throw .noImages(folder: path) }
  }

  /// What `dataset_description.json` says.
  ///
  /// - Returns: Its name, version and DOI.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)``, or ``ImagingError/invalidBIDS(file:reason:)`` if it is no
  ///   JSON object with `Name` and `BIDSVersion`.
  public func description() throws(ImagingError) -> Description {
    let file = path + "/dataset_description.json"
    guard let data = FileManager.default.contents(atPath: file) else {
      throw .noSuchFile(file: file, reason: "every BIDS dataset has it")
    }
    guard let object = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] else {
      throw .invalidBIDS(file: file, reason: "it is not a JSON object")
    }
    for key in ["Name", "BIDSVersion"] {
      guard let text = object[key] as? String, !text.isEmpty else {
        throw .invalidBIDS(file: file, reason: "it has no text for \(key)")
      }
    }
    do { return try JSONDecoder().decode(Description.self, from: data) } catch {
      throw .invalidBIDS(file: file, reason: "DatasetDOI is no text")
    }
  }

  /// Looks for the images of a participant.
  ///
  /// - Parameter label: Without `sub-`.
  /// - Returns: No images for a participant who is not there.
  public func participant(_ label: String) -> Participant {
    let own = "sub-" + label
    var images: [Image] = []
    var problems: [ImagingError] = []
    if !BIDSName.isLabel(label) {
      problems.append(
        .invalidBIDS(file: own, reason: "the label of a participant has letters and digits alone"))
    }
    for file in FolderTree.subpaths(of: "\(path)/\(own)") where Self.isImage(file) {
      let parts = file.split(separator: "/").map(String.init)
      // What lies deeper or higher is no image of a datatype, such as what programs leave in folders of their own.
      let hasSession = parts[0].hasPrefix("ses-")
      guard parts.count == (hasSession ? 3 : 2), !parts[parts.count - 1].hasPrefix(".") else {
        continue
      }
      let session = hasSession ? String(parts[0].dropFirst(4)) : nil
      do throws(ImagingError) {
        let name = try BIDSName(own + "/" + file)
        try Self.check(name, file: own + "/" + file, participant: label, session: session)
        images.append(Image(path: own + "/" + file, name: name, session: session))
      } catch { problems.append(error) }
    }
    return Participant(label: label, images: images, problems: problems)
  }

  private static func check(
    _ name: BIDSName, file: String, participant: String, session: String?
  ) throws(ImagingError) {
    guard name["sub"] == participant else {
      throw .invalidBIDS(
        file: file,
        reason: "its name is of sub-\(name["sub"] ?? ""), its folder is that of sub-\(participant)")
    }
    guard name["ses"] == session else {
      throw .invalidBIDS(
        file: file,
        reason: "its name is of \(name["ses"].map { "ses-" + $0 } ?? "no session"), its folder of "
          + (session.map { "ses-" + $0 } ?? "none"))
    }
  }

  /// BIDS knows neither pairs of files nor endings in capitals.
  private static func isImage(_ file: String) -> Bool {
    file.hasSuffix(".nii.gz") || file.hasSuffix(".nii")
  }

  private static func names(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      && isFolder.boolValue
  }
}
