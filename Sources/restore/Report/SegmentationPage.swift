import Foundation
import Imaging

/// Composes the page about label maps: tables, boxes, and for each structure its worst cases, the best
/// and the median one with the outlines of prediction and reference.
struct SegmentationPage {
  /// Pictures may take so many bytes of PNG, so that the page stays below 5 MB in base64.
  private static let pictureBudget = 3_300_000
  /// Wider pictures are shown at half their size.
  private static let mostPixels = 900
  /// Pictures are not made smaller than this to spare bytes.
  private static let leastPixels = 128
  /// The width of a picture on the page.
  private static let shownWidth = 350.0

  let title: String
  let files: [SegmentationFile]
  /// Where the images are over which outlines are drawn; files have the names of the cases.
  let images: String?
  private(set) var warnings: [String] = []
  private var spent = 0
  private var picturesLeft: Int

  init(title: String, files: [SegmentationFile], images: String?) {
    self.title = title
    self.files = files
    self.images = images
    picturesLeft = files.reduce(0) { sum, file in
      sum + file.labels.reduce(0) { $0 + file.examples($1).count }
    }
  }

  /// The page.
  mutating func html() -> String {
    HTML.page(title: title, body: body())
  }

  /// What stands between the title and the end.
  mutating func body() -> String {
    let comparison = PairedComparison(files)
    warnings += comparison.warnings
    var sections = [comparison.html]
    for file in files {
      sections.append(summary(of: file))
      for label in file.labels { sections.append(figure(of: label, in: file)) }
      sections.append(table(of: file))
    }
    let notes = (warnings + files.flatMap(\.notes)).map { "<p class=\"w\">\(HTML.escaped($0))</p>" }
    let provenance =
      "<h2>Provenance</h2><p>restore \(programVersion); evaluations of label maps: "
      + HTML.escaped(files.map(\.label).joined(separator: ", "))
      + ". Research use only, not for diagnosis.</p>"
    return (notes + sections + [provenance]).joined(separator: "\n")
  }

  // MARK: - Numbers

  private func summary(of file: SegmentationFile) -> String {
    func number(_ value: Double?) -> String { value.map(HTML.figure) ?? "-" }
    var rows: [[String]] = []
    for label in file.labels {
      for metric in file.metricNames {
        let values = file.cases.filter { $0.label == label }.compactMap { $0.metrics[metric] }
        let summary = Summary(of: values, seed: file.seed)
        rows.append([
          label, metric, "\(summary.count)", number(summary.mean),
          number(summary.standardDeviation), number(summary.median),
          summary.interval.map { "\(number($0.lowerBound)) to \(number($0.upperBound))" } ?? "-",
          "\(summary.infiniteCount)", "\(summary.undefinedCount)",
        ])
      }
    }
    var plots = ""
    for (metric, unit) in [("dice", "1"), ("hd95", "mm"), ("hd95_pooled", "mm")] {
      plots += Plot.boxes(
        title: metric, unit: unit,
        file.labels.map { label in
          (
            "label \(label)",
            file.cases.filter { $0.label == label }.compactMap { $0.metrics[metric] }
          )
        })
    }
    return "<h2>\(HTML.escaped(file.label))</h2><p>\(HTML.escaped(file.definitions))</p>"
      + HTML.table(
        ["label", "metric", "n", "mean", "sd", "median", "95 % interval", "infinite", "NaN"], rows)
      + plots
  }

  private func table(of file: SegmentationFile) -> String {
    let metrics = file.metricNames
    let rows = file.labels.flatMap { label in
      file.cases.filter { $0.label == label }
        .sorted { ($0.metrics["dice"] ?? 0) < ($1.metrics["dice"] ?? 0) }
        .map { item in
          [item.name, label]
            + metrics.map { name in
              item.metrics[name].map(HTML.figure) ?? "-"
            } + [item.empty]
        }
    }
    return "<details><summary>all cases of \(HTML.escaped(file.label)), worst first</summary>"
      + HTML.table(["case", "label"] + metrics + ["empty"], rows) + "</details>"
  }

  // MARK: - Pictures

  private mutating func figure(of label: String, in file: SegmentationFile) -> String {
    let examples = file.examples(label)
    guard !examples.isEmpty else { return "" }
    var text =
      "<h3>Structure \(HTML.escaped(label)): worst cases, best and median</h3><div class=\"f\">"
    for (rank, item) in examples {
      defer { picturesLeft -= 1 }
      let dice = String(format: "%.4f", item.metrics["dice"] ?? 0)
      do {
        let (picture, remark) = try self.picture(of: item, in: file)
        text +=
          "<figure>\(picture)<figcaption><b>\(rank)</b>: \(HTML.escaped(item.name)), Dice \(dice)"
          + "<br>\(HTML.escaped(remark))</figcaption></figure>"
      } catch {
        let failure = CommandFailure(error)
        warnings.append("\(item.name): \(failure.what)")
        text +=
          "<figure><figcaption><b>\(rank)</b>: \(HTML.escaped(item.name)), Dice \(dice)<br>"
          + "No picture: \(HTML.escaped(failure.cause))</figcaption></figure>"
      }
    }
    return text + "</div>"
  }

