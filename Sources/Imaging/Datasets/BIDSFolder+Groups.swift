extension BIDSFolder.Participant {
  /// The images that belong together, one of each suffix, on every session.
  ///
  /// What goes with an image of the first suffix is the image of the same entities, else the only one of its session.
  ///
  /// - Parameters:
  ///   - suffixes: As in `T1w`, `FLAIR`; one at least, in the order of the result.
  ///   - wanted: The labels of the sessions that count; nil for all images.
  /// - Returns: Images in the order of their paths; none for a session without any of the suffixes.
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)`` if an image is alone,
  ///   ``ImagingError/invalidBIDS(file:reason:)`` if several could go with it.
  public func groups(
    of suffixes: [String], sessions wanted: Set<String>? = nil
  ) throws(ImagingError) -> [[BIDSFolder.Image]] {
    var result: [[BIDSFolder.Image]] = []
    let sessions: [String?] = [nil] + self.sessions.map { Optional($0) }
    for session in sessions {
      if let wanted, !(session.map(wanted.contains) ?? false) { continue }
      let own = images.filter { $0.session == session && suffixes.contains($0.name.suffix) }
      guard let any = own.first else { continue }
      let guides = own.filter { $0.name.suffix == suffixes[0] }
      guard !guides.isEmpty else { throw Self.missing(suffixes[0], besides: any) }
      for guide in guides {
        var group = [guide]
        for suffix in suffixes.dropFirst() {
          group.append(try Self.partner(of: guide, suffix, among: own))
        }
        result.append(group)
      }
    }
    return result
  }

  private static func partner(
    of guide: BIDSFolder.Image, _ suffix: String, among images: [BIDSFolder.Image]
  ) throws(ImagingError) -> BIDSFolder.Image {
    let candidates = images.filter { $0.name.suffix == suffix }
    let same = candidates.filter { $0.name.entities == guide.name.entities }
    guard let found = same.first ?? candidates.first else { throw missing(suffix, besides: guide) }
    guard same.count == 1 || same.isEmpty && candidates.count == 1 else {
      throw .invalidBIDS(
        file: guide.path,
        reason:
          "\(candidates.count) \(suffix) images could go with it: one should have its entities"
      )
    }
    return found
  }

  private static func missing(_ suffix: String, besides image: BIDSFolder.Image) -> ImagingError {
    let name = image.name.replacingSuffix(with: suffix).stem
    return .noSuchFile(
      file: "\(image.folder)/\(name).nii.gz",
      reason: "a \(suffix) image should be there to go with \(image.path)")
  }
}
