import Foundation
import Layers
public import Models
import Randomness
import TensorCore

/// A folder with a trained network: `model.json`, `weights.safetensors`, `README.md`, `LICENSE`; or the same in a
/// zip file.
public struct ModelBundle: Sendable {
  /// The folder or the zip file.
  public let path: String
  /// What `model.json` says.
  public let card: ModelCard

  /// What the zip file holds, nil for a folder.
  private let archive: ZippedBundle?

  /// The weights file's path; in a zip file the name that messages have for it.
  public var weightsPath: String { path + "/weights.safetensors" }

  /// Reads the card of a bundle; the weights are not touched.
  ///
  /// - Parameter path: The folder, or a zip file, which is read as a whole.
  /// - Throws: ``InferenceError/bundleNotFound(name:searched:)`` or
  ///   ``InferenceError/bundleInvalid(bundle:reason:)``.
  public init(path: String) throws(InferenceError) {
    let file = path + "/model.json"
    archive = Self.isZipFile(path) ? try ZippedBundle(contentsOf: path) : nil
    guard let data = archive?.card ?? FileManager.default.contents(atPath: file) else {
      throw .bundleNotFound(name: path, searched: [file])
    }
    do { card = try JSONDecoder().decode(ModelCard.self, from: data) } catch {
      throw .bundleInvalid(bundle: path, reason: "model.json: \(Self.text(error))")
    }
    guard card.schema == ModelCard.currentSchema else {
      throw .bundleInvalid(
        bundle: path,
        reason: "schema `\(card.schema)`, this version reads `\(ModelCard.currentSchema)`")
    }
    self.path = path
  }

  /// Finds a bundle by its path or its name.
  ///
  /// - Parameters:
  ///   - name: A path with a slash or an existing folder, or a name to look up in ``searchFolders``.
  ///   - folders: Where to look.
  /// - Returns: The bundle, its weights unchecked.
  /// - Throws: ``InferenceError/bundleNotFound(name:searched:)`` or
  ///   ``InferenceError/bundleInvalid(bundle:reason:)``.
  public static func find(
    _ name: String, in folders: [String] = searchFolders
  ) throws(InferenceError) -> ModelBundle {
    let candidates = name.contains("/") ? [name] : [name] + folders.map { $0 + "/" + name }
    for candidate in candidates where isBundle(candidate) {
      return try ModelBundle(path: candidate)
    }
    throw .bundleNotFound(name: name, searched: candidates)
  }

  /// Whether a path is that of a bundle: a folder with a card, or a zip file.
  ///
  /// - Parameter path: A path.
  /// - Returns: True also for a zip file that turns out to hold something else.
  public static func isBundle(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: path + "/model.json") || isZipFile(path)
  }

  private static func isZipFile(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return path.lowercased().hasSuffix(ZippedBundle.ending)
      && FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
  }

  /// Where bundles are looked up by name, in this order: `$RESTORE_MODELS`, the folder installed
  /// beside the program, `./data/models`.
  public static var searchFolders: [String] {
    var folders: [String] = []
    if let variable = ProcessInfo.processInfo.environment["RESTORE_MODELS"], !variable.isEmpty {
      folders.append(variable)
    }
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let installed = program.deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("share/restore/models").path
    return folders + [installed, "data/models"]
  }

  /// All readable bundles in the search folders, the first of each name.
  ///
  /// - Parameter folders: Where to look.
  /// - Returns: Sorted by name.
  public static func installed(in folders: [String] = searchFolders) -> [ModelBundle] {
    var found: [String: ModelBundle] = [:]
    for folder in folders {
      for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
      where found[name] == nil {
        if let bundle = try? ModelBundle(path: folder + "/" + name) { found[name] = bundle }
      }
    }
    return found.values.sorted { $0.card.name < $1.card.name }
  }

  /// Checks the weights file against the card's checksum.
  ///
  /// - Throws: ``InferenceError/bundleInvalid(bundle:reason:)``.
  public func verify() throws(InferenceError) {
    let digest: String
    if let archive {
      var hash = SHA256()
      hash.update(archive.weights)
      digest = hash.hexadecimal()
    } else {
      do { digest = try SHA256.hexadecimal(ofFile: weightsPath) } catch {
        throw .bundleInvalid(bundle: path, reason: "weights.safetensors cannot be read")
      }
    }
    guard digest == card.weightsSHA256 else {
      throw .bundleInvalid(
        bundle: path,
        reason: "weights.safetensors has SHA-256 \(digest), model.json says \(card.weightsSHA256)")
    }
  }

  /// Builds the network with the bundle's weights, ready for inference.
  ///
  /// - Returns: A network that does not record gradients.
  /// - Throws: ``InferenceError/bundleInvalid(bundle:reason:)`` if the checksum, a tensor's name, a shape, or a
  ///   number of the card that follows from the network is wrong.
  public func loadModel() throws(InferenceError) -> any RestorationModel {
    try verify()
    do {
      let weights =
        try archive.map { try Safetensors($0.weights, path: weightsPath) }
        ?? Safetensors(contentsOf: weightsPath)
      // Before a small card makes a large network: buffers that follow from weights need not be stored.
      let (stored, needed) = (
        weights.entries.reduce(0) { $0 + $1.shape.count }, try card.network.parameterCount()
      )
      guard needed <= 4 * stored + 1_000_000 else {
        throw InferenceError.bundleInvalid(
          bundle: path,
          reason:
            "the network of model.json has \(needed) parameters, weights.safetensors \(stored)")
      }
      var generator = SeededGenerator(seed: 0)
      let model = try card.network.makeModel(using: &generator)
      if let channels = card.inputs["image"]?.numChannels, channels != model.inChannels {
        throw InferenceError.bundleInvalid(
          bundle: path,
          reason: "model.json: inputs.image has \(channels) channels, the network takes "
            + "\(model.inChannels)")
      }
      guard card.sizeMultiple == model.sizeMultiple else {
        throw InferenceError.bundleInvalid(
          bundle: path,
          reason: "model.json: size_multiple is \(card.sizeMultiple), the network's is "
            + "\(model.sizeMultiple)")
      }
      model.setTraining(false)
      model.setRequiresGradient(false)
      try model.load(weights)
      return model
    } catch let error as InferenceError {
      throw error
    } catch {
      throw .bundleInvalid(bundle: path, reason: Self.text(error))
    }
  }

  private static func text(_ error: any Error) -> String {
    (error as? DecodingError)?.reason ?? "\(error)"
  }
}
