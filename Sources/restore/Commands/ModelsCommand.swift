import ArgumentParser
import Foundation
import Imaging
import Inference
import Models

/// `restore models`: the model bundles on this machine.
///
/// Nothing is downloaded.
struct ModelsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "models",
    abstract: "List, show and verify model bundles; no network access.",
    subcommands: [List.self, Show.self, Verify.self])

  /// `restore models list`.
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the bundles in $RESTORE_MODELS, beside the program and in ./data/models.")

    @OptionGroup(title: "General") var common: CommonOptions

    func run() throws {
      common.apply()
      let folders = ModelBundle.searchFolders
      let bundles = ModelBundle.installed(in: folders)
      if common.json {
        return Console.shared.result(
          ListDocument(searched: folders, models: bundles.map(ListDocument.Entry.init)))
      }
      guard !bundles.isEmpty else {
        return Console.shared.info("no models found in \(folders.joined(separator: ", "))")
      }
      var table = TextTable(["NAME", "VERSION", "TASK", "ARCHITECTURE", "FOLDER"])
      for bundle in bundles {
        let entry = ListDocument.Entry(bundle)
        table.append([entry.name, entry.version, entry.task, entry.arch, entry.path])
      }
      Console.shared.result(table.lines(leading: true))
    }
  }

  /// `restore models show`.
  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print the card of a model.")

    @Argument(help: "Model bundle: a name or a path.")
    var name: String

    @OptionGroup(title: "General") var common: CommonOptions

    func run() throws {
      common.apply()
      try ModelBundle.find(name).show()
    }
  }

  /// `restore models verify`.
  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a bundle: its card, the checksum of its weights, every tensor.")

    @Argument(help: "Model bundle: a name or a path.")
    var name: String

    @OptionGroup(title: "General") var common: CommonOptions

    func run() throws {
      common.apply()
      let bundle = try ModelBundle.find(name)
      _ = try bundle.loadModel()
      let document = VerifyDocument(
        name: bundle.card.name, version: bundle.card.version,
        weightsSHA256: bundle.card.weightsSHA256)
      if common.json { return Console.shared.result(document) }
      Console.shared.result(["\(document.name) \(document.version): ok"])
    }
  }
}

private struct ListDocument: Encodable {
  struct Entry: Encodable {
    let name: String
    let version: String
    let task: String
    let arch: String
    let license: String
    let path: String

    init(_ bundle: ModelBundle) {
      name = bundle.card.name
      version = bundle.card.version
      task = bundle.card.task.rawValue
      arch = bundle.card.network.architecture.architecture
      license = bundle.card.license
      path = bundle.path
    }
  }

  let ok = true
  let searched: [String]
  let models: [Entry]
}

private struct VerifyDocument: Encodable {
  let ok = true
  let name: String
  let version: String
  let weightsSHA256: String
}

extension ModelBundle {
  /// Prints the card: for people, or with `--json` as it is.
  func show() {
    if Console.shared.isJSON { return Console.shared.result(card) }
    var lines = ["\(card.name) \(card.version): \(card.task.rawValue)"]
    func add(_ title: String, _ text: String) {
      if !text.isEmpty { lines.append("  \(title): \(text)") }
    }
    add("architecture", card.network.architecture.architecture)
    if let text = try? JSONEncoder.sorted.encode(card.network.configuration) {
      add("hyperparameters", String(decoding: text, as: UTF8.self))
    }
    if let summary = try? card.network.convolutionSummary() { lines.append("  " + summary) }
    for (title, formats) in [("input", card.inputs), ("output", card.outputs)] {
      for (name, format) in formats.sorted(by: { $0.key < $1.key }) {
        let channels = format.channelDef.sorted { $0.key < $1.key }.map(\.value)
        add(
          "\(title) \(name)",
          "\(format.modality), \(format.numChannels) channel"
            + "\(format.numChannels == 1 ? "" : "s") [\(channels.joined(separator: ", "))]")
      }
    }
    if let text = try? JSONEncoder.sorted.encode(card.normalization) {
      add("normalization", String(decoding: text, as: UTF8.self))
    }
    add("plane", card.plane?.rawValue ?? "that of acquisition")
    add("training data", card.trainingData)
    add("intended use", card.intendedUse)
    add("limitations", card.limitations)
    for (name, value) in card.metrics.sorted(by: { $0.key < $1.key }) {
      add("metric \(name)", "\(value)")
    }
    for reference in card.references { add("reference", reference) }
    add("license", card.license)
    add("converted from", card.convertedFrom ?? "")
    add("weights SHA-256", card.weightsSHA256)
    add("folder", path)
    Console.shared.result(lines)
  }
}

extension JSONEncoder {
  /// One line, keys sorted.
  fileprivate static var sorted: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return encoder
  }
}
