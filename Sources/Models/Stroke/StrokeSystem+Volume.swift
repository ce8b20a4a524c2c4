public import TensorCore

/// The slices of one volume in every plane that a system looks at.
public struct StrokeStacks: Sendable {
  private let stacks: [StrokePlane: StrokeStack]

  /// D0, D1, D2.
  public let size: [Int]

  /// Slices a volume.
  ///
  /// - Parameters:
  ///   - volume: `[D0, D1, D2, inChannels]`, the sizes multiples of ``StrokeSystem/sizeStep``.
  ///   - system: Whose paths tell the planes.
  public init(of volume: Tensor, for system: StrokeSystem) {
    let shape = volume.shape
    precondition(
      shape.rank == 4 && shape.dimensions.prefix(3).allSatisfy { $0 % StrokeSystem.sizeStep == 0 },
      "stroke stacks: volume \(shape), sizes must be multiples of \(StrokeSystem.sizeStep)")
    size = Array(shape.dimensions.prefix(3))
    let configuration = system.configuration
    let planes = Set(configuration.strokePaths.map(\.plane))
    stacks = Dictionary(
      uniqueKeysWithValues: planes.map {
        ($0, StrokeStack(of: volume, in: $0, second: configuration.secondChannel))
      })
  }

  /// The slices that a path sees.
  public subscript(path: StrokePath) -> StrokeStack {
    guard let stack = stacks[path.plane] else {
      preconditionFailure("stroke stacks: no plane \(path.plane)")
    }
    return stack
  }
}

// Whole volumes in bounded memory: normalised slices are made when they are needed, masks take a byte a
// voxel, and the second stage goes slab by slab.
extension StrokeSystem {
  /// In a mask: the network made no number here.
  public static let notANumber: UInt8 = 2

  /// Slices that a path's network sees at once.
  private static let batch = 4

  /// Planes of the volume that the second stage computes at once: few, as fresh memory costs time.
  private static let slab = 8

  /// The mask that one path gives.
  ///
  /// - Parameters:
  ///   - index: The path.
  ///   - stacks: The volume.
  ///   - progress: Told the slices done since the last call.
  /// - Returns: 1 where the lesion's logit is the larger one, ``notANumber`` where the logits cannot be
  ///   compared, else 0, in the order of the slices `[L, a, b]`.
  public func mask(
    ofPath index: Int, _ stacks: StrokeStacks, progress: (Int) throws -> Void
  ) rethrows -> [UInt8] {
    let path = configuration.strokePaths[index]
    let stack = stacks[path]
    let runner = ModelRunner(networks[index])
    let pixels = stack.height * stack.width
    var mask = [UInt8](repeating: 0, count: stack.count * pixels)
    for first in stride(from: 0, to: stack.count, by: Self.batch) {
      let slices = first..<min(stack.count, first + Self.batch)
      Engine.shared.perform {
        let logits = runner(stack.batch(slices, by: path.normalization))
        logits.withValues { values in
          mask.withUnsafeMutableBufferPointer { mask in
            for pixel in 0..<slices.count * pixels {
              let difference = values[2 * pixel + 1] - values[2 * pixel]
              mask[first * pixels + pixel] =
                difference > 0 ? 1 : difference.isNaN ? Self.notANumber : 0
            }
          }
        }
      }
      try progress(slices.count)
    }
    return mask
  }

  /// What the second stage sees of some planes of the volume.
  ///
  /// - Parameters:
  ///   - planes: Along D0.
  ///   - stacks: The volume.
  ///   - masks: One for each path, in the order of its slices.
  /// - Returns: `[1, planes, D1, D2, 3 · paths]`.
  public func combinerInput(
    _ planes: Range<Int>, _ stacks: StrokeStacks, _ masks: [[UInt8]]
  ) -> Tensor {
    let paths = configuration.strokePaths
    let sources = zip(paths, masks).map { (stacks[$0], $0.normalization, $1) }
    let (rowCount, channels) = (stacks.size[1], 3 * paths.count)
    let row = stacks.size[2] * channels
    return Engine.shared.perform {
      Tensor([1, planes.count, rowCount, stacks.size[2], channels]) { target in
        guard let base = target.baseAddress else { return }
        // Few rows of all paths, which stay in the cache until they are complete.
        Engine.shared.workers.run(count: planes.count * rowCount, grain: 16) { rows in
          for (path, (stack, normalization, mask)) in sources.enumerated() {
            for index in rows {
              let (plane, d1) = index.quotientAndRemainder(dividingBy: rowCount)
              stack.fillRow(
                planes.lowerBound + plane, d1, by: normalization, mask: mask,
                into: base + index * row + 3 * path, channels: channels)
            }
          }
        }
      }
    }
  }

  /// Runs the second stage over the whole volume.
  func runCombiner(
    _ stacks: StrokeStacks, _ masks: [[UInt8]], output: (Range<Int>, Tensor) -> Void
  ) {
    combiner.runInSlabs(
      planes: stacks.size[0], slab: Self.slab,
      input: { combinerInput($0, stacks, masks) }, output: output)
  }

  /// The probability of a lesion in each voxel.
  ///
  /// - Parameters:
  ///   - stacks: The volume.
  ///   - masks: One for each path, as ``mask(ofPath:_:progress:)`` gives them.
  /// - Returns: `[D0, D1, D2]`; above one half where the lesion is the more probable class. NaN everywhere if a
  ///   path made no numbers: norms of the second stage spread them over the volume.
  public func probability(_ stacks: StrokeStacks, _ masks: [[UInt8]]) -> [Float] {
    guard !masks.contains(where: { $0.contains(Self.notANumber) }) else {
      return [Float](repeating: .nan, count: stacks.size.reduce(1, *))
    }
    var probability: [Float] = []
    probability.reserveCapacity(stacks.size.reduce(1, *))
    Engine.shared.perform {
      runCombiner(stacks, masks) { _, logits in
        logits.softmax().withValues { values in
          for voxel in 0..<values.count / 2 { probability.append(values[2 * voxel + 1]) }
        }
      }
    }
    return probability
  }

  /// Steps that ``probability(of:progress:)`` counts: slices of all paths, and one for the second stage.
  public func steps(for size: [Int]) -> Int {
    configuration.strokePaths.reduce(1) { $0 + size[$1.plane.sliceAxis] }
  }

  /// The probability of a lesion in each voxel of a volume.
  ///
  /// - Parameters:
  ///   - volume: `[D0, D1, D2, inChannels]`, the sizes multiples of ``sizeStep``.
  ///   - progress: Told the steps done, of ``steps(for:)``; may throw to stop.
  /// - Returns: `[D0, D1, D2]`.
  public func probability(
    of volume: Tensor, progress: (Int) throws -> Void
  ) rethrows -> [Float] {
    let stacks = StrokeStacks(of: volume, for: self)
    var done = 0
    let masks = try networks.indices.map { index in
      try mask(ofPath: index, stacks) { count in
        done += count
        try progress(done)
      }
    }
    let probability = probability(stacks, masks)
    try progress(done + 1)
    return probability
  }
}
