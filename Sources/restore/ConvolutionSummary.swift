import Layers
import Models
import Randomness

extension ModelDescription {
  /// How many convolutions of each kind the network really has, as one line.
  ///
  /// A layer that fell back to a plain convolution counts as plain.
  ///
  /// - Throws: `ModelError` if the network cannot be built.
  func convolutionSummary() throws(ModelError) -> String {
    var generator = SeededGenerator(seed: 0)
    let counts = try makeModel(using: &generator).convolutionCounts
    let parts = ConvolutionKind.allCases.compactMap { kind in
      counts[kind].map { "\($0) \(kind.rawValue)" }
    }
    return "convolutions: \(parts.isEmpty ? "none" : parts.joined(separator: ", "))"
  }
}
