import Kernels
import Synchronization

/// Which group each coefficient of a half spectrum belongs to, by distance from zero frequency.
///
/// The distance is computed in `Float` exactly as in the reference program and sorted stably, because
/// ties are frequent. Source: FDConv, arXiv 2503.18783 (Fourier disjoint weight).
public final class SpectrumOrder: Sendable {
  /// Rows and columns of the half spectrum.
  public let rows: Int
  /// Columns of the half spectrum, `columns of the signal / 2 + 1`.
  public let columns: Int
  /// Flat indices `row · columns + column` by rising distance.
  public let order: [Int32]

  private struct Key: Hashable {
    let rows: Int
    let width: Int
  }

  private static let cache = Mutex<[Key: SpectrumOrder]>([:])

  /// The order for signals of `rows` × `width`; made once for each size.
  public static func ofSignal(rows: Int, width: Int) -> SpectrumOrder {
    let key = Key(rows: rows, width: width)
    if let kept = cache.withLock({ $0[key] }) { return kept }
    let order = SpectrumOrder(rows, width)
    cache.withLock { $0[key] = order }
    return order
  }

  private init(_ rows: Int, _ width: Int) {
    self.rows = rows
    columns = width / 2 + 1
    let count = rows * columns
    let (rowStep, columnStep) = (Float(1 / Double(rows)), Float(1 / Double(width)))
    var distances = [Float](repeating: 0, count: count)
    for row in 0..<rows {
      let high = Float(row < (rows + 1) / 2 ? row : row - rows) * rowStep
      let square = high * high
      for column in 0..<columns {
        let wide = Float(column) * columnStep
        distances[row * columns + column] = square.addingProduct(wide, wide).squareRoot()
      }
    }
    // Not negative, so the bits of the distances sort like the distances; the index breaks ties.
    let keys = distances.enumerated().map { UInt64($1.bitPattern) << 32 | UInt64($0) }.sorted()
    order = keys.map { Int32(truncatingIfNeeded: $0 & 0xFFFF_FFFF) }
  }
}

/// A table of groups, shared by operations without a copy.
public final class SpectrumGroups: Sendable {
  /// The group of each coefficient.
  let groups: [Int32]
  /// The number of groups.
  public let count: Int

  /// Equal groups in the given order of all or of the first coefficients; the others are in group 0.
  ///
  /// - Parameters:
  ///   - order: Flat indices, of which `kept` are divided.
  ///   - kept: A multiple of `count`.
  ///   - count: The number of groups.
  public init(_ order: [Int32], kept: Int, count: Int) {
    precondition(
      count > 0 && kept % count == 0 && kept <= order.count,
      "spectrum groups: \(kept) of \(order.count) coefficients in \(count) groups")
    var groups = [Int32](repeating: 0, count: order.count)
    let size = kept / count
    for (position, index) in order.prefix(kept).enumerated() {
      groups[Int(index)] = Int32(position / size)
    }
    self.groups = groups
    self.count = count
  }
}

/// Kernels in space from one spectrum, scaled by groups of frequencies for each sample:
/// `irfft2(Σ_i α · κ[b, i, g] · w_i)`.
///
/// Inputs: w `[R, P, Q/2 + 1, 2]` and κ `[B, R · groups]`; output `[B, P, Q]`.
struct DisjointSpectrum: Operation {
  let groups: SpectrumGroups
  let alpha: Float
  /// Q.
  let width: Int

