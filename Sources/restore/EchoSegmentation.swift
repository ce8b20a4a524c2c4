import Foundation
import Imaging
import Inference
import Models

/// `restore segment` for a clip: labels, overlay strip, curve and ejection fraction.
struct EchoSegmentation {
  let model: GDKVM
  let bundle: ModelBundle
  let input: String
  let output: String
  let firstMask: String?
  let overwrite: Bool

  /// The names of labels 1, 2, 3.
  private static let names = ["left_ventricle", "myocardium", "left_atrium"]

  /// The side of the network's frames.
  private static let networkSize = [112, 112]

  /// Segments and writes everything; returns what was measured.
  func run() throws -> EchoReport {
    let scan = try ScanFile.read(input)
    for warning in scan.warnings { Console.shared.detail("\(input): \(warning)") }
    let volume = scan.volume
    let size = volume.size
    // Frames lie along z in a stack or in the layout of CAMUS, along t in a 4D file.
    let count = volume.volumeCount * size.z
    let pixels = size.x * size.y
    let map = try bundle.card.normalization.map(for: volume.voxels, file: input)
    let known = try firstMask.map { try mask($0, size: size) }
    var segmenter = ClipSegmenter(model, networkSize: Self.networkSize)
    var labels: [[UInt8]] = []
    for index in 0..<count {
      if Interruption.signal != nil { throw Interruption.failure("run the same command again") }
      let range = index * pixels..<(index + 1) * pixels
      let frame = map.normalized(Array(volume.voxels[range]))
      labels.append(
        segmenter.segment(frame, height: size.y, width: size.x, firstMask: known))
      Console.shared.progress("frame \(index + 1)/\(count)", done: index + 1, total: count)
    }
    try write(labels, of: scan)
    let structures = Array(Self.names.prefix(model.configuration.objects))
    let isSpacingKnown: Bool
    if case .nifti = scan.source { isSpacingKnown = true } else { isSpacingKnown = false }
    let report = EchoReport(
      labels: labels, size: (size.y, size.x), spacing: (volume.spacing.y, volume.spacing.x),
      structures: structures, isSpacingKnown: isSpacingKnown, output: output)
    let base = Self.base(of: output)
    try write(Data(report.csv.utf8), to: base + "_curve.csv")
    try strip(volume, map, labels).write(
      to: base + "_overlay.png", overwrite: overwrite, inputs: [input])
    return report
  }

  private func mask(_ path: String, size: GridSize) throws -> [UInt8] {
    let scan = try ScanFile.read(path)
    let found = scan.volume.size
    guard found.x == size.x, found.y == size.y else {
      throw CommandFailure(
        code: ExitStatus.data, kind: "first_mask", what: "first mask of another size (\(path))",
        cause: "it has \(found.x) x \(found.y) pixels, a frame \(size.x) x \(size.y)",
        advice: "give the mask of the first frame on the clip's own grid", file: path)
    }
    return try scan.volume.voxels.prefix(size.x * size.y).map { value in
      guard value == value.rounded(), (0...255).contains(value) else {
        throw ImagingError.labelMapNotInteger(file: path, value: value)
      }
      return UInt8(value)
    }
  }

  private func write(_ labels: [[UInt8]], of scan: ScanFile) throws {
    let volume = Volume(
      voxels: labels.joined().map(Float.init), geometry: scan.volume.geometry,
      volumeCount: scan.volume.volumeCount)
    var options = NIfTIWriteOptions()
    options.dataType = .labels
    options.overwrite = overwrite
    options.inputs = [input] + [firstMask].compactMap(\.self)
    var source: NIfTISource?
    if case .nifti(let own) = scan.source { source = own }
    for warning in try NIfTI.write(volume, to: output, like: source, options: options) {
      Console.shared.detail("\(output): \(warning)")
    }
  }

  private func write(_ data: Data, to path: String) throws {
    let file = try AtomicFile(path: path, overwrite: overwrite)
    try data.withUnsafeBytes { try file.write($0) }
    try file.commit()
  }

  /// Up to eight frames side by side with the structures' outlines: red, green, blue.
  private func strip(_ volume: Volume, _ map: IntensityMap, _ labels: [[UInt8]]) -> PNGImage {
    let (width, height) = (volume.size.x, volume.size.y)
    let shown = min(8, labels.count)
    let indices = (0..<shown).map { shown == 1 ? 0 : $0 * (labels.count - 1) / (shown - 1) }
    var samples = [UInt16](repeating: 0, count: shown * width * height * 3)
    let colours: [[UInt16]] = [[], [255, 64, 64], [64, 220, 64], [96, 128, 255]]
    for (position, index) in indices.enumerated() {
      let frame = labels[index]
      let first = index * width * height
      let greys = map.normalized(Array(volume.voxels[first..<first + width * height]))
      for row in 0..<height {
        for column in 0..<width {
          let pixel = row * width + column
          let label = frame[pixel]
          let isBorder =
            (column + 1 < width && frame[pixel + 1] != label)
            || (row + 1 < height && frame[pixel + width] != label)
          let below = row + 1 < height ? frame[pixel + width] : 0
          let beside = column + 1 < width ? frame[pixel + 1] : 0
          let shownLabel = Int(max(label, max(below, beside)))
          let grey = UInt16((min(max(greys[pixel], 0), 1) * 255).rounded())
          let colour =
            isBorder && shownLabel < colours.count ? colours[shownLabel] : [grey, grey, grey]
          let at = (row * shown * width + position * width + column) * 3
          for channel in 0..<3 { samples[at + channel] = colour[channel] }
        }
      }
    }
    return PNGImage(
      samples: samples, height: height, width: shown * width, colour: .rgb, bitDepth: 8)
  }

  /// A path without the endings of a NIfTI image.
  private static func base(of path: String) -> String {
    for ending in [".nii.gz", ".nii"] where path.hasSuffix(ending) {
      return String(path.dropLast(ending.count))
    }
    return path
  }
}