  /// One slice with the outlines of both label maps, and what is to be said about it.
  private mutating func picture(
    of item: SegmentationFile.Case, in file: SegmentationFile
  ) throws -> (html: String, remark: String) {
    func read(_ path: String) throws -> (volume: Volume, labels: LabelMap) {
      let scan = try ScanFile.read(EvaluationFile.place(path, in: file.folder))
      let index = item.volume ?? 0
      guard (0..<scan.volume.volumeCount).contains(index) else {
        throw ImagingError.noSuchVolume(file: path, index: index, count: scan.volume.volumeCount)
      }
      return (scan.volume.volume(at: index), try LabelMap(scan, ofVolume: index))
    }
    let files = (try read(item.prediction), try read(item.reference))
    let (prediction, reference) = (files.0.volume, files.1.volume)
    try prediction.requireGrid(
      of: reference, file: item.prediction, referenceFile: item.reference)
    let plane = reference.geometry.acquisitionPlane
    func shown(_ map: LabelMap) -> Volume {
      Volume(voxels: map.labels.map(Float.init), geometry: reference.geometry)
    }
    let slices = (
      shown(files.0.labels).slices(in: plane), shown(files.1.labels).slices(in: plane)
    )
    func isWanted(_ value: Float) -> Bool {
      item.label == "union" ? value > 0 : Int(value) == Int(item.label)
    }
    // The slice that shows most of the structure: of the reference, or what was wrongly found.
    func area(_ slice: ImageSlice) -> Int { slice.pixels.count(where: isWanted) }
    let counts = slices.1.indices.map { area(slices.1[$0]) }
    let guide = (counts.max() ?? 0) > 0 ? counts : slices.0.indices.map { area(slices.0[$0]) }
    let position = guide.indices.max { guide[$0] < guide[$1] } ?? 0
    let (a, b) = (slices.0[position], slices.1[position])
    let (levels, remark) = try background(of: item, plane, position, a)
    var overlay = LabelOverlay(levels, height: a.height, width: a.width)
    let number = Int32(clamping: Int(item.label) ?? 1)
    func outlined(_ slice: ImageSlice) -> [Int32] {
      slice.pixels.map { isWanted($0) ? number : 0 }
    }
    overlay.outline(outlined(b), style: .dotted)
    overlay.outline(outlined(a))
    var image = overlay.image
    func isLonger(than side: Int) -> Bool {
      max(image.height, image.width) > side && min(image.height, image.width) > 1
    }
    while isLonger(than: Self.mostPixels) { image = image.halved() }
    var png = try image.encoded()
    // A picture takes its share of what is left; what is larger is shown at half its size.
    let share = (Self.pictureBudget - spent) / max(1, picturesLeft)
    while png.count > share, isLonger(than: Self.leastPixels) {
      image = image.halved()
      png = try image.encoded()
    }
    guard png.count <= share else {
      return ("", "no picture, so that the page stays below 5 MB")
    }
    spent += png.count
    let layout = SliceLayout(plane, of: reference.geometry)
    let height =
      Self.shownWidth * Double(a.height) * layout.spacing.row
      / (Double(a.width) * layout.spacing.column)
    let text = HTML.picture(
      png, alternative: "\(item.name), label \(item.label)",
      style: "width:\(Int(Self.shownWidth))px;height:\(Int(min(max(height, 1), 4096)))px")
    var parts = [
      "solid: prediction, dotted: reference",
      slices.1.count > 1 ? "\(plane.rawValue) slice \(position + 1) of \(slices.1.count)" : "",
      layout.edges.map { "left edge \($0.left.rawValue), top \($0.top.rawValue)" } ?? "", remark,
    ]
    parts.removeAll(where: \.isEmpty)
    return (text, parts.joined(separator: "; "))
  }

  /// The picture under the outlines: the case's image, or plain grey.
  private func background(
    of item: SegmentationFile.Case, _ plane: AnatomicalPlane, _ position: Int, _ slice: ImageSlice
  ) throws -> (levels: [Float], remark: String) {
    let plain = [Float](repeating: 40, count: slice.pixels.count)
    guard let images else { return (plain, "no image given") }
    // Several volumes of a file are cases of their own, NAME#INDEX.
    let ending = item.volume.map { "#\($0)" } ?? ""
    let name = item.name.hasSuffix(ending) ? item.name.dropLast(ending.count) : item.name[...]
    guard let path = Self.image(named: String(name), in: images) else {
      return (plain, "no image of this name")
    }
    if ImageFormat(path: path) == .png {
      let picture = try PNGImage(contentsOf: path).pixels()
      guard (picture.height, picture.width) == (slice.height, slice.width) else {
        return (plain, "the image has another size")
      }
      let scale = 255 / Float((1 << picture.bitDepth) - 1)
      return (picture.values.map { $0 * scale }, "")
    }
    let volume = try ScanFile.read(path).volume
    let index = item.volume ?? 0
    guard (0..<volume.volumeCount).contains(index) else {
      return (plain, "the image has fewer volumes")
    }
    let whole = volume.volume(at: index)
    let own = whole.slices(in: plane)
    guard position < own.count,
      (own[position].height, own[position].width) == (slice.height, slice.width)
    else { return (plain, "the image has another size") }
    let statistics = OrderStatistics(of: whole.voxels)
    guard let low = statistics.percentile(0.5), let high = statistics.percentile(99.5), low < high
    else { return (plain, "the image is constant") }
    return (
      own[position].pixels.map { ($0 - Float(low)) / Float(high - low) * 255 }, ""
    )
  }

  /// The image of a case: `NAME`, or the first channel of the nnU-Net layout, `NAME_0000`.
  private static func image(named name: String, in folder: String) -> String? {
    for stem in [name, name + "_0000"] {
      for ending in [".nii.gz", ".nii", ".png"] {
        let path = "\(folder)/\(stem)\(ending)"
        if FileManager.default.fileExists(atPath: path) { return path }
      }
    }
    return nil
  }
}
