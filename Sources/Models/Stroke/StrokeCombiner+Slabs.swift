import Layers
public import TensorCore

extension StrokeCombiner {
  /// The network on a volume that is never whole in memory: the same numbers, slab by slab.
  ///
  /// Instance norms need the whole volume's statistics before they can be applied. So the slabs are gone
  /// through three times: statistics of the first convolution and the shortcut; second convolution and
  /// its statistics; the rest. Maps of the first time are kept if there is memory for them and computed
  /// again if not; beside a few slabs, the second convolution's map is what the whole volume always needs.
  ///
  /// - Parameters:
  ///   - planes: D, the planes of the volume.
  ///   - slab: Planes that are computed at once, at least 1.
  ///   - keptBytes: Memory for maps of the whole volume that would be computed again otherwise.
  ///   - input: Gives planes of the input, `[1, n, H, W, inChannels]`; asked for the same planes
  ///     several times.
  ///   - output: Gets planes of the logits, `[1, n, H, W, classes]`, in order.
  public func runInSlabs(
    planes: Int, slab: Int, keptBytes: Int = 400 << 20, input: (Range<Int>) -> Tensor,
    output: (Range<Int>, Tensor) -> Void
  ) {
    precondition(planes >= 1 && slab >= 1, "stroke combiner: \(planes) planes in slabs of \(slab)")
    let slabs = stride(from: 0, to: planes, by: slab).map { $0..<min(planes, $0 + slab) }
    func widened(_ range: Range<Int>) -> Range<Int> {
      max(0, range.lowerBound - 1)..<min(planes, range.upperBound + 1)
    }
    /// A slab's map with the planes beside it.
    func withNeighbours(_ maps: [Tensor], _ index: Int) -> Tensor {
      var parts = [maps[index]]
      if index > 0 { parts.insert(maps[index - 1].lastPlane, at: 0) }
      if index + 1 < maps.count { parts.append(maps[index + 1].sliced(axis: 1, 0..<1)) }
      return parts.count == 1 ? parts[0] : Tensor.concatenate(parts, axis: 1)
    }
    /// Zeros in place of the planes beyond the volume's ends.
    func completed(_ x: Tensor, around range: Range<Int>) -> Tensor {
      let (before, after) = (
        range.lowerBound == 0 ? 1 : 0, range.upperBound == planes ? 1 : 0
      )
      return x.padded(before: [0, before, 0, 0, 0], after: [0, after, 0, 0, 0])
    }
    var (firstSums, shortcutSums) = (ChannelSums(), ChannelSums())
    var (firstMaps, shortcutMaps): ([Tensor], [Tensor]) = ([], [])
    var isKept = false
    for (index, range) in slabs.enumerated() {
      let x = input(widened(range))
      let hidden = first.convolvedInPlane(completed(x, around: range))
      let inner = range.lowerBound - widened(range).lowerBound
      // Of the planes beside the slab too: that is less than to copy the others.
      let beside = shortcut(x).sliced(axis: 1, inner..<inner + range.count)
      firstSums.add(hidden)
      shortcutSums.add(beside)
      if index == 0 {
        let values = (hidden.count + beside.count) / range.count * planes
        isKept = values * MemoryLayout<Float>.stride <= keptBytes
      }
      guard isKept else { continue }
      firstMaps.append(hidden)
      shortcutMaps.append(beside)
    }

    let normalizesFirst = firstSums.normalization(eps: eps)
    var secondSums = ChannelSums()
    var maps: [Tensor] = []
    for (index, range) in slabs.enumerated() {
      let map: Tensor
      if isKept {
        map = withNeighbours(firstMaps, index)
        // What lies behind is not needed any more.
        if index > 0 { firstMaps[index - 1] = firstMaps[index - 1].lastPlane }
      } else {
        let wide = widened(range)
        map = first.convolvedInPlane(completed(input(widened(wide)), around: wide))
      }
      let hidden = normalizesFirst(map).relu()
      maps.append(second.convolvedInPlane(completed(hidden, around: range)))
      secondSums.add(maps[index])
    }
    firstMaps = []

    let normalizesSecond = secondSums.normalization(eps: eps)
    let normalizesShortcut = shortcutSums.normalization(eps: eps)
    for (index, range) in slabs.enumerated() {
      let beside = normalizesShortcut(isKept ? shortcutMaps[index] : shortcut(input(range)))
      maps[index] = .sumReLU(normalizesSecond(maps[index]), beside)
    }
    for (index, range) in slabs.enumerated() {
      let joined = withNeighbours(maps, index)
      output(range, self.output.convolvedInPlane(completed(joined, around: range)))
    }
  }
}

extension Tensor {
  /// The last of the planes of `[1, D, H, W, C]`.
  fileprivate var lastPlane: Tensor { sliced(axis: 1, shape[1] - 1..<shape[1]) }
}

extension Convolution {
  /// Convolves volumes whose halo along the first axis is there already.
  fileprivate func convolvedInPlane(_ x: Tensor) -> Tensor {
    x.convolved(
      with: weight.tensor, bias: bias?.tensor, stride: stride, padding: [0] + padding.dropFirst(),
      dilation: dilation, groups: groups)
  }
}

/// Sums over space of the values of each channel and of their squares.
private struct ChannelSums {
  private var count = 0
  private var sums: [Double] = []
  private var squares: [Double] = []

  mutating func add(_ x: Tensor) {
    let channels = x.shape.channels
    let rows = x.count / channels
    if sums.isEmpty {
      sums = [Double](repeating: 0, count: channels)
      squares = sums
    }
    count += rows
    // Parts of fixed size, added in order: the same on any number of threads.
    let grain = 1 << 14
    let parts = (rows + grain - 1) / grain
    // For each part the sums of all channels, then the squares.
    var partial = [Double](repeating: 0, count: parts * channels * 2)
    x.withValues { values in
      partial.withUnsafeMutableBufferPointer { partial in
        guard let values = values.baseAddress, let partial = partial.baseAddress else { return }
        nonisolated(unsafe) let (base, sums) = (values, partial)
        Engine.shared.perform {
          Engine.shared.workers.run(count: rows, grain: grain) { range in
            let sums = sums + range.lowerBound / grain * channels * 2
            let squares = sums + channels
            for row in range {
              let row = base + row * channels
              for channel in 0..<channels {
                let value = Double(row[channel])
                sums[channel] += value
                squares[channel] += value * value
              }
            }
          }
        }
      }
    }
    for part in 0..<parts {
      for channel in 0..<channels {
        sums[channel] += partial[part * channels * 2 + channel]
        squares[channel] += partial[(part * 2 + 1) * channels + channel]
      }
    }
  }

  /// The map to mean 0 and population variance 1, channel by channel.
  func normalization(eps: Float) -> (Tensor) -> Tensor {
    let means = sums.map { $0 / Double(count) }
    let scales = zip(squares, means).map { square, mean in
      1 / (max(0, square / Double(count) - mean * mean) + Double(eps)).squareRoot()
    }
    let scale = Tensor([scales.count], scales.map(Float.init))
    let shift = Tensor([scales.count], zip(means, scales).map { Float(-$0 * $1) })
    return { $0.channelScaled(by: scale, shift: shift) }
  }
}
