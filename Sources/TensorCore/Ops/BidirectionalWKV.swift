import Kernels

/// Bidirectional WKV in one or several recurrences over an image's tokens (Re-WKV).
///
/// Inputs decay w and bonus u `[R, C]`, both divided by the number of tokens T = height · width, key
/// and value `[N, T, C]` with t = row · width + column. Recurrence 0 runs over the tokens row by row,
/// 1 column by column, and so on in turn; each takes the result of the one before as its value, and all
/// take the same key. Per channel, with distances in that recurrence's order,
///
///     N_t = Σ_{i≠t} exp(k_i − w·(|t − i| − 1))·v_i + exp(u + k_t)·v_t
///     D_t = the same without v;   y_t = N_t / D_t
///
/// Source: Yang et al., *Restore-RWKV*, arXiv 2407.11087, §3 (Re-WKV).
struct BidirectionalWKV: Operation {
  let height: Int
  let width: Int
  /// Whether recurrence 0 runs column by column and 1 row by row.
  var startsWithColumns = false

  var kind: OperationKind { .bidirectionalWKV }
  var backwardReads: BackwardReads { .everything }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (decay, bonus, key, value) = (inputs[0], inputs[1], inputs[2], inputs[3])
    precondition(key == value, "wkv: key \(key), value \(value) differ")
    precondition(
      key.rank == 3 && key[1] == height * width && height * width > 0,
      "wkv: key \(key), expected [N, \(height) · \(width), C]")
    precondition(
      decay == bonus && decay.rank == 2 && decay.channels == key.channels && decay[0] > 0,
      "wkv: key \(key), decay \(decay), bonus \(bonus), expected [R, \(key.channels)] for both")
    return key
  }

  /// The results of all recurrences but the last.
  func savedCount(_ inputs: [Shape]) -> Int { (inputs[0][0] - 1) * inputs[2].count }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let (recurrences, key) = (inputs[0][0], inputs[2])
    var scan = 0
    for recurrence in 0..<recurrences {
      for form in [K_WKV_SAFE, K_WKV_FAST, K_WKV_FROM_WEIGHTS] {
        let plan = plan(form, recurrence, key)
        scan = max(scan, pass == .forward ? plan.forward_scratch : plan.backward_scratch)
      }
    }
    switch pass {
    // exp(k − M), kept for the next recurrence.
    case .forward: return scan + (recurrences > 1 ? aligned(key.count) : 0)
    // Two gradients of values in turn, stand-ins for gradients that nobody wants, exp(k − M).
    case .backward: return scan + 4 * aligned(key.count) + 2 * aligned(inputs[0].count)
    }
  }

  /// With several recurrences the value is read by the first alone, and the result written by the last.
  func canOverwrite(input index: Int, _ inputs: [Shape]) -> Bool { index == 3 && inputs[0][0] > 1 }

  /// Whole vectors, so that what follows in the scratch stays aligned.
  private func aligned(_ count: Int) -> Int { (count + 15) / 16 * 16 }

  private func plan(_ form: k_wkv_form, _ recurrence: Int, _ key: Shape) -> k_wkv_plan {
    let (batch, channels) = (key[0], key.channels)
    return recurrence.isMultiple(of: 2) != startsWithColumns
      ? k_wkv_make_plan(form, batch, height, width, channels, channels, width * channels)
      : k_wkv_make_plan(form, batch, width, height, channels, width * channels, channels)
  }

  private func isFastSafe(_ decay: Buffer, _ bonus: Buffer, _ recurrence: Int) -> Bool {
    let channels = decay.shape.channels
    return k_wkv_fast_is_safe(
      decay.pointer + recurrence * channels, bonus.pointer + recurrence * channels, height * width,
      channels)
  }

  func forward(_ pass: ForwardPass) {
    let (decay, bonus, key) = (pass.inputs[0], pass.inputs[1], pass.inputs[2])
    let (recurrences, channels) = (decay.shape[0], decay.shape.channels)
    let weights = pass.scratch
    let scratch = recurrences > 1 ? weights + aligned(key.count) : weights
    var value = pass.inputs[3].pointer
    var hasWeights = false
    for recurrence in 0..<recurrences {
      let isLast = recurrence == recurrences - 1
      let kept = pass.saved + recurrence * key.count
      let result = isLast ? pass.output.pointer : kept
      let isFast = isFastSafe(decay, bonus, recurrence)
      let form = !isFast ? K_WKV_SAFE : hasWeights ? K_WKV_FROM_WEIGHTS : K_WKV_FAST
      let keepsWeights = form == K_WKV_FAST && !isLast
      let scan = WKVScan(
        plan: plan(form, recurrence, key.shape), scratch: scratch, workers: pass.workers,
        key: form == K_WKV_FROM_WEIGHTS ? weights : key.pointer, value: value)
      scan.sums(
        decay: decay.pointer + recurrence * channels, bonus: bonus.pointer + recurrence * channels)
      scan.forward(into: result, weights: keepsWeights ? weights : nil)
      hasWeights = hasWeights || keepsWeights
      value = result
    }
  }

  func backward(_ pass: BackwardPass) {
    let (decay, bonus, key) = (pass.input(0), pass.input(1), pass.input(2))
    let (recurrences, channels) = (decay.shape[0], decay.shape.channels)
    let tensor = aligned(key.count)
    let spareKey = pass.scratch + 2 * tensor
    let weights = spareKey + tensor
    let spareDecay = weights + tensor
    let spareBonus = spareDecay + aligned(decay.count)
    let scratch = spareBonus + aligned(decay.count)
    let keyGradient = pass.inputGradients[2]?.pointer ?? spareKey
    let decayGradient = pass.inputGradients[0]?.pointer ?? spareDecay
    let bonusGradient = pass.inputGradients[1]?.pointer ?? spareBonus
    decayGradient.update(repeating: 0, count: decay.count)
    bonusGradient.update(repeating: 0, count: decay.count)

    var upstream = pass.outputGradient.pointer
    var hasWeights = false
    for recurrence in (0..<recurrences).reversed() {
      let isLast = recurrence == recurrences - 1
      let value =
        recurrence == 0 ? pass.input(3).pointer : pass.saved + (recurrence - 1) * key.count
      let result = isLast ? pass.outputValues.pointer : pass.saved + recurrence * key.count
      let spareValue = pass.scratch + recurrence % 2 * tensor
      let valueGradient =
        recurrence == 0 ? pass.inputGradients[3]?.pointer ?? spareValue : spareValue
      let offset = recurrence * channels
      let isFast = isFastSafe(decay, bonus, recurrence)
      let form = !isFast ? K_WKV_SAFE : hasWeights ? K_WKV_FROM_WEIGHTS : K_WKV_FAST
      let scan = WKVScan(
        plan: plan(form, recurrence, key.shape), scratch: scratch, workers: pass.workers,
        key: form == K_WKV_FROM_WEIGHTS ? weights : key.pointer, value: value)
      scan.sums(
        decay: decay.pointer + offset, bonus: bonus.pointer + offset, denominatorsOnly: isFast)
      let writesWeights = form == K_WKV_FAST
      scan.backwardSums(
        weights: writesWeights ? weights : nil, result: result, upstream: upstream)
      let gradients = WKVGradients(
        key: keyGradient, value: valueGradient, decay: decayGradient + offset,
        bonus: bonusGradient + offset)
      (writesWeights ? scan.reading(weights: weights) : scan)
        .backwardScan(into: gradients, addsToKey: !isLast, result: result)
      hasWeights = hasWeights || isFast
      upstream = valueGradient
    }
  }
}

