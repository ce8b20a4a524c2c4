import Foundation

/// A file's name in the form of BIDS, `sub-01_ses-2_run-1_T1w.nii.gz`: entities in their order, then the suffix.
///
/// Source: Gorgolewski et al., *The brain imaging data structure*, Scientific Data 3, 2016, and the specification
/// of BIDS, version 1.9.
public struct BIDSName: Sendable, Equatable {
  /// A key and its label, as in `ses-2`.
  public struct Entity: Sendable, Equatable {
    /// Lower-case letters, as in `ses`.
    public let key: String
    /// Letters and digits, as in `2`.
    public let label: String
  }

  /// The entities from left to right.
  public private(set) var entities: [Entity]
  /// What is shown, as in `T1w`.
  public let suffix: String

  /// The keys in the order in which names have them.
  private static let order = [
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec",
    "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split",
    "recording", "chunk", "atlas", "seg", "res", "den", "label", "desc",
  ]

  /// Reads a name.
  ///
  /// - Parameter path: A name, or a path of which the last component counts; its ending does not.
  /// - Throws: ``ImagingError/invalidBIDS(file:reason:)``.
  public init(_ path: String) throws(ImagingError) {
    let stem = ImageFormat.stem(of: path)
    func invalid(_ reason: String) -> ImagingError { .invalidBIDS(file: path, reason: reason) }
    let parts = stem.split(separator: "_", omittingEmptySubsequences: false).map(String.init)
    guard let last = parts.last, Self.isLabel(last) else {
      throw invalid("its name ends in no suffix of letters and digits, as in _T1w")
    }
    var entities: [Entity] = []
    for part in parts.dropLast() {
      let halves = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      guard halves.count == 2, !halves[0].isEmpty,
        halves[0].allSatisfy({ $0.isASCII && $0.isLowercase }),
        Self.isLabel(String(halves[1]))
      else {
        throw invalid("`\(part)` in its name is no key and label, as in run-1")
      }
      guard !entities.contains(where: { $0.key == halves[0] }) else {
        throw invalid("its name has two labels for `\(halves[0])`")
      }
      entities.append(Entity(key: String(halves[0]), label: String(halves[1])))
    }
    guard entities.first?.key == "sub" else { throw invalid("its name does not begin with sub-") }
    (self.entities, suffix) = (entities, last)
  }

  private init(_ entities: [Entity], suffix: String) {
    (self.entities, self.suffix) = (entities, suffix)
  }

  /// The label of a key, as in `2` for `ses`; nil if the name does not have it.
  public subscript(key: String) -> String? { entities.first { $0.key == key }?.label }

  /// The name without ending, as in `sub-01_ses-2_T1w`.
  public var stem: String {
    (entities.map { "\($0.key)-\($0.label)" } + [suffix]).joined(separator: "_")
  }

  /// The name with a label for a key, in place of the one that was there, else where BIDS has the key.
  ///
  /// Keys that BIDS does not know stay behind the key that they follow.
  ///
  /// - Parameters:
  ///   - key: As in `desc`.
  ///   - label: Letters and digits.
  /// - Returns: A name of the same suffix.
  public func setting(_ key: String, to label: String) -> BIDSName {
    let new = Entity(key: key, label: label)
    var result = entities.filter { $0.key != key }
    let rank = Self.order.firstIndex(of: key) ?? Self.order.count
    let place = result.firstIndex { (Self.order.firstIndex(of: $0.key) ?? -1) > rank }
    result.insert(new, at: place ?? result.endIndex)
    return BIDSName(result, suffix: suffix)
  }

  /// The name with another suffix.
  ///
  /// - Parameter suffix: As in `mask`.
  /// - Returns: A name of the same entities.
  public func replacingSuffix(with suffix: String) -> BIDSName {
    BIDSName(entities, suffix: suffix)
  }

  /// Whether a text may be a label or a suffix: letters and digits of ASCII, one at least.
  ///
  /// - Parameter text: The text.
  /// - Returns: False for the empty text.
  public static func isLabel(_ text: String) -> Bool {
    !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) }
  }

  /// What of a text may stand in a label, as in `stroke25d` for `stroke-2.5d`.
  ///
  /// - Parameter text: Any text.
  /// - Returns: Its letters and digits of ASCII; `x` if there are none.
  public static func label(from text: String) -> String {
    let letters = text.filter { isLabel(String($0)) }
    return letters.isEmpty ? "x" : letters
  }

  /// Whose image a file is.
  ///
  /// - Parameter name: The name, without its folder.
  /// - Returns: `sub-` and the label, as in `sub-01`; nil for names of another form.
  public static func subject(of name: String) -> String? {
    guard name.hasPrefix("sub-") else { return nil }
    return String(name.prefix { $0 != "_" })
  }
}
