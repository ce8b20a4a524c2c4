import Foundation
public import Imaging
public import Inference
import Randomness
public import TensorCore

/// The cases of an nnU-Net raw folder, prepared as its plan says and kept in memory.
public struct SegmentationDataset: Sendable {
  /// One prepared case.
  public struct Case: Sendable {
    /// Its name.
    public let name: String
    /// `[1, slices, rows, columns, channels]`.
    let image: Tensor
    /// The label of each voxel, the background 0.
    let labels: [UInt8]
    /// Slices, rows, columns.
    let size: [Int]
    /// Some voxels of each structure.
    let places: [[Int32]]
  }

  /// How images are seen.
  public let plan: SegmentationPlan
  /// What is learnt from.
  public let train: [Case]
  /// By which a checkpoint is chosen.
  public let validation: [Case]
  /// What was noticed about the images and label maps, one sentence each.
  let warnings: [String]

  private static let splitStream: UInt64 = 1
  private static let sampleStream: UInt64 = 2
  private static let mostPlaces = 4000
  /// The part of a batch whose patches lie around a structure.
  private static let foregroundShare = 1.0 / 3

  /// Reads a folder, takes its fingerprint, plans, and prepares all cases.
  ///
  /// - Parameters:
  ///   - folder: With labels.
  ///   - section: Who is held back, and how much memory may be taken.
  ///   - planner: Makes the plan.
  ///   - progress: Told what is being done.
  /// - Throws: ``TrainingError``, or what reading images throws.
  public init(
    _ folder: NNUNetFolder, _ section: TrainingConfiguration.DataSection,
    planner: SegmentationPlanner, progress: (String) -> Void = { _ in }
  ) throws {
    guard folder.cases.count >= 2 else {
      throw TrainingError.invalidSplit(
        file: folder.path, reason: "it has \(folder.cases.count) case with labels; at least 2")
    }
    let allowed = Set(folder.labels.map(\.value))
    let notes = ImageNotes()
    func read(_ item: NNUNetFolder.Case) throws -> (volumes: [Volume], labels: LabelMap) {
      let (volumes, scans) = try SegmentationPreprocessor.read(
        item.images, channels: folder.channels.count)
      scans.forEach(notes.add)
      guard let path = item.labels else {
        preconditionFailure("segmentation dataset: \(item.name) has no labels")
      }
      let labels = try notes.labels(
        path, of: volumes[0], imageFile: item.images[0], allowed: allowed)
      return (volumes, labels)
    }
    var collector = DatasetFingerprint.Collector(channels: folder.channels.count)
    for (index, item) in folder.cases.enumerated() {
      progress("fingerprint \(index + 1)/\(folder.cases.count)")
      let (volumes, labels) = try read(item)
      collector.add(volumes, labels)
    }
    let plan = planner.plan(
      collector.fingerprint(), channels: folder.channels, labels: folder.labels)
    self.plan = plan
    let preprocessor = SegmentationPreprocessor(plan)
    var bytes = 0
    var cases: [Case] = []
    for (index, item) in folder.cases.enumerated() {
      progress("preparing \(index + 1)/\(folder.cases.count)")
      let (volumes, map) = try read(item)
      try plan.requireSize(of: map.geometry, file: item.images[0])
      let image = preprocessor.image(volumes)
      bytes += image.count * 5
      guard bytes <= section.cacheMegabytes << 20 else {
        throw TrainingError.invalidValue(
          key: "data.cache_megabytes",
          reason: "is \(section.cacheMegabytes), but the prepared cases need more; nothing is "
            + "read again")
      }
      let labels = preprocessor.labels(map)
      cases.append(
        Case(
          name: item.name, image: image, labels: labels,
          size: Array(image.shape.dimensions[1...3]),
          places: Self.places(labels, classes: folder.labels.count)))
    }
    var generator = SeededGenerator(seed: section.splitSeed, stream: Self.splitStream)
    // The sessions of a person stay together.
    let subjects = Dictionary(grouping: cases.indices) {
      BIDSName.subject(of: cases[$0].name) ?? cases[$0].name
    }.sorted { $0.key < $1.key }.map(\.value)
    guard subjects.count >= 2 else {
      throw TrainingError.invalidSplit(
        file: folder.path, reason: "all cases are of one subject; one is needed for validation")
    }
    let order = generator.permutation(subjects.count)
    let held = min(
      subjects.count - 1, max(1, Int((section.validationShare * Double(subjects.count)).rounded())))
    warnings = notes.sentences
    validation = order.prefix(held).flatMap { subjects[$0] }.sorted().map { cases[$0] }
    train = order.dropFirst(held).flatMap { subjects[$0] }.sorted().map { cases[$0] }
  }

