import ArgumentParser
import Foundation
import Imaging
import Inference

/// `restore info`: what is in a file.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Print header, geometry and intensity range of an image, or a model's card.",
    discussion: """
      The header is printed also for images that other commands refuse (ANALYZE 7.5, colour, complex, \
      damaged data); the reason and the exit code follow.
      """)

  @Argument(help: "NIfTI or PNG file, folder of PNG slices, or model bundle (name, folder or zip).")
  var file: String

  @Option(name: .long, help: "Which orientation counts if there are two: sform or qform.")
  var affine: AffineSource = .auto

  @Option(name: .long, help: "Most memory to use, as in 4G.")
  var maxMemory: ByteCount?

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    let files = FileManager.default
    let isBundle = ModelBundle.isBundle(file)
    let isName =
      !file.contains("/") && ImageFormat(path: file) == nil && !files.fileExists(atPath: file)
    if isBundle || (isName && (try? ModelBundle.find(file)) != nil) {
      return try ModelBundle.find(file).show()
    }
    var document = ImageDocument(file: file)
    var isFolder: ObjCBool = false
    let exists = files.fileExists(atPath: file, isDirectory: &isFolder)
    if exists, !isFolder.boolValue, ImageFormat(path: file) == .nifti {
      document.describe(try NIfTI.readHeader(file))
    }
    do {
      document.describe(
        try ScanFile.read(
          file, options: NIfTIReadOptions(maxMemory: maxMemory?.bytes, affineSource: affine)))
    } catch {
      // Without a header there is nothing to show but the reason.
      guard document.header != nil else { throw error }
      let failure = CommandFailure(error)
      document.refuse(failure)
      if common.json {
        Console.shared.result(document)
      } else {
        Console.shared.result(document.lines)
        failure.report()
      }
      throw ExitCode(failure.code)
    }
    if common.json { return Console.shared.result(document) }
    Console.shared.result(document.lines)
    document.warnings.forEach(Console.shared.warning)
  }
}

/// What is told about an image.
private struct ImageDocument: Encodable {
  struct Failure: Encodable {
    let code: Int32
    let kind: String
    let file: String?
    let message: String
    let hint: String
  }
  struct HeaderExtension: Encodable {
    let code: Int
    let bytes: Int
  }
  struct Intensity: Encodable {
    let minimum: Float
    let maximum: Float
    let mean: Double
    let percentile: Double?
    let nonFinite: Int
    let isConstant: Bool

    enum CodingKeys: String, CodingKey {
      case minimum, maximum, mean, nonFinite, isConstant
      case percentile = "percentile_99.5"
    }
  }

  let file: String
  var ok = true
  var error: Failure?
  var format: String?
  var byteOrder: String?
  var voxelType: String?
  var shape: [Int]?
  var spacing: [Double]?
  var orientation: String?
  var acquisitionPlane: String?
  var affine: [[Double]]?
  var affineForm: String?
  var scaling: [Double]?
  var intensity: Intensity?
  var extensions: [HeaderExtension]?
  var header: [String: String]?
  var warnings: [String] = []

  init(file: String) { self.file = file }

  mutating func describe(_ header: NIfTIHeader) {
    let kind =
      switch header.kind {
      case .single: "NIfTI-\(header.version.rawValue), single file"
      case .pair: "NIfTI-\(header.version.rawValue), pair of files"
      case .analyze: "ANALYZE 7.5, or NIfTI with damaged magic"
      }
    format = kind
    byteOrder = header.byteOrder.rawValue
    let code = header.integer(.dataType)
    voxelType = NIfTIDataType.name(ofCode: code) ?? "unknown (datatype \(code))"
    shape = try? header.checkedShape(file: file)
    scaling = header.scaling.map { [$0.slope, $0.intercept] }
    self.header = Dictionary(
      uniqueKeysWithValues: NIfTIField.allCases.map { ($0.rawValue, header.display($0)) })
  }

