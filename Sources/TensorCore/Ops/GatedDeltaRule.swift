import Kernels

/// In which order a gated delta rule is computed; the numbers agree to rounding.
public enum GatedDeltaForm: Sendable, CaseIterable {
  /// Token by token: for streams, where tokens arrive one at a time.
  case recurrent
  /// Chunks of tokens as matrix products, most of them independent of one another: for training.
  case chunked
}

/// The gated delta rule over tokens, for many sequences (heads) at once.
///
/// Inputs q, k `[B, H, T, K]`, v `[B, H, T, V]`, α, β `[B, H, T]` and the initial state `[B, H, K, V]`.
/// Per sequence,
///
///     S̃ = α_t·S_{t−1};   u_t = β_t·(v_t − S̃ᵀk_t);   S_t = S̃ + k_t·u_tᵀ;   o_t = S_tᵀq_t
///
/// The output `[B, H, T + K, V]` holds the T rows of o and, below them, the K rows of the final state.
/// Saved: u, and the state before each chunk of tokens, from which backward recomputes the rest; the
/// state is never run backwards by division by α, which would be unsafe.
///
/// Source: Yang, Kautz, Hatamizadeh, *Gated Delta Networks*, ICLR 2025, §3.3 (state transposed).
struct GatedDeltaRule: Operation {
  let form: GatedDeltaForm

  var kind: OperationKind { .gatedDeltaRule }

  /// Columns of a state that one worker advances at a time.
  private static let columnsPerStrip = 64

  /// Sizes of the problem.
  private struct Sizes {
    let sequences: Int
    let tokens: Int
    let key: Int
    let value: Int
    let kernel: k_gated_delta_sizes

    init(_ inputs: [Shape]) {
      let (k, v) = (inputs[1], inputs[2])
      sequences = k[0] * k[1]
      (tokens, key, value) = (k[2], k[3], v[3])
      kernel = k_gated_delta_sizes(tokens: tokens, key_dim: key, value_dim: value)
    }