  private static func places(_ labels: [UInt8], classes: Int) -> [[Int32]] {
    var counts = [Int](repeating: 0, count: classes + 1)
    for label in labels { counts[Int(label)] += 1 }
    var result = [[Int32]](repeating: [], count: classes)
    var seen = [Int](repeating: 0, count: classes + 1)
    for (voxel, label) in labels.enumerated() where label > 0 {
      let step = max(1, counts[Int(label)] / mostPlaces)
      if seen[Int(label)] % step == 0 { result[Int(label) - 1].append(Int32(voxel)) }
      seen[Int(label)] += 1
    }
    return result
  }

  /// Whether all cases have the size of the patch, so that a patch is always at the same place.
  public var isOfOneSize: Bool {
    (train + validation).allSatisfy { item in
      plan.axes == 2
        ? Array(item.size.dropFirst()) == plan.patch : item.size == plan.patch
    }
  }

  /// Patches to learn from.
  ///
  /// A third of them, at least one, lies around a voxel of a structure that is drawn among those of its
  /// case; the others anywhere. Patches may be flipped along each axis and turned, scaled and bent
  /// (``PatchWarp``); contrast and noise vary.
  ///
  /// - Parameters:
  ///   - step: Decides, with the seed, what is drawn.
  ///   - count: Samples.
  ///   - seed: That of the run.
  ///   - flips: Whether patches are flipped.
  ///   - deforms: Whether patches are turned, scaled and bent.
  /// - Returns: `[count, patch…, channels]` and one-hot `[count, patch…, classes]`.
  public func batch(
    step: Int, count: Int, seed: UInt64, flips: Bool, deforms: Bool
  ) -> (images: Tensor, labels: Tensor) {
    let (patch, channels) = (plan.patchVolume, plan.channels.count)
    let voxels = patch.reduce(1, *)
    let classes = plan.labels.count + 1
    let guided = max(1, Int((Self.foregroundShare * Double(count)).rounded()))
    var images = [Float](repeating: 0, count: count * voxels * channels)
    var targets = [Float](repeating: 0, count: count * voxels * classes)
    for index in 0..<count {
      var generator = SeededGenerator(
        seed: seed, stream: Self.sampleStream, UInt64(step), UInt64(index))
      let item = train[generator.nextInt(below: train.count)]
      let start = self.start(
        in: item, patch, isGuided: index >= count - guided, using: &generator)
      var isFlipped = [false, false, false]
      for axis in (plan.axes == 3 ? 0 : 1)..<3 {
        let draw = generator.nextUniform() < 0.5
        isFlipped[axis] = flips && draw
      }
      let gain = 0.8 + 0.4 * generator.nextUniform()
      let shift = 0.2 * (generator.nextUniform() - 0.5)
      let noise = generator.nextUniform() < 0.3 ? 0.15 * generator.nextUniform() : 0
      let warp =
        deforms
        ? PatchWarp(patch: patch, spacing: plan.spacing, axes: plan.axes, using: &generator) : nil
      item.image.withValues { source in
        images.withUnsafeMutableBufferPointer { images in
          var voxel = index * voxels
          for z in 0..<patch[0] {
            let fz = isFlipped[0] ? patch[0] - 1 - z : z
            for y in 0..<patch[1] {
              let fy = isFlipped[1] ? patch[1] - 1 - y : y
              for x in 0..<patch[2] {
                let fx = isFlipped[2] ? patch[2] - 1 - x : x
                let values = UnsafeMutableBufferPointer(
                  rebasing: images[voxel * channels..<(voxel + 1) * channels])
                let label =
                  if let warp {
                    item.interpolate(
                      source, at: warp.place(fz, fy, fx) + SIMD3(start.map(Float.init)), to: values)
                  } else {
                    item.read(source, start[0] + fz, start[1] + fy, start[2] + fx, to: values)
                  }
                targets[voxel * classes + Int(label ?? 0)] = 1
                voxel += 1
                // Outside of the image is the mean, 0.
                if label == nil { continue }
                for channel in values.indices {
                  values[channel] = values[channel] * gain + shift
                  if noise > 0 { values[channel] += noise * generator.nextNormal() }
                }
              }
            }
          }
        }
      }
    }
    let shape = [count] + plan.patch
    return (Tensor(Shape(shape + [channels]), images), Tensor(Shape(shape + [classes]), targets))
  }

