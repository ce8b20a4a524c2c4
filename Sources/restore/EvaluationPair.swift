import Foundation
import Imaging

/// A prediction and the reference that it belongs to.
struct EvaluationPair {
  /// The name without folder and ending.
  let name: String
  /// Nil if there is none for the reference.
  let prediction: String?
  let reference: String

  /// Pairs two files whatever their names, or the files of two folders or lists by name.
  static func pairs(
    predictions: String, references: String
  ) throws(CommandFailure) -> [EvaluationPair] {
    let found = try ItemList.inputs(predictions)
    let expected = try ItemList.inputs(references)
    // Two named files belong together; of two folders with a file each that is not certain.
    if let prediction = found.first, let reference = expected.first, found == [predictions],
      expected == [references]
    {
      return [
        EvaluationPair(
          name: ImageFormat.stem(of: prediction), prediction: prediction, reference: reference)
      ]
    }
    let byName = try named(found)
    _ = try named(expected)
    let names = Set(expected.map(ImageFormat.stem(of:)))
    if let extra = found.first(where: { !names.contains(ImageFormat.stem(of: $0)) }) {
      throw CommandFailure(
        ImagingError.noSuchFile(
          file: ImageFormat.stem(of: extra), reason: "\(extra) has no reference in \(references)"))
    }
    return expected.map { reference in
      let name = ImageFormat.stem(of: reference)
      return EvaluationPair(name: name, prediction: byName[name], reference: reference)
    }
  }

  /// Paths by name; a name that stands for two files is an error.
  private static func named(_ paths: [String]) throws(CommandFailure) -> [String: String] {
    var result: [String: String] = [:]
    for path in paths {
      let name = ImageFormat.stem(of: path)
      if let other = result.updateValue(path, forKey: name) {
        throw CommandFailure(
          code: ExitStatus.data, kind: "ambiguous", what: "two files of one name (\(name))",
          cause: "\(other) and \(path)", advice: "keep one of them in the folder", file: path)
      }
    }
    return result
  }
}
