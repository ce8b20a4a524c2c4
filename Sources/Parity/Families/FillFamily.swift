import Layers
import TensorCore

/// The generator of weights, which is checked before any network that is filled by it.
enum FillFamily {
  static let subjects: [any ParitySubject.Type] = [WeightFillSubject.self]
}

/// `op.weight_fill`: one output for each entry of `names`.
private struct WeightFillSubject: ParitySubject {
  static let name = "op.weight_fill"

  let fill: WeightFill
  let shapes: [String: Shape]
  let inputs: [String: TensorRule] = [:]

  init(_ configuration: inout SubjectConfiguration) throws(ParityError) {
    guard let fill = try configuration.weightFill() else { throw .missingKey("weights") }
    self.fill = fill
    guard let names = try configuration.value("names").object else {
      throw .invalidValue(key: "names", value: "no object", rule: "expected names and shapes")
    }
    var shapes: [String: Shape] = [:]
    for (name, value) in names {
      let sizes = (value.array ?? []).compactMap(\.integer)
      var count = 1
      for size in sizes where (1...1 << 28).contains(size) && count <= 1 << 28 { count *= size }
      guard let array = value.array, sizes.count == array.count,
        sizes.allSatisfy({ (1...1 << 28).contains($0) }), count <= 1 << 28
      else {
        throw .invalidValue(
          key: "names", value: "no usable shape for \"\(name)\"", rule: "expected a list of sizes")
      }
      shapes[name] = Shape(sizes)
    }
    self.shapes = shapes
  }

  func run(_ operands: [String: Tensor]) -> [String: Tensor] {
    var outputs: [String: Tensor] = [:]
    for (name, shape) in shapes { outputs[name] = fill.tensor(named: name, shape: shape) }
    return outputs
  }
}
