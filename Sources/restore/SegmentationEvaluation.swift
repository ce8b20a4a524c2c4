import Foundation
import Imaging
import TensorCore

/// Compares the label maps of pairs.
struct SegmentationEvaluation {
  let options: SegmentationOptions
  /// The definitions of a paper's own code; nil for the default ones.
  let definitions: SegmentationProtocol?
  let maxMemory: UInt64?
  private let threads = Engine.shared.threads

  /// The definitions in words, for every table.
  var description: String {
    switch definitions {
    case nil:
      let tolerance = options.nsdTolerance.map { "; figures by area within \($0) mm" } ?? ""
      return "protocol default; distances in mm between surface voxels, hd95 the larger directed "
        + "percentile; lesions over 26 neighbours; empty masks: \(options.empty.rawValue)"
        + tolerance
    case .gdkvm:
      return "protocol gdkvm; no smoothing; one empty mask: 0 and the image diagonal, two: left out"
    case .stroke:
      return "protocol stroke; \(SegmentationProtocol.strokeEpsilon) in the denominators, "
        + "two empty masks score 0"
    case .tvconv:
      return "protocol tvconv; dice with 1 added above and below, distances in pixels, "
        + "\(Int(SegmentationProtocol.tvconvEmptyDistance)) for an empty mask"
    }
  }

  /// The labels that every case is compared by: those listed, or all that occur in some map of some pair, so
  /// that what is found where nothing is counts too.
  ///
  /// Maps that cannot be read are left out: comparing their pair will say why.
  func labels(of pairs: [EvaluationPair]) throws -> [Int] {
    if case .listed(let listed)? = options.labels { return listed }
    let reading = NIfTIReadOptions(maxMemory: maxMemory)
    var found = Set<Int>()
    for pair in pairs {
      if Interruption.signal != nil { throw Interruption.failure("run the command again") }
      let present = try [pair.prediction, pair.reference].compactMap(\.self)
        .concurrentMap(threads: threads) { path -> [Int] in
          guard let scan = try? ScanFile.read(path, options: reading) else { return [] }
          return (0..<scan.volume.volumeCount).flatMap {
            (try? LabelMap(scan, ofVolume: $0))?.present ?? []
          }
        }
      found.formUnion(present.joined())
    }
    return found.isEmpty ? [1] : found.sorted()
  }

  /// The figures of every label of a pair, and of all labels together if there are several.
  func rows(
    of pair: EvaluationPair, in predictions: String, labels: [Int]
  ) throws -> (rows: [SegmentationReport.Row], warnings: [String]) {
    guard let path = pair.prediction else {
      throw ImagingError.noSuchFile(
        file: pair.name,
        reason: "\(pair.reference) has no prediction of that name in \(predictions)")
    }
    let reading = NIfTIReadOptions(maxMemory: maxMemory)
    let files = try [path, pair.reference].concurrentMap(threads: threads) {
      try ScanFile.read($0, options: reading)
    }
    let (scan, expected) = (files[0], files[1])
    try scan.volume.requireGrid(
      of: expected.volume, file: path, referenceFile: pair.reference)
    var rows: [SegmentationReport.Row] = []
    let count = expected.volume.volumeCount
    for index in 0..<count {
      let maps = try [scan, expected].concurrentMap(threads: threads) {
        try LabelMap($0, ofVolume: index)
      }
      let (prediction, reference) = (maps[0], maps[1])
      let allowed = Set(labels)
      for (map, file) in [(prediction, path), (reference, pair.reference)] {
        if let label = map.present.first(where: { !allowed.contains($0) }) {
          throw ImagingError.unexpectedLabel(file: file, label: label, allowed: labels)
        }
      }
      let name = count > 1 ? "\(pair.name)#\(index)" : pair.name
      func row(_ label: String, _ a: VoxelMask, _ b: VoxelMask) -> SegmentationReport.Row {
        self.row(
          .init(
            name: name, volume: count > 1 ? index : nil, label: label, prediction: path,
            reference: pair.reference, figures: [:], emptiness: .neither, lesions: []),
          a, b, expected.volume.geometry)
      }
      for label in labels {
        let masks = try [prediction, reference].concurrentMap(threads: threads) {
          $0.mask(of: label)
        }
        rows.append(row("\(label)", masks[0], masks[1]))
      }
      if labels.count > 1 {
        let all = Set(labels)
        rows.append(row("union", prediction.mask(ofAny: all), reference.mask(ofAny: all)))
      }
    }
    let warnings =
      scan.warnings.map { "\(path): \($0)" }
      + expected.warnings.map { "\(pair.reference): \($0)" }
    return (rows, warnings)
  }

  /// A row with its figures.
  private func row(
    _ empty: SegmentationReport.Row, _ prediction: VoxelMask, _ reference: VoxelMask,
    _ geometry: Geometry
  ) -> SegmentationReport.Row {
    var row = empty
    if let definitions {
      row.figures = definitions.figures(
        of: prediction, against: reference, spacing: geometry.spacing, threads: threads)
      switch (prediction.count == 0, reference.count == 0) {
      case (true, true): row.emptiness = .both
      case (true, false): row.emptiness = .prediction
      case (false, true): row.emptiness = .reference
      case (false, false): row.emptiness = .neither
      }
    } else {
      let score = SegmentationScore(
        of: prediction, against: reference, spacing: geometry.spacing,
        voxelVolume: geometry.voxelVolume / 1000, tolerance: options.nsdTolerance,
        emptyRule: options.empty, threads: threads)
      row.figures = score.figures
      row.emptiness = score.emptiness
      row.lesions = score.lesions.bySize(edges: options.lesionSizes.numbers).map {
        SegmentationReport.LesionClass(
          lesions: $0.count, found: $0.found, falsePositives: $0.falsePositives)
      }
    }
    return row
  }
}
