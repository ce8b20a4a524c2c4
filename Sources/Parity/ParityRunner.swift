public import Layers
import TensorCore

/// Runs golden files through this build.
///
/// The format and the rules of comparison are those of the golden files' own description
/// ("parity-1"): everything to build stands in the file, every result in it is compared, and what
/// cannot be computed counts as failed.
public enum ParityRunner {
  /// Runs one file.
  ///
  /// - Parameter path: A golden file.
  /// - Returns: What happened; a file that cannot be read or built is a failed one.
  public static func run(_ path: String) -> ParityFileResult {
    let file: Safetensors
    do {
      file = try Safetensors(contentsOf: path)
    } catch {
      return ParityFileResult(
        file: path, subject: nil, outcome: .failed, message: "\(error)", comparisons: [])
    }
    return run(file)
  }

  /// Runs one file that has been opened.
  ///
  /// - Parameter tensors: A golden file.
  /// - Returns: What happened; a file that cannot be built is a failed one.
  public static func run(_ tensors: Safetensors) -> ParityFileResult {
    do {
      let file = try ParityFile(tensors)
      guard let subject = ParityRegistry.subject(named: file.subject) else {
        return ParityFileResult(
          file: tensors.path, subject: file.subject, outcome: .unsupported, message: nil,
          comparisons: [])
      }
      let comparisons = try Engine.shared.perform { () throws(ParityError) in
        try ParityRun(file, subject).comparisons()
      }
      guard !comparisons.isEmpty else { throw ParityError.nothingToCompare }
      return ParityFileResult(
        file: tensors.path, subject: file.subject,
        outcome: comparisons.allSatisfy(\.passed) ? .passed : .failed, message: nil,
        comparisons: comparisons)
    } catch {
      return ParityFileResult(
        file: tensors.path, subject: tensors.metadata["subject"], outcome: .failed,
        message: "\(error)", comparisons: [])
    }
  }
}
