import ArgumentParser
import Foundation
import Imaging

/// `restore eval`: metrics of predictions against references.
struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Compare images with their references, or label maps (--labels).",
    discussion: """
      Images: PSNR, SSIM, RMSE, MAE, NMSE. Label maps: Dice, IoU, precision, recall, volume, lesions, \
      surface distances.

      Files of two folders are paired by name without ending. Images of a pair must lie on the same \
      grid; nothing is resampled.
      """)

  @Option(name: .long, help: "Predictions: image, folder, pattern, or .txt list.")
  var pred: String

  @Option(
    name: [.long, .customLong("ref")],
    help: "References: image, folder, pattern, or .txt list.")
  var reference: String

  @Option(
    name: .long,
    help: """
      Data range of PSNR and SSIM; default: max - min of the reference. With --protocol fs-rwkv the \
      intensity that stands for 1; default: 1, of pictures their white.
      """)
  var dataRange: Double?

  @Option(name: .long, help: "Variant of SSIM: gaussian11 or uniform7.")
  var ssim: SimilarityVariant = .gaussian11

  @Option(
    name: .customLong("protocol"),
    help: "Definitions: default, or those of a paper's code.")
  var protocolName: ProtocolName = .standard

  @Option(
    name: .long, help: "CT, PET or MRI: what --protocol restore-rwkv clips to.",
    transform: Self.modality(named:))
  var modality: RestoreRWKVProtocol.Modality?

  @Flag(name: .long, help: "Also PSNR over the foreground of the reference.")
  var foreground = false

  @Option(
    name: .long, defaultAsFlag: "-",
    help: "Write the figures as JSON to a file; without one, to standard output.")
  var json: String?

  @Option(name: .long, help: "Write the table of cases as CSV to a file.")
  var csv: String?

  @Option(name: .long, help: "Write the figures of each slice as CSV to a file.")
  var slicesCSV: String?

  @Option(
    name: .long,
    help: "Split (JSON) that says whose images the files are; default: BIDS names sub-….")
  var subjects: String?

  @Flag(name: .long, help: "Replace the JSON and CSV files if they exist.")
  var overwrite = false

  @Flag(name: .long, help: "Go on after a failed pair; exit code 2 at the end.")
  var continueOnError = false

  @Option(name: .long, help: "Seed of the bootstrap.")
  var seed: UInt64 = 0

  @Option(name: .long, help: "Most memory to use, as in 4G.")
  var maxMemory: ByteCount?

  @OptionGroup(title: "Label maps") var segmentation: SegmentationOptions
  @OptionGroup(title: "General") var messages: MessageOptions

  /// The sets of definitions.
  enum ProtocolName: String, ExpressibleByArgument, CaseIterable {
    case standard = "default"
    case restoreRWKV = "restore-rwkv"
    case fsRWKV = "fs-rwkv"
    case gdkvm, stroke, tvconv

    /// The definitions for label maps; nil if the protocol is one for images.
    var segmentation: SegmentationProtocol? { SegmentationProtocol(rawValue: rawValue) }
  }

  private var comparesLabels: Bool {
    segmentation.labels != nil || protocolName.segmentation != nil
  }

  /// The variants of SSIM.
  enum SimilarityVariant: String, ExpressibleByArgument, CaseIterable {
    case gaussian11, uniform7

    var value: StructuralSimilarity { self == .gaussian11 ? .gaussian : .uniform7 }
  }

  private static func modality(named name: String) throws -> RestoreRWKVProtocol.Modality {
    guard let modality = RestoreRWKVProtocol.Modality(rawValue: name.lowercased()) else {
      throw ValidationError("--modality \(name): CT, PET or MRI")
    }
    return modality
  }

  private var isJSON: Bool { json == "-" }

  func validate() throws {
    if let dataRange, !(dataRange > 0 && dataRange.isFinite) {
      throw ValidationError("--data-range \(dataRange): a number above 0 is needed")
    }
    if !comparesLabels, segmentation.html != nil {
      throw ValidationError("--html belongs to --labels; `restore report` is for images")
    }
    if !comparesLabels, segmentation.isChanged {
      throw ValidationError(
        "--nsd-tolerance, --empty, --lesion-sizes and --images are for label maps: add --labels")
    }
    if comparesLabels {
      if [.restoreRWKV, .fsRWKV].contains(protocolName) {
        throw ValidationError(
          "--protocol \(protocolName.rawValue) is for images, --labels for label maps")
      }
      if dataRange != nil || ssim != .gaussian11 || foreground || modality != nil
        || slicesCSV != nil
      {
        throw ValidationError(
          "--data-range, --ssim, --foreground, --modality and --slices-csv are for images, "
            + "not label maps")
      }
      return
    }
    switch protocolName {
    case .gdkvm, .stroke, .tvconv: break
    case .standard:
      if modality != nil {
        throw ValidationError("--modality belongs to --protocol restore-rwkv")
      }
    case .fsRWKV:
      if ssim != .gaussian11 || foreground || modality != nil || slicesCSV != nil {
        throw ValidationError(
          "--protocol fs-rwkv fixes SSIM and goes with neither --foreground, --modality nor --slices-csv"
        )
      }
    case .restoreRWKV:
      if modality == nil {
        throw ValidationError("--protocol restore-rwkv needs --modality CT, PET or MRI")
      }
      if dataRange != nil || ssim != .gaussian11 || foreground {
        throw ValidationError(
          "--protocol restore-rwkv fixes data range and SSIM and has no foreground figure")
      }
      if slicesCSV != nil {
        throw ValidationError("--slices-csv belongs to --protocol default")
      }
    }
  }

  /// Makes sure that a folder is there before pages are made without its images.
  static func requireFolder(_ path: String) throws(ImagingError) {
    guard !FileManager.default.fileExists(atPath: path) else { return }
    throw .noSuchFile(file: path, reason: "a folder of images was expected")
  }

  func run() throws {
    messages.apply(isJSON: isJSON)
    if let images = segmentation.images { try Self.requireFolder(images) }
    let pairs = try EvaluationPair.pairs(predictions: pred, references: reference)
    let names = try SubjectNames(split: subjects)
    if comparesLabels {
      let evaluation = SegmentationEvaluation(
        options: segmentation, definitions: protocolName.segmentation, maxMemory: maxMemory?.bytes)
      let report = SegmentationReport(
        definitions: evaluation.description, seed: seed,
        lesionEdges: segmentation.lesionSizes.numbers)
      let labels = try evaluation.labels(of: pairs)
      try evaluate(pairs, into: report) { report, pair in
        let (rows, warnings) = try evaluation.rows(of: pair, in: pred, labels: labels)
        report.rows += rows.map { row in
          var row = row
          row.subject = names.subject(of: pair.name)
          return row
        }
        report.warnings += warnings
        warnings.forEach(Console.shared.warning)
      }
    } else {
      let report = EvaluationReport(definitions: definitions, seed: seed)
      try evaluate(pairs, into: report) { report, pair in
        var item = try evaluate(pair)
        item.subject = names.subject(of: item.name)
        report.cases.append(item)
      }
    }
  }

  /// Adds every pair to a report and writes it wherever it is wanted.
  private func evaluate<Report: EvaluationDocument>(
    _ pairs: [EvaluationPair], into report: Report,
    adding add: (inout Report, EvaluationPair) throws -> Void
  ) throws {
    var report = report
    let files = [json, csv, slicesCSV, segmentation.html].compactMap(\.self).filter { $0 != "-" }
    let inputs =
      pairs.flatMap { [$0.prediction, $0.reference].compactMap(\.self) }
      + [subjects].compactMap(\.self)
      + OutputPaths.files(in: segmentation.images)
    try OutputPaths.requireDistinct(files)
    for file in files {
      try AtomicFile.checkOutput(path: file, overwrite: overwrite, inputs: inputs)
    }
    for pair in pairs {
      if Interruption.signal != nil { throw Interruption.failure("run the command again") }
      do { try add(&report, pair) } catch {
        let failure = CommandFailure(error)
        guard continueOnError else { throw failure }
        Console.shared.error(failure.lines)
        report.failures.append(EvaluationReport.Failure(name: pair.name, failure))
      }
    }
    if let json, !isJSON {
      try AtomicFile.write(
        [UInt8](report.reportJSON()), to: json, overwrite: overwrite, inputs: inputs)
    }
    if let csv {
      try AtomicFile.write(
        Array(report.csv.utf8), to: csv, overwrite: overwrite, inputs: inputs)
    }
    if let slicesCSV {
      try AtomicFile.write(
        Array(report.sliceCSV.utf8), to: slicesCSV, overwrite: overwrite, inputs: inputs)
    }
    if let page = segmentation.html {
      try writePage(about: report, to: page, inputs: inputs)
    }
    if isJSON { Console.shared.result(report) } else { Console.shared.result(report.lines) }
    if let first = report.failures.first {
      throw ExitCode(report.isEmpty ? first.code : ExitStatus.partial)
    }
  }

  /// Writes the page about label maps.
  private func writePage(
    about report: some EvaluationDocument, to path: String, inputs: [String]
  ) throws {
    guard let file = SegmentationFile(try report.reportJSON()) else {
      preconditionFailure("eval: its own JSON is not that of label maps")
    }
    var page = SegmentationPage(
      title: "Segmentation of \(ImageFormat.stem(of: pred))", files: [file],
      images: segmentation.images)
    let html = page.html()
    page.warnings.forEach(Console.shared.warning)
    try AtomicFile.write(Array(html.utf8), to: path, overwrite: overwrite, inputs: inputs)
  }

  /// The definitions in words, for every table.
  private var definitions: String {
    if protocolName == .fsRWKV {
      return
        "protocol fs-rwkv; 1 is \(dataRange.map { "\($0)" } ?? "the white of pictures, 1 in NIfTI"); "
        + "clamped to 0...1; data range 1; SSIM gaussian11: Gaussian window of 11, sigma 1.5, interior; "
        + "means over slices"
    }
    switch modality {
    case nil:
      let range = dataRange.map { "\($0)" } ?? "max - min of the reference"
      let window =
        ssim == .gaussian11
        ? "Gaussian window of 11, sigma 1.5, interior"
        : "uniform window of 7, sample covariance, interior"
      return "protocol default; data range \(range); SSIM \(ssim.rawValue): \(window)"
        + (foreground ? EvaluationReport.foregroundClause : "")
    case let modality?:
      let range = modality.clippingRange
      return "protocol restore-rwkv, \(modality.rawValue.uppercased()); clipped to "
        + "\(Int(range.lowerBound))...\(Int(range.upperBound)); data range max - min of each "
        + "reference slice; SSIM gaussian11, zero-padded; means over slices, constant ones left out"
    }
  }

  /// The intensity that stands for 1: of a picture its own white.
  private static func white(of scan: ScanFile) -> Double {
    guard case .png(let bitDepth, _) = scan.source else { return 1 }
    return Double((1 << bitDepth) - 1)
  }

  private func evaluate(_ pair: EvaluationPair) throws -> EvaluationReport.Case {
    guard let path = pair.prediction else {
      throw ImagingError.noSuchFile(
        file: pair.name, reason: "\(pair.reference) has no prediction of that name in \(pred)")
    }
    let options = NIfTIReadOptions(maxMemory: maxMemory?.bytes)
    let scan = try ScanFile.read(path, options: options)
    let expected = try ScanFile.read(pair.reference, options: options)
    var warnings = scan.warnings.map { "\(path): \($0)" }
    warnings += expected.warnings.map { "\(pair.reference): \($0)" }
    let (prediction, reference) = (scan.volume, expected.volume)
    try prediction.requireGrid(of: reference, file: path, referenceFile: pair.reference)
    if protocolName != .standard {
      // The papers' definitions know of no such voxels.
      for (kind, mask) in [("prediction", scan.nonFinite), ("reference", expected.nonFinite)] {
        guard let mask else { continue }
        warnings.append(
          "\(pair.name): \(mask.count) voxels of the \(kind) are not finite; "
            + "the protocol counts them as 0")
      }
    }
    var figures: [EvaluationReport.Metric: Double] = [:]
    var slices: [SliceFigures] = []
    switch modality.map(RestoreRWKVProtocol.init(modality:)) {
    case nil where protocolName == .fsRWKV:
      let authors = FSRWKVProtocol(
        white: dataRange ?? Self.white(of: expected), imageWhite: dataRange ?? Self.white(of: scan))
      let score = try authors.score(
        of: prediction, against: reference, name: pair.reference)
      figures = [.psnr: score.psnr, .ssimSlices: score.ssim, .rmse: score.rmse]
    case let authors?:
      let (mean, leftOut) = authors.score(of: prediction, against: reference)
      figures = [.psnr: mean.psnr, .ssimAuthors: mean.ssim, .rmse: mean.rmse]
      if leftOut > 0 { warnings.append("\(pair.name): \(leftOut) constant slices left out") }
    case nil:
      let voxels = FigureVoxels(
        broken: scan.nonFinite, reference: expected.nonFinite, name: pair.name)
      warnings += voxels.warnings
      let prediction = voxels.marked(prediction)
      let comparison = try ImageComparison(
        of: prediction, against: reference, counting: voxels.counted, dataRange: dataRange,
        variant: ssim.value, name: pair.reference)
      let fidelity = comparison.fidelity
      figures = [
        .psnr: comparison.psnr, .rmse: fidelity.rootMeanSquaredError,
        .mae: fidelity.meanAbsoluteError, .nmse: fidelity.normalizedMeanSquaredError,
      ]
      figures[comparison.similarityKind == .volume ? .ssimVolume : .ssimSlices] =
        comparison.similarity
      if slicesCSV != nil {
        slices = try SliceFigures.all(
          of: prediction, against: reference, counting: voxels.counted, dataRange: dataRange,
          variant: ssim.value, name: pair.reference)
      }
      if foreground {
        figures[.foregroundPSNR] = try ForegroundPSNR.mean(
          of: prediction, against: reference, counting: voxels.counted, name: pair.reference)
      }
    }
    warnings.forEach(Console.shared.warning)
    return EvaluationReport.Case(
      name: pair.name, prediction: path, reference: pair.reference, figures: figures,
      warnings: warnings, slices: slices)
  }
}
