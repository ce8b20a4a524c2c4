/// The file formats that images come in, by the endings of their names.
public enum ImageFormat: String, Sendable, CaseIterable {
  /// NIfTI-1 and NIfTI-2, single files and pairs, plain or compressed.
  case nifti
  /// Portable network graphics: one slice.
  case png

  /// The endings of file names, lower case.
  public var endings: [String] {
    switch self {
    case .nifti: [".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"]
    case .png: [".png"]
    }
  }

  /// The format that a path's ending stands for, or nil.
  public init?(path: String) {
    let lower = path.lowercased()
    guard let format = Self.allCases.first(where: { $0.endings.contains { lower.hasSuffix($0) } })
    else { return nil }
    self = format
  }

  /// The files that a path may stand for: of either file of a NIfTI pair both.
  ///
  /// - Parameter path: Any path.
  /// - Returns: One path or two.
  public static func files(of path: String) -> [String] {
    Self(path: path) == .nifti ? NIfTI.files(of: path) : [path]
  }

  /// A path's file name without folder and format ending, as in `sub-01_T1w`.
  ///
  /// - Parameter path: Any path.
  /// - Returns: The last component, cut before its longest known ending.
  public static func stem(of path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let lower = name.lowercased()
    let ending = allCases.flatMap(\.endings).filter { lower.hasSuffix($0) }
      .max { $0.count < $1.count }
    return String(name.dropLast(ending?.count ?? 0))
  }
}