    var chunks: Int { (tokens + chunkTokens - 1) / chunkTokens }
    var chunkTokens: Int { K_GATED_DELTA_CHUNK }
    var state: Int { key * value }
    var strips: Int {
      (value + GatedDeltaRule.columnsPerStrip - 1) / GatedDeltaRule.columnsPerStrip
    }
    var prepared: Int { k_gated_delta_prepared_count(key) }
    var backwardScratch: Int {
      (withUnsafePointer(to: kernel) { k_gated_delta_scratch_count($0) } + 15) / 16 * 16
    }
  }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (q, k, v) = (inputs[0], inputs[1], inputs[2])
    precondition(
      q == k && k.rank == 4 && v.rank == 4 && k.dimensions.prefix(3) == v.dimensions.prefix(3)
        && k.count > 0 && v.count > 0,
      "gatedDeltaRule: q \(q), k \(k), v \(v), expected [B, H, T, K] twice and [B, H, T, V]")
    let gates = Shape(Array(k.dimensions.prefix(3)))
    let state: Shape = [k[0], k[1], k[3], v[3]]
    precondition(
      inputs[3] == gates && inputs[4] == gates && inputs[5] == state,
      "gatedDeltaRule: alpha \(inputs[3]), beta \(inputs[4]), state \(inputs[5]), "
        + "expected \(gates) twice and \(state)")
    return [k[0], k[1], k[2] + k[3], v[3]]
  }

  func savedCount(_ inputs: [Shape]) -> Int {
    let sizes = Sizes(inputs)
    return inputs[2].count + sizes.sequences * sizes.chunks * sizes.state
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let sizes = Sizes(inputs)
    switch (pass, form) {
    case (.forward, .recurrent): return 0
    case (.forward, .chunked): return sizes.sequences * sizes.chunks * sizes.prepared
    case (.backward, _):
      // Stand-ins for gradients that nobody wants come last.
      return sizes.sequences * (sizes.backwardScratch + sizes.state)
        + inputs.reduce(0) { $0 + $1.count }
    }
  }

  func forward(_ pass: ForwardPass) {
    let sizes = Sizes(pass.inputs.map(\.shape))
    let (tokens, value) = (sizes.tokens, sizes.value)
    let pointers = pass.inputs.map(\.pointer)
    let (q, k, v) = (pointers[0], pointers[1], pointers[2])
    let (alpha, beta, initial) = (pointers[3], pointers[4], pointers[5])
    let (u, output, prepared) = (pass.saved, pass.output.pointer, pass.scratch)
    let states = u + sizes.sequences * tokens * value
    if form == .chunked {
      pass.workers.run(chunks: sizes.sequences * sizes.chunks) { unit in
        let (sequence, chunk) = unit.quotientAndRemainder(dividingBy: sizes.chunks)
        let (keys, values) = (sequence * tokens * sizes.key, sequence * tokens * value)
        withUnsafePointer(to: sizes.kernel) {
          k_gated_delta_prepare(
            u + values, prepared + unit * sizes.prepared, q + keys, k + keys, v + values,
            alpha + sequence * tokens, beta + sequence * tokens, $0, chunk)
        }
      }
    }
    pass.workers.run(chunks: sizes.sequences * sizes.strips) { unit in
      let (sequence, strip) = unit.quotientAndRemainder(dividingBy: sizes.strips)
      let first = strip * Self.columnsPerStrip
      let columns = min(Self.columnsPerStrip, value - first)
      let (keys, values) = (sequence * tokens * sizes.key, sequence * tokens * value)
      let result = output + sequence * (tokens + sizes.key) * value
      let state = result + tokens * value
      for row in 0..<sizes.key {
        (state + row * value + first).update(
          from: initial + sequence * sizes.state + row * value + first, count: columns)
      }
      let history = states + sequence * sizes.chunks * sizes.state
      withUnsafePointer(to: sizes.kernel) {
        switch form {
        case .recurrent:
          k_gated_delta_recurrent(
            result, state, u + values, history, q + keys, k + keys, v + values,
            alpha + sequence * tokens, beta + sequence * tokens, $0, first, columns)
        case .chunked:
          k_gated_delta_scan(
            result, state, u + values, history,
            prepared + sequence * sizes.chunks * sizes.prepared, q + keys, k + keys, $0, first,
            columns)
        }
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let sizes = Sizes(pass.shapes)
    let (tokens, value) = (sizes.tokens, sizes.value)
    let inputs = pass.shapes.indices.map { pass.input($0).pointer }
    let upstream = pass.outputGradient.pointer
    let states = pass.saved + sizes.sequences * tokens * value
    let perSequence = sizes.backwardScratch + sizes.state
    var spare = pass.scratch + sizes.sequences * perSequence
    let gradients = zip(pass.inputGradients, pass.shapes).map { gradient, shape in
      defer { spare += shape.count }
      return gradient?.pointer ?? spare
    }
    pass.workers.run(chunks: sizes.sequences) { sequence in
      let (keys, values) = (sequence * tokens * sizes.key, sequence * tokens * value)
      let gates = sequence * tokens
      let scratch = pass.scratch + sequence * perSequence
      let state = gradients[5] + sequence * sizes.state
      let dy = upstream + sequence * (tokens + sizes.key) * value
      state.update(from: dy + tokens * value, count: sizes.state)
      withUnsafePointer(to: sizes.kernel) {
        k_gated_delta_backward(
          gradients[0] + keys, gradients[1] + keys, gradients[2] + values, gradients[3] + gates,
          gradients[4] + gates, state, scratch, dy, inputs[0] + keys, inputs[1] + keys,
          inputs[2] + values, inputs[3] + gates, inputs[4] + gates, pass.saved + values,
          states + sequence * sizes.chunks * sizes.state, $0)
      }
    }
  }
}

extension Tensor {
  /// Runs the gated delta rule over the tokens of many sequences.
  ///
  /// A stream is run in pieces of any length: the final state of one piece is the initial state of
  /// the next, and memory does not grow.
  ///
  /// - Parameters:
  ///   - query: Reads the memory, `[B, H, T, K]`.
  ///   - key: Where to write, as `query`; usually of length 1.
  ///   - value: What to write, `[B, H, T, V]`.
  ///   - alpha: What is kept of the memory at each token, in (0, 1], `[B, H, T]`.
  ///   - beta: How much of a value is written, in (0, 1), `[B, H, T]`.
  ///   - state: The memory before the first token, `[B, H, K, V]`; nil for an empty one.
  ///   - form: How to compute; the results agree to rounding.
  /// - Returns: What was read, `[B, H, T, V]`, and the memory after the last token.
  public static func gatedDeltaRule(
    query: Tensor, key: Tensor, value: Tensor, alpha: Tensor, beta: Tensor, state: Tensor? = nil,
    form: GatedDeltaForm
  ) -> (output: Tensor, state: Tensor) {
    precondition(
      key.shape.rank == 4 && value.shape.rank == 4,
      "gatedDeltaRule: key \(key.shape), value \(value.shape), expected four axes")
    let initial = state ?? .zeros([key.shape[0], key.shape[1], key.shape[3], value.shape[3]])
    let joined = apply(
      GatedDeltaRule(form: form), [query, key, value, alpha, beta, initial])
    let tokens = key.shape[2]
    return (
      joined.sliced(axis: 2, 0..<tokens),
      joined.sliced(axis: 2, tokens..<tokens + key.shape[3])
    )
  }
}