  var kind: OperationKind { .disjointSpectrum }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (w, attention) = (inputs[0], inputs[1])
    precondition(
      w.rank == 4 && w[3] == 2 && w[2] == width / 2 + 1 && w[1] * w[2] == groups.groups.count
        && attention.rank == 2 && attention[1] == w[0] * groups.count,
      "disjointSpectrum: \(w) with \(groups.count) groups, attention \(attention)")
    return [attention[0], w[1], width]
  }

  private func passes(_ output: Shape) -> FourierPasses {
    FourierPasses(batch: output[0], axes: [output[1], width], channels: 1)
  }

  private static let perChunk = 1 << 13

  private func chunks(_ count: Int) -> Int { (count + Self.perChunk - 1) / Self.perChunk }

  /// The scaled spectra; in backward also sums of the attention's gradient for each chunk.
  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    let passes = passes(outputShape(inputs))
    let spectra = passes.scratchCount + 2 * passes.halfCount
    return pass == .forward ? spectra : spectra + chunks(groups.groups.count) * inputs[1].count
  }

  func forward(_ pass: ForwardPass) {
    let (w, attention) = (pass.inputs[0], pass.inputs[1])
    let (count, copies, samples) = (groups.groups.count, w.shape[0], attention.shape[0])
    let passes = passes(pass.output.shape)
    let spectra = pass.scratch + passes.scratchCount
    let chunks = chunks(count)
    pass.workers.run(chunks: samples * chunks) { unit in
      let (sample, chunk) = unit.quotientAndRemainder(dividingBy: chunks)
      let range = chunk * Self.perChunk..<min(count, (chunk + 1) * Self.perChunk)
      for copy in 0..<copies {
        k_spectrum_scale(
          spectra + 2 * sample * count, w.pointer + 2 * copy * count,
          attention.pointer + (sample * copies + copy) * groups.count, groups.groups, alpha,
          copy > 0, range.lowerBound, range.upperBound)
      }
    }
    passes.realInverse(
      spectra, into: pass.output.pointer, work: spectra,
      factor: Float(1 / Double(pass.output.shape[1] * width)), weight: .one, scratch: pass.scratch,
      pass.workers)
  }

  func backward(_ pass: BackwardPass) {
    let (w, attention) = (pass.input(0), pass.input(1))
    let (count, copies, samples) = (groups.groups.count, w.shape[0], attention.shape[0])
    let passes = passes(pass.outputGradient.shape)
    let spectra = pass.scratch + passes.scratchCount
    let sums = spectra + 2 * passes.halfCount
    passes.realForward(
      pass.outputGradient.pointer, into: spectra,
      factor: Float(1 / Double(pass.outputGradient.shape[1] * width)), weight: .multiplicity,
      scratch: pass.scratch, pass.workers)
    let (dw, dAttention) = (pass.inputGradients[0]?.pointer, pass.inputGradients[1])
    let chunks = chunks(count)
    pass.workers.run(chunks: chunks) { chunk in
      let range = chunk * Self.perChunk..<min(count, (chunk + 1) * Self.perChunk)
      let sum = sums + chunk * attention.count
      sum.update(repeating: 0, count: attention.count)
      for copy in 0..<copies {
        let dw = dw.map { $0 + 2 * copy * count }
        if let dw { (dw + 2 * range.lowerBound).update(repeating: 0, count: 2 * range.count) }
        for sample in 0..<samples {
          let offset = (sample * copies + copy) * groups.count
          k_spectrum_scale_backward(
            dw, dAttention == nil ? nil : sum + offset, spectra + 2 * sample * count,
            w.pointer + 2 * copy * count, attention.pointer + offset, groups.groups, alpha,
            range.lowerBound, range.upperBound)
        }
      }
    }
    if let dAttention {
      k_sum_parts(
        dAttention.pointer, sums, false, 0, attention.count, chunks, attention.count)
    }
  }
}

extension Tensor {
  /// Kernels `[B, P, width]` from this spectrum `[R, P, width/2 + 1, 2]`, whose groups of frequencies
  /// are scaled for each sample: `irfft2(Σ_i alpha · attention[b, i, group] · self[i])`.
  ///
  /// - Parameters:
  ///   - attention: `[B, R · groups]`.
  ///   - groups: The group of each coefficient.
  ///   - alpha: A factor.
  ///   - width: Columns of the kernels.
  /// - Returns: `[B, P, width]`.
  ///
  /// Source: FDConv, arXiv 2503.18783 (Fourier disjoint weight).
  public func disjointSpectrum(
    attention: Tensor, groups: SpectrumGroups, alpha: Float, width: Int
  ) -> Tensor {
    Tensor.apply(
      DisjointSpectrum(groups: groups, alpha: alpha, width: width), [self, attention])
  }
}
