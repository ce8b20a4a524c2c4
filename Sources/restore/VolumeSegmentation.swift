import Foundation
import Imaging
import Inference
import TensorCore

/// A structure that was found in an image.
struct SegmentedStructure: Codable {
  let name: String
  let label: Int
  let voxels: Int
  let milliliters: Double
  /// How many parts hang together over faces, edges and corners.
  let parts: Int
}

/// Segments images with a network and the plan of its dataset, and writes what belongs to each.
struct VolumeSegmentation {
  let bundle: ModelBundle
  let segmenter: VolumeSegmenter
  let sidecars: SidecarOptions

  /// One image and what is written of it.
  struct Item {
    let name: String
    /// One file a channel.
    let images: [String]
    /// The labels.
    let target: String
    /// The probability of each structure, if they are wanted.
    let maps: [String]
    /// Whether what is there is replaced.
    let overwrite: Bool

    /// Labels and probabilities.
    var outputs: [String] { [target] + maps }
  }

  /// What was found in one image.
  struct Case: Encodable {
    let name: String
    let output: String
    let probabilities: [String]
    let structures: [SegmentedStructure]
  }

  private typealias Scans = (volumes: [Volume], scans: [ScanFile])

  /// All that ``segment(_:)`` writes of an item.
  func files(of item: Item) -> [String] {
    item.outputs + (sidecars.noSidecar ? [] : item.outputs.map(Sidecar.path(besides:)))
  }

  /// Segments one image and writes labels, probabilities and sidecars, all or none of them.
  ///
  /// - Parameter item: The image.
  /// - Returns: Its structures.
  /// - Throws: What reading, the network and writing throw.
  func segment(_ item: Item) throws -> Case {
    let start = Date()
    let plan = segmenter.plan
    let read = try SegmentationPreprocessor.read(item.images, channels: plan.channels.count)
    for scan in read.scans {
      for warning in scan.warnings { Console.shared.warning("\(scan.path): \(warning)") }
    }
    let found = try segmenter.segment(read.volumes, file: item.images[0]) { part in
      Console.shared.progress(
        "\(item.name): \(Int(part * 100)) %", done: Int(part * 1000), total: 1000)
      return Interruption.signal != nil
    }
    let structures = structures(in: found.labels)
    try OutputPaths.allOrNone(files(of: item)) {
      try write(found.labels, of: item, like: read.scans[0])
      for (label, path) in zip(plan.labels, item.maps) {
        try write(found.probability(of: label.value), to: path, of: item, like: read.scans[0])
      }
      guard !sidecars.noSidecar else { return }
      let provenance = try provenance(of: item, read, found.labels, since: start)
      // The labels' own last: with it the image is complete.
      for (index, image) in item.outputs.enumerated().reversed() {
        var own = provenance
        if index > 0 { own.outputRange = [0, 1] }
        try Sidecar(
          sources: item.images.map(sidecars.path), skullStripped: sidecars.skullStripped,
          resolution: "native grid of the input", restore: own,
          structures: index == 0 ? structures : nil
        ).write(to: Sidecar.path(besides: image))
      }
    }
    return Case(
      name: item.name, output: item.target, probabilities: item.maps, structures: structures)
  }

  private func structures(in map: LabelMap) -> [SegmentedStructure] {
    let voxel = map.geometry.voxelVolume / 1000
    return segmenter.plan.labels.map { label in
      let mask = map.mask(of: label.value)
      let count = mask.count
      return SegmentedStructure(
        name: label.name, label: label.value, voxels: count, milliliters: Double(count) * voxel,
        parts: count == 0 ? 0 : ConnectedComponents(of: mask).count)
    }
  }

  private func provenance(
    of item: Item, _ read: Scans, _ map: LabelMap, since start: Date
  ) throws -> Sidecar.Provenance {
    let plan = segmenter.plan
    let lowest: Float = read.volumes.compactMap { $0.voxels.min() }.min() ?? 0
    let highest: Float = read.volumes.compactMap { $0.voxels.max() }.max() ?? 0
    return Sidecar.Provenance(
      arguments: sidecars.arguments, model: bundle.card.name,
      modelVersion: bundle.card.version, weightsSHA256: bundle.card.weightsSHA256,
      inputSHA256: try Sidecar.checksums(of: read.scans.flatMap(\.files)), seed: 0,
      threads: Engine.shared.threads, plane: plan.axes == 3 ? "volume" : "slices",
      tile: plan.patch, overlap: 0.5, backEnd: Engine.shared.backEnd,
      inputRange: [lowest, highest],
      outputRange: [0, Float(map.present.last ?? 0)],
      nonFiniteVoxels: read.scans.reduce(0) { $0 + ($1.nonFinite?.count ?? 0) },
      warnings: read.scans.flatMap { scan in
        scan.warnings.map { sidecars.message("\(scan.path): \($0)", naming: [scan.path]) }
      },
      elapsedSeconds: sidecars.reproducible ? nil : -start.timeIntervalSinceNow,
      peakMemoryBytes: sidecars.reproducible ? nil : Memory.peak)
  }

  // MARK: - Files

  private func write(_ map: LabelMap, of item: Item, like first: ScanFile) throws {
    guard ImageFormat(path: item.target) == .png else {
      return try write(
        Volume(voxels: map.labels.map(Float.init), geometry: map.geometry), as: .labels,
        to: item.target, of: item, like: first)
    }
    let size = map.geometry.size
    guard size.z == 1 else {
      throw ImagingError.unsupportedFormat(
        file: item.target, reason: "a PNG holds one slice, not \(size.z)")
    }
    try PNGImage(
      samples: map.labels.map { UInt16($0) }, height: size.y, width: size.x, colour: .grey,
      bitDepth: 8
    ).write(to: item.target, overwrite: item.overwrite, inputs: item.images)
  }

  /// A probability, in pictures as 16 bits: 65535 for 1.
  private func write(
    _ probability: Volume, to path: String, of item: Item, like first: ScanFile
  ) throws {
    guard ImageFormat(path: path) == .png else {
      return try write(probability, as: .float32, to: path, of: item, like: first)
    }
    let size = probability.size
    try PNGImage.rounding(
      probability.voxels.map { $0 * 65535 }, height: size.y, width: size.x, colour: .grey,
      bitDepth: 16
    ).image.write(to: path, overwrite: item.overwrite, inputs: item.images)
  }

  private func write(
    _ volume: Volume, as type: OutputDataType, to path: String, of item: Item, like first: ScanFile
  ) throws {
    let options = NIfTIWriteOptions(
      dataType: type, overwrite: item.overwrite, inputs: item.images)
    var source: NIfTISource?
    if case .nifti(let own) = first.source { source = own }
    for warning in try NIfTI.write(volume, to: path, like: source, options: options) {
      Console.shared.detail("\(path): \(warning)")
    }
  }
}
