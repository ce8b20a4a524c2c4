import Layers
import TensorCore

/// One golden file's forward and backward pass, and the comparison of its results.
struct ParityRun {
  private let file: ParityFile
  private let subject: any ParitySubject
  private let fill: WeightFill?
  private let operands: [String: Tensor]
  private var outputs: [String: Tensor]
  private let gradients: Gradients?
  /// The buffers after the pass.
  private let after: [String: Tensor]

  /// Builds the subject from the file and runs it.
  init(_ file: ParityFile, _ type: any ParitySubject.Type) throws(ParityError) {
    self.file = file
    var configuration = try SubjectConfiguration(parsing: file.configuration)
    subject = try type.init(&configuration)
    fill = subject.module == nil ? nil : try configuration.weightFill()
    try configuration.finish()
    try Self.loadParameters(of: subject, from: file, fill: fill)
    let isDifferentiated = file.loss != .none
    subject.module?.setTraining(file.isTraining)
    subject.module?.setRequiresGradient(isDifferentiated)
    operands = try Self.operands(of: subject, from: file, tracked: isDifferentiated)
    outputs = subject.run(operands)
    let (gradients, loss) = try Self.differentiate(outputs, of: subject, in: file)
    self.gradients = gradients
    outputs["loss"] = loss ?? outputs["loss"]
    // A copy, because the expectations below run the subject again.
    after = Dictionary(
      uniqueKeysWithValues: (subject.module?.state ?? []).compactMap { entry in
        guard case .buffer = entry.content else { return nil }
        return (entry.name, Tensor(entry.shape, entry.tensor.values))
      })
  }

  // MARK: - Parameters and operands

  private static func loadParameters(
    of subject: any ParitySubject, from file: ParityFile, fill: WeightFill?
  ) throws(ParityError) {
    let stored = file.items(.parameter)
    guard let module = subject.module, fill == nil else {
      if let item = stored.first { throw .unknownTensor(item.entry.name) }
      if let fill { subject.module?.fill(with: fill) }
      return
    }
    do {
      try module.load(file.tensors, prefix: ParityFile.Kind.parameter.rawValue)
    } catch {
      throw .weights(error)
    }
  }

  private static func operands(
    of subject: any ParitySubject, from file: ParityFile, tracked: Bool
  ) throws(ParityError) -> [String: Tensor] {
    var operands: [String: Tensor] = [:]
    var sizes: [String: Int] = [:]
    func read(_ item: ParityFile.Item, as name: String, _ rule: TensorRule) throws(ParityError) {
      try rule.check(item.entry.shape, of: item.entry.name, sizes: &sizes)
      guard let tensor = file.tensors.tensor(named: item.entry.name) else { return }
      let imported = rule.layout.imported(tensor)
      operands[name] = tracked ? imported.tracked() : imported
    }
    for item in file.items(.input) {
      guard let rule = subject.inputs[item.name] else { throw .unknownTensor(item.entry.name) }
      try read(item, as: item.name, rule)
    }
    for item in file.items(.target) {
      if let rule = subject.target {
        try read(item, as: "target", rule)
      } else if file.loss != .l1 {
        throw .unknownTensor(item.entry.name)
      }
    }
    for name in subject.inputs.keys.sorted() where operands[name] == nil {
      throw .missingTensor(ParityFile.Kind.input.rawValue + name)
    }
    if subject.target != nil && operands["target"] == nil { throw .missingTensor("target") }
    return operands
  }

  // MARK: - Loss

  /// The gradients of the file's loss, and its value if it is not an output itself.
  private static func differentiate(
    _ outputs: [String: Tensor], of subject: any ParitySubject, in file: ParityFile
  ) throws(ParityError) -> (Gradients?, loss: Tensor?) {
    switch file.loss {
    case .none: return (nil, nil)
    case .upstream:
      let items = file.items(.upstream)
      guard !items.isEmpty else { throw .missingTensor(ParityFile.Kind.upstream.rawValue + "y") }
      var pairs: [(output: Tensor, upstream: Tensor)] = []
      for item in items {
        guard let output = outputs[item.name] else { throw .unknownTensor(item.entry.name) }
        let layout = subject.layout(ofOutput: item.name)
        pairs.append((output, try tensor(item, like: output, layout, in: file)))
      }
      return (Tensor.gradients(of: pairs.map(\.output), upstream: pairs.map(\.upstream)), nil)
    case .l1:
      guard let y = outputs["y"] else { throw .missingTensor("output.y") }
      guard let item = file.items(.target).first else { throw .missingTensor("target") }
      let target = try tensor(item, like: y, subject.layout(ofOutput: "y"), in: file)
      let loss = (y - target).absolute().mean()
      return (loss.gradients(), loss.detached())
    case .own:
      guard let y = outputs["y"], y.count == 1 else {
        throw .invalidMetadata(key: "loss", reason: "\"self\" needs an output y of one element")
      }
      return (y.gradients(), nil)
    }
  }

  /// A tensor of the file that must have an output's shape, in this package's order of axes.
  private static func tensor(
    _ item: ParityFile.Item, like output: Tensor, _ layout: TensorRule.Layout,
    in file: ParityFile
  ) throws(ParityError) -> Tensor {
    let expected = layout.exported(output.detached()).shape
    let found = item.entry.shape
    guard let stored = file.tensors.tensor(named: item.entry.name),
      found == expected || (found.count == 1 && expected.count == 1)
    else {
      throw .shape(tensor: item.entry.name, expected: "\(expected)", found: found)
    }
    return layout.imported(stored.reshaped(to: expected))
  }

  // MARK: - Comparison

