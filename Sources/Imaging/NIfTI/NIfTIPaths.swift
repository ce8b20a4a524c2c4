/// The files of one NIfTI image, by the rules for their names.
struct NIfTIPaths: Sendable, Equatable {
  /// The file with the header.
  let header: String
  /// The file with the voxels; the same one unless the name is that of a pair.
  let image: String
  /// Whether the name is that of a pair.
  let isPair: Bool
  /// Whether the name ends in .gz.
  let isCompressed: Bool
  /// Whether the name ends in one of the extensions of the format.
  let isKnownName: Bool

  /// All files, header first.
  var all: [String] { isPair ? [header, image] : [header] }

  /// Tells the files of an image from a path to it, for a pair to either file.
  ///
  /// Upper and lower case are the same; the other file of a pair is spelled like the given one.
  init(_ path: String) {
    let lower = path.lowercased()
    isCompressed = lower.hasSuffix(".gz")
    let suffix = isCompressed ? path.suffix(3) : ""
    let stem = path.dropLast(suffix.count)
    let lowerStem = stem.lowercased()
    isPair = lowerStem.hasSuffix(".hdr") || lowerStem.hasSuffix(".img")
    isKnownName = isPair || lowerStem.hasSuffix(".nii")
    guard isPair else {
      header = path
      image = path
      return
    }
    let isUpper = stem.hasSuffix("HDR") || stem.hasSuffix("IMG")
    let base = stem.dropLast(3)
    header = "\(base)\(isUpper ? "HDR" : "hdr")\(suffix)"
    image = "\(base)\(isUpper ? "IMG" : "img")\(suffix)"
  }
}
