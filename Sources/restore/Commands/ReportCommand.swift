import ArgumentParser
import Foundation
import Imaging

/// `restore report`: one HTML page of evaluations and runs.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write one self-contained HTML page about evaluations and training runs.",
    discussion: """
      Each argument is a JSON file of `restore eval`, a folder of such files, or the folder of a run. \
      Several evaluations of images, or of label maps, are compared pair by pair (Wilcoxon \
      signed-rank test).
      """)

  @Argument(help: "Evaluations (JSON files or folders of them) and run folders.")
  var sources: [String]

  @Option(name: .shortAndLong, help: "The HTML file.")
  var output: String

  @Option(
    name: .long,
    help: "Folder of the degraded images, named like the predictions; of label maps, the images.")
  var inputs: String?

  @Option(name: .long, help: "Title of the page.")
  var title = "restore report"

  @Flag(name: .long, help: "Replace the output if it exists.")
  var overwrite = false

  @OptionGroup(title: "General") var common: CommonOptions

  func run() throws {
    common.apply()
    if let inputs { try EvalCommand.requireFolder(inputs) }
    var evaluations: [EvaluationFile] = []
    var runs: [ReportRun] = []
    var files: [String] = []
    var runFiles: [String] = []
    // What lies in a folder may be something else, such as what is told beside restored images.
    var maybeOther = Set<String>()
    for source in sources {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: source, isDirectory: &isFolder) else {
        throw ImagingError.noSuchFile(file: source, reason: nil)
      }
      if !isFolder.boolValue {
        files.append(source)
      } else if FileManager.default.fileExists(atPath: source + "/log.jsonl") {
        runs.append(try ReportRun(contentsOf: source))
        // All that a run wrote must survive the page; it writes no pages itself.
        let names = try? FileManager.default.contentsOfDirectory(atPath: source)
        runFiles += (names ?? []).filter { !$0.hasSuffix(".html") }.map { source + "/" + $0 }
      } else {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: source)) ?? []
        let found = names.filter { $0.hasSuffix(".json") }.sorted().map { source + "/" + $0 }
        guard !found.isEmpty else {
          throw ImagingError.noSuchFile(
            file: source, reason: "it holds neither a log.jsonl nor evaluations (.json)")
        }
        files += found
        maybeOther.formUnion(found)
      }
    }
    var segmentations: [SegmentationFile] = []
    var other: CommandFailure?
    for path in files {
      if let data = FileManager.default.contents(atPath: path), var file = SegmentationFile(data) {
        let url = URL(fileURLWithPath: path)
        file.label = url.deletingPathExtension().lastPathComponent
        file.folder = url.deletingLastPathComponent().path
        segmentations.append(file)
      } else {
        do {
          evaluations.append(try EvaluationFile.read(path))
        } catch let failure as CommandFailure where maybeOther.contains(path) {
          Console.shared.detail("\(path): left out, it is no evaluation")
          other = other ?? failure
        }
      }
    }
    if let other, evaluations.isEmpty, segmentations.isEmpty { throw other }
    EvaluationFile.tellApart(&evaluations)
    SegmentationFile.tellApart(&segmentations)
    let protected =
      files + runFiles + evaluations.flatMap(\.images) + segmentations.flatMap(\.images)
      + OutputPaths.files(in: inputs)
    try AtomicFile.checkOutput(path: output, overwrite: overwrite, inputs: protected)
    let html = self.html(evaluations, segmentations, runs)
    try AtomicFile.write(
      Array(html.utf8), to: output, overwrite: overwrite, inputs: protected)
    SimulationOptions.show([output], isJSON: common.json)
  }

  /// The page about images, about label maps, or about both, one after the other.
  private func html(
    _ evaluations: [EvaluationFile], _ segmentations: [SegmentationFile],
    _ runs: [ReportRun]
  ) -> String {
    var labels = SegmentationPage(title: title, files: segmentations, images: inputs)
    defer { labels.warnings.forEach(Console.shared.warning) }
    if evaluations.isEmpty, runs.isEmpty { return labels.html() }
    var page = ReportPage(title: title, evaluations: evaluations, runs: runs, inputs: inputs)
    let html = page.html()
    for warning in page.warnings + runs.flatMap(\.warnings) { Console.shared.warning(warning) }
    guard !segmentations.isEmpty else { return html }
    return html.replacingOccurrences(of: "</body>", with: labels.body() + "</body>")
  }
}
