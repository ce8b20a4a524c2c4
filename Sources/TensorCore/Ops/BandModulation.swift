import Kernels

/// Reweights frequency bands of `[N, H, W, C]` at every position:
/// `y = Σ_b w_b ⊙ (low_{b−1} − low_b) + w_last ⊙ low_last`, with `low_{−1} = x`.
///
/// Inputs: x, and weights `[N, H, W, maps]` with `groups` maps for each band one after the other, and
/// as many more for the rest if `weighsLowest` (1 otherwise). Map g of a band weights the g-th part of
/// the channels.
struct BandModulation: Operation {
  let bands: FrequencyBands
  let groups: Int
  let weighsLowest: Bool

  var kind: OperationKind { .bandModulation }

  private var count: Int { bands.divisors.count }
  private var maps: Int { (count + (weighsLowest ? 1 : 0)) * groups }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let (x, weights) = (inputs[0], inputs[1])
    precondition(
      x.rank == 4 && x.count > 0 && groups > 0 && x.channels % groups == 0
        && weights == x.replacing(axis: 3, with: maps),
      "bandModulation: x \(x), weights \(weights), expected [N, H, W, C] and [N, H, W, \(maps)]")
    return x
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    BandWork(inputs[0], bands).scratchCount
  }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0].pointer, pass.output.pointer)
    let weights = pass.inputs[1].pointer
    let work = BandWork(pass.output.shape, bands)
    // y = w_0·x + Σ_b (w_{b+1} − w_b)·low_b
    work.forEachRow(pass.workers) { row, _ in
      scale(y + row * work.run, x + row * work.run, weights + row * work.width * maps, 0, work)
    }
    work.analyse(x, scratch: pass.scratch, pass.workers)
    for band in 0..<count {
      work.synthesise(band, scratch: pass.scratch, pass.workers) { row, low in
        let weights = weights + row * work.width * maps
        let y = y + row * work.run
        forEachPart(work) { pixel, channels, group in
          let first = pixel * work.channels + channels.lowerBound
          k_axpy(
            y + first, low + first, difference(weights + pixel * maps, band, group), channels.count)
        }
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let (x, weights) = (pass.input(0).pointer, pass.input(1).pointer)
    let dy = pass.outputGradient.pointer
    let work = BandWork(pass.shapes[0], bands)
    if let gradient = pass.inputGradients[1]?.pointer {
      weightGradient(gradient, dy, x, work, pass)
    }
    guard let dx = pass.inputGradients[0]?.pointer else { return }
    // Each low-pass is its own transpose: dx = w_0·dy + Σ_b low_b[(w_{b+1} − w_b)·dy].
    work.forEachRow(pass.workers) { row, _ in
      scale(dx + row * work.run, dy + row * work.run, weights + row * work.width * maps, 0, work)
    }
    for band in 0..<count {
      work.analyse(band, isFirst: band == 0, scratch: pass.scratch, pass.workers) { row, target in
        let weights = weights + row * work.width * maps
        let dy = dy + row * work.run
        forEachPart(work) { pixel, channels, group in
          let first = pixel * work.channels + channels.lowerBound
          k_affine(
            target + first, dy + first, difference(weights + pixel * maps, band, group), 0,
            channels.count)
        }
      }
    }
    guard count > 0 else { return }
    work.synthesise(work.tables.widest, scratch: pass.scratch, pass.workers) { row, low in
      k_axpy(dx + row * work.run, low, 1, work.run)
    }
  }

  /// dw_b = Σ_c dy·(low_{b−1} − low_b), with the bands computed again rather than kept.
  private func weightGradient(
    _ gradient: UnsafeMutablePointer<Float>, _ dy: UnsafePointer<Float>, _ x: UnsafePointer<Float>,
    _ work: BandWork, _ pass: BackwardPass
  ) {
    func add(
      _ row: Int, _ value: UnsafePointer<Float>, to map: Int?, subtractingFrom other: Int?,
      isFirst: Bool
    ) {
      let gradient = gradient + row * work.width * maps
      let dy = dy + row * work.run
      forEachPart(work) { pixel, channels, group in
        let first = pixel * work.channels + channels.lowerBound
        let sum = Float(k_dot(dy + first, value + first, channels.count))
        if let map {
          let index = pixel * maps + map * groups + group
          gradient[index] = isFirst ? sum : gradient[index] + sum
        }
        if let other { gradient[pixel * maps + other * groups + group] -= sum }
      }
    }
    let last = weighsLowest ? count : count - 1
    if last >= 0 {
      work.forEachRow(pass.workers) { row, _ in
        add(row, x + row * work.run, to: 0, subtractingFrom: nil, isFirst: true)
      }
    }
    work.analyse(x, scratch: pass.scratch, pass.workers)
    for band in 0..<count {
      work.synthesise(band, scratch: pass.scratch, pass.workers) { row, low in
        add(
          row, low, to: band < last ? band + 1 : nil, subtractingFrom: band, isFirst: true)
      }
    }
  }

  /// `w_{band+1} − w_band` at one pixel, where a last band that has no map counts as 1.
  private func difference(_ weights: UnsafePointer<Float>, _ band: Int, _ group: Int) -> Float {
    let next = band + 1 < count || weighsLowest ? weights[(band + 1) * groups + group] : 1
    return next - weights[band * groups + group]
  }

  /// `y = w_band · x` for a row of pixels; 1 where there is no such map.
  private func scale(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>,
    _ band: Int, _ work: BandWork
  ) {
    forEachPart(work) { pixel, channels, group in
      let first = pixel * work.channels + channels.lowerBound
      let factor = maps > 0 ? weights[pixel * maps + band * groups + group] : 1
      k_affine(y + first, x + first, factor, 0, channels.count)
    }
  }

  @inline(__always)
  private func forEachPart(
    _ work: BandWork, _ body: (_ pixel: Int, _ channels: Range<Int>, _ group: Int) -> Void
  ) {
    let width = work.channels / groups
    for pixel in 0..<work.width {
      for group in 0..<groups { body(pixel, group * width..<(group + 1) * width, group) }
    }
  }
}

extension Tensor {
  /// This image `[N, H, W, C]` with its frequency bands reweighted at every position.
  ///
  /// - Parameters:
  ///   - bands: From high to low limits; what remains below the last is the lowest band.
  ///   - weights: `[N, H, W, maps]`, `groups` maps for each band.
  ///   - groups: Parts of the channels with maps of their own.
  ///   - weighsLowest: Whether there are maps for the lowest band too; it is left alone otherwise.
  /// - Returns: `[N, H, W, C]`.
  ///
  /// Source: FDConv, arXiv 2503.18783 (frequency band modulation).
  public func bandModulated(
    by bands: FrequencyBands, weights: Tensor, groups: Int = 1, weighsLowest: Bool = false
  ) -> Tensor {
    Tensor.apply(
      BandModulation(bands: bands, groups: groups, weighsLowest: weighsLowest), [self, weights])
  }
}