  mutating func describe(_ scan: ScanFile) {
    let (volume, geometry) = (scan.volume, scan.volume.geometry)
    shape = volume.shape
    spacing = (0..<3).map { geometry.spacing[$0] }
    orientation = geometry.isOrientationKnown ? geometry.orientation.description : "unknown"
    acquisitionPlane = geometry.isOrientationKnown ? geometry.acquisitionPlane.rawValue : nil
    affine = geometry.affine.rows
    switch scan.source {
    case .nifti(let source):
      affineForm = source.affineForm.rawValue
      extensions = source.extensions.map { HeaderExtension(code: $0.code, bytes: $0.data.count) }
    case .png(let bitDepth, let channels):
      format = "PNG"
      voxelType = "\(bitDepth) bit" + (channels == 1 ? ", grey" : ", \(channels) channels")
    }
    // Voxels that are NaN or infinite are 0 in the volume and must not count here.
    let mask = scan.nonFinite
    let values =
      mask == nil
      ? volume.voxels
      : volume.voxels.indices.compactMap { mask?[$0] == true ? nil : volume.voxels[$0] }
    let statistics = OrderStatistics(of: values)
    let (minimum, maximum) = (values.min() ?? 0, values.max() ?? 0)
    intensity = Intensity(
      minimum: minimum, maximum: maximum,
      mean: values.reduce(0.0) { $0 + Double($1) } / Double(max(1, values.count)),
      percentile: statistics.percentile(99.5), nonFinite: mask?.count ?? 0,
      isConstant: minimum == maximum)
    warnings = scan.warnings
  }

  mutating func refuse(_ failure: CommandFailure) {
    ok = false
    error = Failure(
      code: failure.code, kind: failure.kind, file: failure.file,
      message: "\(failure.what): \(failure.cause)", hint: failure.advice)
  }

  /// The lines for people.
  var lines: [String] {
    var lines = [file]
    func add(_ title: String, _ text: String?) {
      guard let text else { return }
      let label = title.isEmpty ? "" : title + ":"
      lines.append("  " + label.padding(toLength: 17, withPad: " ", startingAt: 0) + text)
    }
    func numbers(_ values: [Double]) -> String {
      values.map { String(format: "%.6g", $0) }.joined(separator: " ")
    }
    add(
      "format",
      [format, byteOrder.map { "\($0)-endian" }].compactMap(\.self).joined(separator: ", "))
    add("voxels", voxelType)
    if let shape {
      add("size x,y,z", shape.dropFirst().reversed().map(String.init).joined(separator: " x "))
      if shape[0] > 1 { add("volumes", "\(shape[0])") }
    }
    add("spacing", spacing.map { numbers($0) + " mm" })
    add("orientation", orientation)
    add("acquired", acquisitionPlane.map { "in \($0) slices" })
    add("affine from", affineForm)
    for (index, row) in (affine ?? []).dropLast().enumerated() {
      add(index == 0 ? "affine" : "", numbers(row))
    }
    add("scaling", scaling.map { "slope \($0[0]), intercept \($0[1])" })
    if let intensity {
      add(
        "intensity",
        "\(intensity.minimum) ... \(intensity.maximum), mean "
          + String(format: "%.6g", intensity.mean)
          + (intensity.percentile.map { String(format: ", 99.5 %% below %.6g", $0) } ?? ""))
      if intensity.nonFinite > 0 { add("NaN or infinite", "\(intensity.nonFinite) voxels") }
    }
    for item in extensions ?? [] { add("extension", "code \(item.code), \(item.bytes) bytes") }
    if let header {
      lines.append("  header fields:")
      for field in NIfTIField.allCases {
        lines.append(
          "    " + field.rawValue.padding(toLength: 16, withPad: " ", startingAt: 0)
            + (header[field.rawValue] ?? ""))
      }
    }
    return lines
  }
}
