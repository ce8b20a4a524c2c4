import Kernels

/// Normalises groups of channels over all positions of an item (group and instance norm), or each
/// channel over all positions of all items (batch norm), then scales and shifts.
///
/// Inputs: x, then weight and bias `[C]` if present. Saved: for each item (one item for batch norm) and
/// channel the mean, the reciprocal standard deviation and the variance of its group, in three arrays.
struct GroupNorm: Operation {
  /// The number of groups, nil for statistics of single channels over the whole batch.
  let groups: Int?
  let eps: Float
  let parameters: NormParameters

  var kind: OperationKind { groups == nil ? .batchNorm : .groupNorm }
  var backwardReads: BackwardReads { .only(parameters.hasWeight ? [0, 1] : [0]) }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    let groups = groups ?? 1
    precondition(
      shape.rank >= 2 && shape.count > 0 && groups > 0 && shape.channels % groups == 0,
      "\(kind): \(shape) does not divide into \(groups) groups of channels")
    parameters.check("\(kind)", inputs)
    return shape
  }

  func savedCount(_ inputs: [Shape]) -> Int {
    3 * GroupLayout(inputs[0], groups: groups).statisticsCount
  }

  func scratchCount(_ inputs: [Shape], _ pass: Pass) -> Int {
    GroupLayout(inputs[0], groups: groups).scratchCount
  }

  func forward(_ pass: ForwardPass) {
    let (x, y) = (pass.inputs[0], pass.output)
    let layout = GroupLayout(x.shape, groups: groups)
    let channels = layout.channels
    let (coefficients, sums) = layout.divided(pass.scratch)
    let (scale, shift) = (coefficients[0], coefficients[1])
    computeStatistics(of: x, layout, sums, pass)
    let statistics = GroupCoefficients(pass.saved, layout.statisticsCount)
    let weight = parameters.weightIndex.map { pass.inputs[$0].pointer }
    let bias = parameters.biasIndex.map { pass.inputs[$0].pointer }
    for item in 0..<layout.items {
      for channel in 0..<channels {
        let index = item * channels + channel
        scale[index] = statistics[1][index] * (weight?[channel] ?? 1)
        shift[index] = bias?[channel] ?? 0
      }
    }
    pass.workers.run(chunks: layout.items * layout.blocks) { unit in
      let (item, block) = unit.quotientAndRemainder(dividingBy: layout.blocks)
      let first = block * layout.rowsPerBlock
      let start = (item * layout.rows + first) * channels
      k_channel_normalise(
        y.pointer + start, x.pointer + start, statistics[0] + item * channels,
        scale + item * channels, shift + item * channels,
        min(layout.rowsPerBlock, layout.rows - first), channels)
    }
  }

  /// Fills `saved`.
  ///
  /// In two passes, the second one around the mean: the mean of squares minus the squared mean would
  /// cancel.
  private func computeStatistics(
    of x: Buffer, _ layout: GroupLayout, _ sums: GroupLayout.Sums, _ pass: ForwardPass
  ) {
    let channels = layout.channels
    let statistics = GroupCoefficients(pass.saved, layout.statisticsCount)
    let (mean, rstd, variance) = (statistics[0], statistics[1], statistics[2])
    layout.forEachBlock(sums: sums, pass.workers) { _, row, count, sum, _ in
      k_column_moments(sum, nil, x.pointer + row * channels, nil, count, channels)
    }
    layout.addBlocks(sums: sums)
    for item in 0..<layout.items {
      let sum = layout.sums(sums, ofItem: item)
      for group in 0..<layout.groups {
        let members = layout.channels(ofGroup: group)
        let total = members.reduce(0) { $0 + sum[$1] } / layout.elementsPerGroup
        for channel in members { mean[item * channels + channel] = Float(total) }
      }
    }
    layout.forEachBlock(sums: sums, pass.workers) { item, row, count, sum, squares in
      k_column_moments(
        sum, squares, x.pointer + row * channels, mean + item * channels, count, channels)
    }
    layout.addBlocks(sums: sums)
    for item in 0..<layout.items {
      let sum = layout.sums(sums, ofItem: item)
      for group in 0..<layout.groups {
        let members = layout.channels(ofGroup: group)
        // What rounding the mean to Float left over.
        let rest = members.reduce(0) { $0 + sum[$1] } / layout.elementsPerGroup
        let squares = members.reduce(0) { $0 + sum[channels + $1] } / layout.elementsPerGroup
        let spread = max(0, squares - rest * rest)
        // `max` drops NaN.
        let value = squares.isNaN ? squares : spread
        for channel in members {
          variance[item * channels + channel] = Float(value)
          rstd[item * channels + channel] = Float(1 / (value + Double(eps)).squareRoot())
        }
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    let (x, upstream) = (pass.input(0), pass.outputGradient)
    let layout = GroupLayout(x.shape, groups: groups)
    let channels = layout.channels
    let statistics = GroupCoefficients(pass.saved, layout.statisticsCount)
    let (mean, rstd) = (statistics[0], statistics[1])
    let (coefficients, sums) = layout.divided(pass.scratch)
    layout.forEachBlock(sums: sums, pass.workers) { item, row, count, sum, dot in
      k_column_gradient_moments(
        sum, dot, upstream.pointer + row * channels, x.pointer + row * channels,
        mean + item * channels, count, channels)
    }
    layout.addBlocks(sums: sums)
    for channel in 0..<channels {
      var (weightSum, biasSum) = (0.0, 0.0)
      for item in 0..<layout.items {
        let sum = layout.sums(sums, ofItem: item)
        biasSum += sum[channel]
        weightSum += sum[channels + channel] * Double(rstd[item * channels + channel])
      }
      if let index = parameters.weightIndex {
        pass.inputGradients[index]?.pointer[channel] = Float(weightSum)
      }
      if let index = parameters.biasIndex {
        pass.inputGradients[index]?.pointer[channel] = Float(biasSum)
      }
    }
    guard let gradient = pass.inputGradients[0] else { return }
    let weight = parameters.weightIndex.map { pass.input($0).pointer }
    let (a, b, d) = (coefficients[0], coefficients[1], coefficients[2])
    // dx = rstd · (w·dy − mean(w·dy) − x̂ · mean(w·dy·x̂)), means over the group; x̂ = (x − mean) · rstd.
    for item in 0..<layout.items {
      let sum = layout.sums(sums, ofItem: item)
      for group in 0..<layout.groups {
        let members = layout.channels(ofGroup: group)
        var (direct, dot) = (0.0, 0.0)
        for channel in members {
          let scale = Double(weight?[channel] ?? 1)
          direct += scale * sum[channel]
          dot += scale * sum[channels + channel]
        }
        for channel in members {
          let index = item * channels + channel
          let inverse = Double(rstd[index])
          a[index] = rstd[index] * (weight?[channel] ?? 1)
          b[index] = Float(-inverse * inverse * inverse * dot / layout.elementsPerGroup)
          d[index] = Float(-inverse * direct / layout.elementsPerGroup)
        }
      }
    }
    pass.workers.run(chunks: layout.items * layout.blocks) { unit in
      let (item, block) = unit.quotientAndRemainder(dividingBy: layout.blocks)
      let first = block * layout.rowsPerBlock
      let start = (item * layout.rows + first) * channels
      k_channel_normalise_backward(
        gradient.pointer + start, upstream.pointer + start, x.pointer + start,
        mean + item * channels, a + item * channels, b + item * channels, d + item * channels,
        false, min(layout.rowsPerBlock, layout.rows - first), channels)
    }
  }
}

extension Tensor {
  /// Group normalisation of `[N, ..., C]`: statistics of each item over all positions and C / groups
  /// neighbouring channels; `weight` and `bias` are `[C]`.
  ///
  /// Source: Wu, He, *Group Normalization*, ECCV 2018, eq. (7).
  public func groupNormalized(
    groups: Int, weight: Tensor?, bias: Tensor?, eps: Float = 1e-5
  ) -> Tensor {
    let parameters = NormParameters(hasWeight: weight != nil, hasBias: bias != nil)
    return Tensor.apply(
      GroupNorm(groups: groups, eps: eps, parameters: parameters),
      [self] + [weight, bias].compactMap(\.self))
  }

  /// Instance normalisation of `[N, ..., C]`: statistics of each item and channel over all positions.
  public func instanceNormalized(weight: Tensor?, bias: Tensor?, eps: Float = 1e-5) -> Tensor {
    groupNormalized(groups: shape.channels, weight: weight, bias: bias, eps: eps)
  }
}
