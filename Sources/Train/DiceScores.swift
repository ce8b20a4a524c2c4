/// The Dice scores of a validation.
public struct DiceScores: Sendable, Equatable, Codable {
  /// After so many steps.
  public let step: Int
  /// The structures, in the order of the network's outputs, the background left out.
  public let structures: [String]
  /// The Dice of each structure.
  public let dice: [Double]

  /// The mean over structures.
  public var mean: Double { dice.reduce(0, +) / Double(max(1, dice.count)) }

  /// The Dice of each structure, by its name.
  public var byName: [String: Double] {
    Dictionary(uniqueKeysWithValues: zip(structures, dice))
  }
}

extension DiceScores: ValidationFindings {
  struct Record: Encodable {
    let dice: [String: Double]
    let validationDice: Double
  }

  var score: Double { mean }

  var record: Record { Record(dice: byName, validationDice: mean) }

  var scalars: [String: Double] {
    byName.reduce(into: ["dice": mean]) { $0["dice/" + $1.key] = $1.value }
  }
}
