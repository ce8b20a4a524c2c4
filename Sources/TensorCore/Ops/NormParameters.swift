/// Which of weight and bias a normalisation has; they follow x in the list of inputs.
struct NormParameters: Sendable {
  let hasWeight: Bool
  let hasBias: Bool

  var weightIndex: Int? { hasWeight ? 1 : nil }
  var biasIndex: Int? { hasBias ? (hasWeight ? 2 : 1) : nil }

  /// Stops unless every parameter is `[C]`.
  func check(_ name: String, _ inputs: [Shape]) {
    for shape in inputs.dropFirst() {
      precondition(
        shape == [inputs[0].channels], "\(name): x \(inputs[0]), weight or bias \(shape)")
    }
  }
}
