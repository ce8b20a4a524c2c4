import Layers

/// How far results may be from a golden file's numbers.
///
/// A tensor passes if `max|a − b| ≤ t · max|b| + absolute`, t being `forward` or `gradient`.
struct ParityTolerance {
  struct Values {
    var forward: Double
    var gradient: Double
    var absolute: Double
  }

  private let common: Values
  private let own: [String: Values]

  /// Reads `{"forward": f, "gradient": g, "absolute": a, "tensors": {name: {…}}}`.
  init(parsing text: String) throws(ParityError) {
    let members = try Self.object(text)
    var common = Values(forward: .nan, gradient: .nan, absolute: .nan)
    try Self.read(members.filter { $0.key != "tensors" }, into: &common)
    let known: [(String, Double)] = [
      ("forward", common.forward), ("gradient", common.gradient), ("absolute", common.absolute),
    ]
    for (key, value) in known where value.isNaN {
      throw .invalidMetadata(key: "tolerance", reason: "lacks \"\(key)\"")
    }
    var own: [String: Values] = [:]
    if let tensors = members["tensors"] {
      guard let tensors = tensors.object else {
        throw .invalidMetadata(key: "tolerance", reason: "\"tensors\" is not an object")
      }
      for (name, value) in tensors {
        guard let members = value.object else {
          throw .invalidMetadata(key: "tolerance", reason: "\"\(name)\" is not an object")
        }
        var values = common
        try Self.read(members, into: &values)
        own[name] = values
      }
    }
    self.common = common
    self.own = own
  }

  /// The values for one tensor, by its full name.
  subscript(tensor: String) -> Values { own[tensor] ?? common }

  private static func object(_ text: String) throws(ParityError) -> [String: JSONValue] {
    do throws(JSONProblem) {
      guard let members = try JSONValue(parsing: text).object else {
        throw .wrongKind(expected: "an object", offset: 0)
      }
      return members
    } catch {
      throw .invalidMetadata(key: "tolerance", reason: "\(error)")
    }
  }

  private static func read(
    _ members: [String: JSONValue], into values: inout Values
  ) throws(ParityError) {
    for (key, value) in members.sorted(by: { $0.key < $1.key }) {
      guard let number = value.double, number >= 0 else {
        throw .invalidMetadata(key: "tolerance", reason: "\"\(key)\" is not a number ≥ 0")
      }
      switch key {
      case "forward": values.forward = number
      case "gradient": values.gradient = number
      case "absolute": values.absolute = number
      default: throw .invalidMetadata(key: "tolerance", reason: "\"\(key)\" is not understood")
      }
    }
  }
}
