/// Names in the form of BIDS, `sub-01_ses-2_T1w`.
///
/// Source: Gorgolewski et al., *The brain imaging data structure*, Scientific Data 3, 2016.
public enum BIDSName {
  /// Whose image a file is.
  ///
  /// - Parameter name: The name, without its folder.
  /// - Returns: `sub-` and the label, as in `sub-01`; nil for names of another form.
  public static func subject(of name: String) -> String? {
    guard name.hasPrefix("sub-") else { return nil }
    return String(name.prefix { $0 != "_" })
  }
}