  /// Where a patch begins; before 0 where the image is smaller.
  private func start(
    in item: Case, _ patch: [Int], isGuided: Bool, using generator: inout SeededGenerator
  ) -> [Int] {
    let present = item.places.indices.filter { !item.places[$0].isEmpty }
    var centre: [Int]?
    if isGuided, !present.isEmpty {
      let places = item.places[present[generator.nextInt(below: present.count)]]
      let voxel = Int(places[generator.nextInt(below: places.count)])
      centre = [
        voxel / (item.size[1] * item.size[2]), voxel / item.size[2] % item.size[1],
        voxel % item.size[2],
      ]
    }
    return (0..<3).map { axis in
      let room = item.size[axis] - patch[axis]
      guard room > 0 else { return room / 2 }
      guard let centre else { return generator.nextInt(below: room + 1) }
      return min(max(centre[axis] - patch[axis] / 2, 0), room)
    }
  }

  /// The Dice of each structure in prepared cases: the mean over those that have it or claim it.
  ///
  /// - Parameters:
  ///   - most: The most validation cases that are looked at.
  ///   - segmenter: With the network in evaluation mode.
  /// - Returns: One value a structure; 1 where no case has it and none claims it; NaN if the network makes no
  ///   numbers.
  /// - Throws: What segmenting throws.
  public func validationDice(most: Int, _ segmenter: VolumeSegmenter) throws -> [Double] {
    let classes = plan.labels.count
    var sums = [Double](repeating: 0, count: classes)
    var counts = sums
    for item in validation.prefix(most) {
      let probabilities = try segmenter.probabilities(item.image)
      // The training stops at a score that is no number.
      guard probabilities.withValues({ values in values.allSatisfy(\.isFinite) }) else {
        return [Double](repeating: .nan, count: classes)
      }
      var (both, sizes) = (
        [Int](repeating: 0, count: classes + 1), [Int](repeating: 0, count: classes + 1)
      )
      probabilities.withValues { values in
        for (voxel, truth) in item.labels.enumerated() {
          var best = 0
          for label in 1...classes
          where values[voxel * (classes + 1) + label] > values[voxel * (classes + 1) + best] {
            best = label
          }
          sizes[best] += 1
          sizes[Int(truth)] += 1
          if best == Int(truth) { both[best] += 1 }
        }
      }
      for label in 1...classes where sizes[label] > 0 {
        sums[label - 1] += 2 * Double(both[label]) / Double(sizes[label])
        counts[label - 1] += 1
      }
    }
    return zip(sums, counts).map { $1 > 0 ? $0 / $1 : 1 }
  }
}