/// The passes of one recurrence, each shared by the workers.
private struct WKVScan {
  let plan: k_wkv_plan
  let scratch: UnsafeMutablePointer<Float>
  let workers: WorkerPool
  let key: UnsafePointer<Float>
  let value: UnsafePointer<Float>

  init(
    plan: k_wkv_plan, scratch: UnsafeMutablePointer<Float>, workers: WorkerPool,
    key: UnsafePointer<Float>, value: UnsafePointer<Float>
  ) {
    (self.plan, self.scratch, self.workers, self.key, self.value) =
      (plan, scratch, workers, key, value)
  }

  func sums(
    decay: UnsafePointer<Float>, bonus: UnsafePointer<Float>, denominatorsOnly: Bool = false
  ) {
    let value = denominatorsOnly ? nil : value
    withUnsafePointer(to: plan) { plan in
      k_wkv_prepare(scratch, decay, bonus, plan)
      workers.run(chunks: plan.pointee.items) { k_wkv_sums(scratch, key, value, plan, $0) }
      workers.run(chunks: plan.pointee.carries) { k_wkv_carry(scratch, plan, $0) }
    }
  }

  func forward(into result: UnsafeMutablePointer<Float>, weights: UnsafeMutablePointer<Float>?) {
    withUnsafePointer(to: plan) { plan in
      workers.run(chunks: plan.pointee.items) {
        k_wkv_forward_scan(result, weights, scratch, key, value, plan, $0)
      }
    }
  }

