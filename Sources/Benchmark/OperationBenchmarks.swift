import Randomness
import TensorCore

/// The operations that take the time of the networks, at the sizes at which they occur there.
public enum OperationBenchmarks {
  /// The names of the groups of operations.
  public static var names: [String] { groups.map(\.name) }

  /// Times all operations.
  ///
  /// - Parameters:
  ///   - peak: Of the same process and number of threads.
  ///   - part: What a group's name must contain, whatever the case of its letters; nil for all.
  ///   - seconds: About how long each is timed.
  ///   - progress: Told each result as it comes; returns false to stop.
  /// - Returns: One measurement an operation and size.
  public static func run(
    against peak: MachinePeak, only part: String? = nil, seconds: Double = 0.25,
    progress: (TimedWork) -> Bool = { _ in true }
  ) -> [TimedWork] {
    var found: [TimedWork] = []
    let chosen = groups.filter { group in
      part.map { group.name.lowercased().contains($0.lowercased()) } ?? true
    }
    for makeCase in chosen.flatMap(\.cases) {
      let measurement = Engine.shared.perform { makeCase().measured(peak, seconds) }
      found.append(measurement)
      guard progress(measurement) else { break }
    }
    return found
  }

  /// A case with its tensors, made when its turn comes.
  struct Case {
    let name: String
    let size: String
    let work: TimedWork.Work
    let subject: Subject
    var opponent: (name: String, subject: Subject)?

    func measured(_ peak: MachinePeak, _ seconds: Double) -> TimedWork {
      let times = Subject.times(
        of: [subject] + [opponent?.subject].compactMap(\.self), seconds: seconds)
      return TimedWork(
        name, size, work, times[0], peak: peak, opponent: opponent.map { ($0.name, times[1]) })
    }
  }

  /// Tokens, inputs and outputs of the networks' linear maps.
  static let products = [
    (65536, 48, 48), (65536, 48, 192), (65536, 192, 48), (65536, 96, 96), (65536, 96, 384),
    (65536, 384, 96), (16384, 96, 384), (4096, 192, 768), (1024, 384, 1536),
  ]

  typealias Group = (name: String, cases: [() -> Case])

  private static var groups: [Group] {
    let images = [(256, 48, false), (256, 96, false), (256, 48, true), (256, 96, true)]
    let convolutions = [(256, 48, 24), (128, 96, 48), (64, 192, 96), (32, 384, 768), (256, 64, 64)]
    let tokens = [(65536, 48), (65536, 96), (16384, 96), (4096, 192), (1024, 384)]
    return [
      ("linear", products.map { size in { product(size.0, size.1, size.2) } }),
      ("feed-forward", tokens.map { size in { feedForward(size.0, size.1) } }),
      ("gate and projection", tokens.map { size in { gatedProjection(size.0, size.1) } }),
      ("WKV", images.map { size in { attention(size.0, size.1, size.2) } }),
      (
        "gated delta rule",
        [(GatedDeltaForm.recurrent, false), (.chunked, false), (.chunked, true)].map { form in
          { gatedDelta(form.0, isBackward: form.1) }
        }
      ),
      ("depthwise", images.map { size in { depthwise(size.0, size.1, size.2) } }),
      ("layer norm", tokens.prefix(2).map { size in { norm(size.0, size.1) } }),
      ("convolution", convolutions.map { size in { convolution(size.0, size.1, size.2) } }),
      ("AdamW", [{ optimizer(28_000_000) }]),
    ] + frequencyGroups
  }

  // MARK: - Tensors

  static func random(_ shape: Shape, scale: Float = 1) -> Tensor {
    var generator = SeededGenerator(seed: UInt64(shape.count))
    return Tensor(shape) { buffer in
      for index in buffer.indices { buffer[index] = scale * (generator.nextUniform() - 0.5) }
    }
  }

  private static func weight(_ shape: Shape) -> Tensor {
    random(shape, scale: 0.1).asParameter(tracked: false)
  }

  /// Times backward alone: forward is what comes before it.
  private static func backward(
    upstream: Tensor, _ forward: @escaping () -> Tensor
  ) -> Subject {
    var output: Tensor?
    return Subject(
      prepare: { output = forward() },
      run: {
        guard let result = output else { return }
        output = nil
        _ = Tensor.gradients(of: [result], upstream: [upstream])
      })
  }

  // MARK: - Arithmetic

  private static func product(_ rows: Int, _ inputs: Int, _ outputs: Int) -> Case {
    let (x, w) = (random([rows, inputs]), weight([outputs, inputs]))
    var result = Case(
      name: "linear", size: "\(rows) x \(inputs) x \(outputs)",
      work: .operations(2 * Double(rows * inputs * outputs)),
      subject: Subject { _ = x.linear(w) })
    if let other = OneDNNProduct(rows: rows, weight: w) {
      result.opponent = (OneDNNProduct.library, Subject { other.run(x) })
    }
    return result
  }

  private static func feedForward(_ tokens: Int, _ channels: Int) -> Case {
    let x = random([tokens, channels])
    let (key, value) = (weight([4 * channels, channels]), weight([channels, 4 * channels]))
    let (receptance, scale) = (weight([channels, channels]), weight([channels]))
    return Case(
      name: "feed-forward", size: "\(tokens) x \(channels)",
      work: .operations(2 * Double(tokens * channels * channels * 9)),
      subject: Subject {
        _ = x.feedForward(
          key: key, receptance: receptance, value: value, scale: scale, residual: x)
      })
  }

