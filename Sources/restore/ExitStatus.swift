/// The exit codes, as documented for users.
enum ExitStatus {
  /// All items succeeded.
  static let success: Int32 = 0
  /// A check failed, or a bug.
  static let failure: Int32 = 1
  /// Some items failed, others succeeded.
  static let partial: Int32 = 2
  /// The command was called wrongly.
  static let usage: Int32 = 64
  /// Input data malformed or not supported.
  static let data: Int32 = 65
  /// Input missing or unreadable.
  static let noInput: Int32 = 66
  /// A feature that this build does not have.
  static let unavailable: Int32 = 69
  /// Infinities or NaN.
  static let numerical: Int32 = 70
  /// More memory needed than allowed.
  static let memory: Int32 = 71
  /// The output cannot be created.
  static let cannotCreate: Int32 = 73
  /// Writing failed.
  static let writeFailed: Int32 = 74
  /// Configuration or model bundle invalid.
  static let configuration: Int32 = 78
}