  /// Compares every result that the file holds.
  func comparisons() throws(ParityError) -> [ParityComparison] {
    subject.module?.setRequiresGradient(false)
    // Last, because it loads the parameters again and leaves the subject in the other mode.
    let isEvaluation = { (item: ParityFile.Item) in
      item.kind == .expectation && item.name == "eval_y"
    }
    var results: [String: ParityComparison] = [:]
    let compared = file.items.filter(\.kind.isCompared)
    for item in compared where !isEvaluation(item) {
      results[item.entry.name] = compare(item, with: computed(for: item))
    }
    for item in compared where isEvaluation(item) {
      results[item.entry.name] = compare(item, with: try evaluated())
    }
    return compared.compactMap { results[$0.entry.name] }
  }

  /// The result for a tensor of the file, in the file's order of axes; nil if there is none.
  private func computed(for item: ParityFile.Item) -> Tensor? {
    switch item.kind {
    case .output:
      return outputs[item.name].map {
        subject.layout(ofOutput: item.name).exported($0.detached())
      }
    case .inputGradient:
      guard let gradients, let operand = operands[item.name],
        let rule = subject.inputs[item.name]
      else { return nil }
      return rule.layout.exported(gradients[operand] ?? .zeros(operand.shape))
    case .parameterGradient, .gradientSample, .gradientSum, .gradientNorm:
      return parameterGradient(named: item.name)
    case .after: return after[item.name]
    case .expectation:
      return subject.expectation(item.name, operands.mapValues { $0.detached() })
    case .parameter, .input, .upstream, .gradientStride, .information, .target: return nil
    }
  }

  /// A parameter's gradient, zero if the loss does not depend on it; nil if there is no such
  /// parameter or no loss.
  private func parameterGradient(named name: String) -> Tensor? {
    guard let gradients,
      let match = subject.module?.parameters.first(where: { $0.name == name })
    else { return nil }
    return match.parameter.gradient(in: gradients) ?? .zeros(match.parameter.shape)
  }

  /// The output of another pass in evaluation mode, with parameters and buffers as in the file.
  private func evaluated() throws(ParityError) -> Tensor? {
    try Self.loadParameters(of: subject, from: file, fill: fill)
    subject.module?.setTraining(false)
    let outputs = subject.run(operands.mapValues { $0.detached() })
    return outputs["y"].map(subject.layout(ofOutput: "y").exported)
  }

  private func compare(_ item: ParityFile.Item, with computed: Tensor?) -> ParityComparison {
    let name = item.entry.name
    let values = file.tolerance[name]
    let isForward = [.output, .expectation, .after].contains(item.kind)
    let tolerance = isForward ? values.forward : values.gradient
    func failed(_ reason: String) -> ParityComparison {
      ParityComparison(failed: name, tolerance: tolerance, reason: reason)
    }
    guard let computed else { return failed("this build does not compute it") }
    switch item.kind {
    case .gradientSum:
      let norm = ParityFile.Kind.gradientNorm.rawValue + item.name
      guard let scale = file.tensors.tensor(named: norm), scale.count == 1,
        item.entry.shape.count == 1
      else { return failed("\(norm) is missing, or one of them is not a scalar") }
      return ParityComparison(
        name, computed: [computed.values.reduce(0.0) { $0 + Double($1) }],
        stored: stored(item), scale: Double(scale.scalar), tolerance: tolerance,
        absolute: values.absolute)
    case .gradientNorm:
      guard item.entry.shape.count == 1 else { return failed("it is not a scalar") }
      let squares = computed.values.reduce(0.0) { $0 + Double($1) * Double($1) }
      return ParityComparison(
        name, computed: [squares.squareRoot()], stored: stored(item), tolerance: tolerance,
        absolute: values.absolute)
    case .gradientSample:
      let strideName = ParityFile.Kind.gradientStride.rawValue + item.name
      guard let strides = file.tensors.integers(named: strideName), strides.count == 1,
        strides[0] >= 1
      else { return failed("\(strideName) is missing or not a number from 1 on") }
      let all = computed.values
      let sample = stride(from: 0, to: all.count, by: Int(clamping: strides[0])).map {
        Double(all[$0])
      }
      guard item.entry.shape.count == sample.count else {
        return failed("\(item.entry.shape.count) samples, computed are \(sample.count)")
      }
      return ParityComparison(
        name, computed: sample, stored: stored(item), tolerance: tolerance,
        absolute: values.absolute)
    default:
      let found = item.entry.shape
      guard computed.shape == found || (computed.count == 1 && found.count == 1) else {
        return failed("stored shape \(found), computed \(computed.shape)")
      }
      let isExact = item.entry.type.isInteger
      return ParityComparison(
        name, computed: computed.values.map(Double.init), stored: stored(item),
        tolerance: isExact ? 0 : tolerance, absolute: isExact ? 0 : values.absolute)
    }
  }

  /// The numbers of the file.
  private func stored(_ item: ParityFile.Item) -> [Double] {
    if let integers = file.tensors.integers(named: item.entry.name) {
      return integers.map(Double.init)
    }
    return file.tensors.tensor(named: item.entry.name)?.values.map(Double.init) ?? []
  }
}

extension Module {
  /// Generates all parameters and buffers but counters and fixed frequencies.
  fileprivate func fill(with fill: WeightFill) {
    for entry in state where !entry.name.hasSuffix("num_batches_tracked") {
      guard !entry.name.hasSuffix("inv_freq") else { continue }
      switch entry.content {
      case .parameter(let parameter), .buffer(let parameter):
        parameter.update { fill.fill($0, name: entry.name, shape: entry.shape) }
      case .derived: break
      }
    }
  }
}
