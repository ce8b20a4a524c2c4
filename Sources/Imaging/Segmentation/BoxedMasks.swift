/// Two sets on one grid, as far as the smallest box around both reaches.
struct BoxedMasks {
  let prediction: VoxelMask
  let reference: VoxelMask
  /// The storage axes along which the whole grid has more than one voxel.
  let axes: [Int]

  /// Nil if both sets are empty.
  init?(_ prediction: VoxelMask, _ reference: VoxelMask, threads: Int) {
    precondition(
      prediction.size == reference.size,
      "segmentation: grids \(prediction.size) and \(reference.size)")
    let (a, b) = Parallel.both(
      threads: threads, { prediction.boundingBox }, { reference.boundingBox })
    guard let first = a ?? b else { return nil }
    let box = b.map(first.union) ?? first
    (self.prediction, self.reference) = Parallel.both(
      threads: threads, { prediction.cropped(to: box) }, { reference.cropped(to: box) })
    axes = (0..<3).filter { prediction.size[$0] > 1 }
  }
}