  private static func gatedProjection(_ tokens: Int, _ channels: Int) -> Case {
    let (x, gate) = (random([tokens, channels]), random([tokens, channels]))
    let (w, scale) = (weight([channels, channels]), weight([channels]))
    return Case(
      name: "gate and projection", size: "\(tokens) x \(channels)",
      work: .operations(2 * Double(tokens * channels * channels)),
      subject: Subject { _ = x.gatedProjection(gate: gate, weight: w, scale: scale, residual: x) })
  }

  /// Eight heads of 1024 tokens, keys of 64 and values of 64 channels.
  private static func gatedDelta(_ form: GatedDeltaForm, isBackward: Bool) -> Case {
    let (heads, tokens, channels) = (8, 1024, 64)
    let shape: Shape = [1, heads, tokens, channels]
    let (q, k, v) = (random(shape), random(shape, scale: 0.2), random(shape))
    let (alpha, beta) = (
      Tensor([1, heads, tokens], repeating: 0.95), Tensor([1, heads, tokens], repeating: 0.5)
    )
    func run(_ value: Tensor) -> Tensor {
      Tensor.gatedDeltaRule(
        query: q, key: k, value: value, alpha: alpha, beta: beta, form: form
      ).output
    }
    // Reading, erasing and writing the state once a token; backward twice that.
    let work = 6 * Double(heads * tokens * channels * channels) * (isBackward ? 2 : 1)
    return Case(
      name: "gated delta rule, \(form)\(isBackward ? " backward" : "")",
      size: "\(heads) x \(tokens) x \(channels)", work: .operations(work),
      subject: isBackward
        ? backward(upstream: random(shape)) { run(v.tracked()) } : Subject { _ = run(v) })
  }

  private static func depthwise(_ side: Int, _ channels: Int, _ isBackward: Bool) -> Case {
    let x = random([1, side, side, channels])
    let w = weight([channels, 1, 5, 5])
    let work = 50 * Double(side * side * channels)
    let size = "\(side) x \(side) x \(channels)"
    guard isBackward else {
      return Case(
        name: "depthwise 5x5", size: size, work: .operations(work),
        subject: Subject { _ = x.depthwiseConvolved(with: w) })
    }
    let tracked = (x.tracked(), w.tracked())
    return Case(
      name: "depthwise 5x5 backward", size: size, work: .operations(2 * work),
      subject: backward(upstream: x) { tracked.0.depthwiseConvolved(with: tracked.1) })
  }

  private static func convolution(_ side: Int, _ inputs: Int, _ outputs: Int) -> Case {
    let x = random([1, side, side, inputs])
    let w = weight([outputs, inputs, 3, 3])
    return Case(
      name: "convolution 3x3", size: "\(side) x \(side), \(inputs) to \(outputs)",
      work: .operations(18 * Double(side * side * inputs * outputs)),
      subject: Subject { _ = x.convolved(with: w, padding: [1]) })
  }

  // MARK: - Memory

  /// One recurrence over an image's tokens: keys and values in, results out.
  private static func attention(_ side: Int, _ channels: Int, _ isBackward: Bool) -> Case {
    let tokens = side * side
    let (k, v) = (random([1, tokens, channels]), random([1, tokens, channels]))
    let perToken = 2 / Float(tokens)
    let (w, u) = (random([1, channels], scale: perToken), random([1, channels], scale: perToken))
    let size = "\(tokens) x \(channels)"
    // Forward reads k and v and writes y; backward reads k, v, y and dy and writes dk and dv.
    let floats = Double(tokens * channels)
    guard isBackward else {
      return Case(
        name: "WKV", size: size, work: .bytes(12 * floats),
        subject: Subject {
          _ = Tensor.bidirectionalWKV(
            decay: w, bonus: u, key: k, value: v, height: side, width: side)
        })
    }
    let inputs = [w, u, k, v].map { $0.tracked() }
    return Case(
      name: "WKV backward", size: size, work: .bytes(24 * floats),
      subject: backward(upstream: v) {
        Tensor.bidirectionalWKV(
          decay: inputs[0], bonus: inputs[1], key: inputs[2], value: inputs[3], height: side,
          width: side)
      })
  }

  private static func norm(_ tokens: Int, _ channels: Int) -> Case {
    let x = random([tokens, channels])
    let (w, b) = (weight([channels]), weight([channels]))
    return Case(
      name: "layer norm", size: "\(tokens) x \(channels)",
      work: .bytes(8 * Double(tokens * channels)),
      subject: Subject { _ = x.layerNormalized(weight: w, bias: b) })
  }

  /// Weights and two moments are read and written, the gradient is read.
  private static func optimizer(_ count: Int) -> Case {
    let (weights, gradient) = (random([count]), random([count]))
    let moments = (Tensor.zeros([count]), Tensor.zeros([count]))
    let step = AdamStep(
      learningRate: 1e-4, betas: (0.9, 0.999), epsilon: 1e-8, weightDecay: 0.01, isDecoupled: true,
      number: 1, gradientScale: 1)
    return Case(
      name: "AdamW step", size: "\(count)", work: .bytes(28 * Double(count)),
      subject: Subject {
        step.apply(to: [
          AdamStep.Group(
            weights: weights, first: moments.0, second: moments.1, gradient: gradient)
        ])
      })
  }
}