  /// Divides the upstream gradient by the denominators and sums it; `weights` receives exp(k − M) in the
  /// form `K_WKV_FAST`.
  func backwardSums(
    weights: UnsafeMutablePointer<Float>?, result: UnsafePointer<Float>,
    upstream: UnsafePointer<Float>
  ) {
    withUnsafePointer(to: plan) { plan in
      workers.run(chunks: plan.pointee.items) {
        k_wkv_backward_sums(weights, scratch, key, value, result, upstream, plan, $0)
      }
      workers.run(chunks: plan.pointee.carries) { k_wkv_backward_carry(scratch, plan, $0) }
    }
  }

  /// Writes the gradients, but adds to that of the key if told so, and to those of decay and bonus.
  func backwardScan(into gradients: WKVGradients, addsToKey: Bool, result: UnsafePointer<Float>) {
    let (keyGradient, valueGradient) = (gradients.key, gradients.value)
    withUnsafePointer(to: plan) { plan in
      workers.run(chunks: plan.pointee.items) {
        k_wkv_backward_scan(
          keyGradient, valueGradient, addsToKey, scratch, key, value, result, plan, $0)
      }
      k_wkv_backward_finish(gradients.decay, gradients.bonus, scratch, plan)
    }
  }

  /// The same recurrence with weights that were written meanwhile in the place of keys.
  func reading(weights: UnsafeMutablePointer<Float>) -> WKVScan {
    var plan = plan
    plan.form = K_WKV_FROM_WEIGHTS
    return WKVScan(plan: plan, scratch: scratch, workers: workers, key: weights, value: value)
  }
}

/// Where one recurrence's gradients go.
private struct WKVGradients {
  let key: UnsafeMutablePointer<Float>
  let value: UnsafeMutablePointer<Float>
  let decay: UnsafeMutablePointer<Float>
  let bonus: UnsafeMutablePointer<Float>
}

extension Tensor {
  /// Bidirectional WKV with alternating row and column order, one recurrence a row of `decay`.
  ///
  /// - Parameters:
  ///   - decay: w, divided by the number of tokens, `[R, C]`.
  ///   - bonus: u, divided by the number of tokens, `[R, C]`.
  ///   - key: `[N, height · width, C]`, tokens row by row.
  ///   - value: As `key`.
  ///   - height: Rows of the image; 1 for a plain sequence.
  ///   - width: Columns of the image.
  ///   - startsWithColumns: Whether the first recurrence runs column by column.
  /// - Returns: `[N, height · width, C]`.
  public static func bidirectionalWKV(
    decay: Tensor, bonus: Tensor, key: Tensor, value: Tensor, height: Int, width: Int,
    startsWithColumns: Bool = false
  ) -> Tensor {
    apply(
      BidirectionalWKV(height: height, width: width, startsWithColumns: startsWithColumns),
      [decay, bonus, key, value])
  }
}
