package import TensorCore

/// Weights generated from names, for networks too large to be stored in a golden file.
///
/// Every element is a hash of the tensor's name and its position, scaled by a rule that depends on
/// shape and name; see section 3 of the description of the golden files.
package struct WeightFill {
  /// The name of the rule in `config`.
  package static let name = "fnv1a-splitmix64"

  /// Comes before every tensor's name.
  package let salt: String

  /// The generator of one network.
  package init(salt: String) { self.salt = salt }

  /// The tensor of that name and shape.
  package func tensor(named name: String, shape: Shape) -> Tensor {
    Tensor(shape) { fill($0, name: name, shape: shape) }
  }

  /// Writes the values of the tensor of that name and shape, row-major.
  package func fill(_ values: UnsafeMutableBufferPointer<Float>, name: String, shape: Shape) {
    let (offset, scale) = Self.rule(name: name, shape: shape)
    var state = Self.hash("\(salt)/\(name)")
    for index in values.indices {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      z ^= z >> 31
      let s = 2 * (Double(z >> 40) * 0x1p-24) - 1
      values[index] = Float(offset + s * scale)
    }
  }

  /// The mean and the largest deviation; the first rule that fits applies.
  private static func rule(name: String, shape: Shape) -> (offset: Double, scale: Double) {
    if shape.rank >= 2 {
      return (0, (3 / Double(shape.dimensions.dropFirst().reduce(1, *))).squareRoot())
    }
    if name.hasSuffix("running_var") { return (1, 0.2) }
    if name.hasSuffix("running_mean") { return (0, 0.1) }
    if shape.rank == 1 && name.hasSuffix(".weight") { return (1, 0.1) }
    if name.hasSuffix("A_log") { return (0, 1) }
    if name.hasSuffix("dt_bias") { return (-2, 1) }
    return (0, 0.1)
  }

  /// FNV-1a of 64 bits.
  private static func hash(_ text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
