public import Layers
public import Models

/// Which convolutions a network is trained with: those of its preset, or others.
///
/// In a configuration `"convolution": "preset"`, `"weighted"`, or an object with options; see
/// `ConvolutionChoice`.
public enum ConvolutionSelection: Codable, Sendable, Equatable {
  /// Those of the preset.
  case ofPreset
  /// Others.
  case choice(ConvolutionChoice)

  private static let presetName = "preset"

  /// Reads the word `preset`, a kind's name, or an object with options.
  public init(from decoder: any Decoder) throws {
    if (try? decoder.singleValueContainer().decode(String.self)) == Self.presetName {
      self = .ofPreset
    } else {
      self = .choice(try ConvolutionChoice(from: decoder))
    }
  }

  /// Writes the word `preset` or the choice with its options.
  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .ofPreset:
      var container = encoder.singleValueContainer()
      try container.encode(Self.presetName)
    case .choice(let choice): try choice.encode(to: encoder)
    }
  }
}

extension TrainingConfiguration.ModelSection {
  /// The network that is trained.
  ///
  /// - Parameter neighbours: Slices on either side that it is shown too.
  /// - Returns: A description that was checked.
  /// - Throws: ``ModelError`` if a name is unknown, if a value does not fit, or if a layer cannot be of the
  ///   chosen kind: it names the layer and the rule.
  public func description(neighbours: Int = 0) throws(ModelError) -> ModelDescription {
    var changes = hyperparameters
    if neighbours > 0 {
      changes["in_channels"] = .integer(2 * neighbours + 1)
      changes["out_channels"] = .integer(1)
    }
    let description = try ModelDescription(architecture: arch, preset: preset).with(changes)
    guard case .choice(let choice) = convolution else { return description }
    return try description.with(choice)
  }
}
