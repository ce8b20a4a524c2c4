import Foundation
import Imaging
public import Models
import Yams

/// Everything that a training run of ``StrokeSystem`` depends on.
///
/// Files are JSON or YAML; absent keys take the defaults given here, unknown ones are errors.
public struct StrokeTrainingConfiguration: Codable, Sendable, Equatable {
  /// The bundle's name.
  public var name = "stroke-2.5d"
  /// The networks.
  public var system = StrokeSystemConfiguration.small
  /// The brains.
  public var data = DataSection()
  /// The first stage; its numbers count for each path.
  public var paths = StageSection()
  /// The second stage.
  public var combiner = StageSection()
  /// Seeds weights, lesions and draws.
  public var seed: UInt64 = 0

  /// The most cases of one scan, and the most phantoms: all are listed when a run begins.
  private static let mostCases = 100_000

  private enum CodingKeys: String, CodingKey {
    case name, system, data, paths, combiner, seed
  }

  /// The defaults.
  public init() {
    combiner.batch = 1
    combiner.patch = 0
    combiner.iterations = 40
  }

  /// A scan without lesions of interest, or whose lesions have a mask.
  public struct Brain: Codable, Sendable, Equatable {
    /// The person; one person is on one side of a split only.
    public var subject: String
    /// T1 and, for two channels, FLAIR; without the skull, on one grid.
    public var images: [String]
    /// A mask of lesions that are in the scan; they belong to the truth too.
    public var lesions: String?
    /// What the brain is for: `paths`, `combiner` or both, or `test`.
    public var parts: [String]

    /// A scan.
    public init(subject: String, images: [String], lesions: String? = nil, parts: [String]) {
      self.subject = subject
      self.images = images
      self.lesions = lesions
      self.parts = parts
    }
  }

  /// Where brains come from.
  public struct DataSection: Codable, Sendable, Equatable {
    /// A folder of brains with masks in a layout that ``Imaging`` knows; empty for none.
    public var folder = ""
    /// The part of the folder's subjects that the first stage never sees and the second learns from.
    public var combinerShare = 0.3
    /// The part of the folder's subjects that neither stage sees.
    public var testShare = 0.2
    /// Scans that lesions are grown into.
    public var brains: [Brain] = []
    /// Brains with other lesions that are made of each scan for each part that it serves.
    public var casesPerBrain = 4
    /// Phantom brains with lesions for the first stage, and as many others for the second.
    public var phantoms = 0
    /// Maps of grey and white matter that phantoms are made of; without them formulas.
    public var tissueMaps: [String] = []
    /// The least and the greatest number of lesions.
    public var lesionCounts = [1, 3]
    /// The least and the greatest volume of a lesion, ml.
    public var lesionVolumes = [0.3, 30]
    /// Cases in memory at once.
    public var cachedCases = 16
    /// Steps after which others take their place, if there are more.
    public var refreshEvery = 200

    private enum CodingKeys: String, CodingKey {
      case folder, brains, phantoms
      case combinerShare = "combiner_share"
      case testShare = "test_share"
      case casesPerBrain = "cases_per_brain"
      case tissueMaps = "tissue_maps"
      case lesionCounts = "lesion_counts"
      case lesionVolumes = "lesion_volumes"
      case cachedCases = "cached_cases"
      case refreshEvery = "refresh_every"
    }
  }

  /// One of the two stages.
  public struct StageSection: Codable, Sendable, Equatable {
    /// Steps.
    public var iterations = 300
    /// Slices, or volumes of the second stage, of a step.
    public var batch = 16
    /// Rows and columns of the part of a slice (edges of the part of a volume) that a step sees; 0 for
    /// all of it.
    public var patch = 96
    /// The part of the steps, from the first, that draw slices with lesion alone.
    public var lesionPart = 0.5
    /// Whether slices that show both sides are mirrored at random.
    public var mirrors = true
    /// How much contrast and brightness of a slice vary, in standard deviations.
    public var jitter = 0.1
    /// `adamw`, or `sgd` with Nesterov's momentum.
    public var optimizer = "adamw"
    /// The peak learning rate.
    public var learningRate = 2e-3
    /// Decay of weights.
    public var weightDecay = 1e-4
    /// `cosine`, or `published`: a fiftieth of the steps is an epoch, and the rate falls by 0.91 after
    /// each but the first.
    public var schedule = "cosine"
    /// Steps of linear warm-up.
    public var warmup = 10

    private enum CodingKeys: String, CodingKey {
      case iterations, batch, patch, mirrors, jitter, optimizer, schedule, warmup
      case lesionPart = "lesion_part"
      case learningRate = "learning_rate"
      case weightDecay = "weight_decay"
    }

    /// The rate of a step, counted from 0.
    package func rate(at step: Int) -> Double {
      if schedule == "published" && step >= warmup {
        let epoch = 50 * step / max(1, iterations)
        return learningRate * pow(0.91, Double(max(0, epoch - 1)))
      }
      var section = TrainingConfiguration.ScheduleSection()
      section.name = "cosine"
      section.warmup = warmup
      section.minimum = 0.01 * learningRate
      return LearningRateSchedule(section, peak: learningRate, iterations: iterations).rate(
        at: step)
    }

    /// What moves the weights.
    var optimizerSection: TrainingConfiguration.OptimizerSection {
      var section = TrainingConfiguration.OptimizerSection()
      section.name = optimizer
      section.weightDecay = weightDecay
      section.momentum = 0.9
      section.clip = 0
      return section
    }
  }
}

extension StrokeTrainingConfiguration {
  /// Reads a configuration; paths in it are relative to its folder.
  ///
  /// - Parameter path: A `.json`, `.yaml` or `.yml` file.
  /// - Throws: ``TrainingError`` naming the file or key.
  public init(contentsOf path: String) throws(TrainingError) {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw .unreadableConfiguration(file: path, reason: "the file cannot be read as UTF-8 text")
    }
    try self.init(text: text, file: path)
    resolvePaths(relativeTo: path)
  }

  /// Parses a configuration from its text.
  ///
  /// - Parameters:
  ///   - text: JSON or YAML.
  ///   - file: The name for messages.
  /// - Throws: ``TrainingError`` naming the file or key.
  public init(text: String, file: String) throws(TrainingError) {
    let parsed: Any?
    do { parsed = try Yams.load(yaml: text) } catch {
      throw .unreadableConfiguration(file: file, reason: "\(error)")
    }
    guard let given = parsed as? [String: Any],
      let defaults = try? JSONSerialization.jsonObject(
        with: Data(StrokeTrainingConfiguration().json().utf8)) as? [String: Any]
    else {
      throw .unreadableConfiguration(file: file, reason: "it is not a mapping of keys to values")
    }
    try ConfigurationValues.requireJSON(given)
    let merged = try TrainingConfiguration.merge(given, onto: defaults, path: "")
    try Self.requireKnownKeys(ofBrainsIn: given)
    func decoded(_ values: [String: Any]) throws -> Self {
      try JSONDecoder().decode(Self.self, from: JSONSerialization.data(withJSONObject: values))
    }
    do {
      self = try decoded(merged)
    } catch let error as DecodingError {
      var (key, reason) = (TrainingConfiguration.path(of: error), "the value has the wrong type")
      // The decoder does not say which number it could not hold.
      if key.isEmpty {
        let found = ConfigurationValues.culprit(in: given, defaults: defaults) { keys in
          guard
            let values = try? TrainingConfiguration.merge(keys, onto: defaults, path: "")
          else { return false }
          return (try? decoded(values)) != nil
        }
        if let found { (key, reason) = (found, "a whole number, not below 0, is expected") }
      }
      throw .invalidValue(key: key, reason: reason)
    } catch {
      throw .unreadableConfiguration(file: file, reason: "\(error)")
    }
    try validate()
  }

  /// Refuses keys of brains that none has: a misspelt `lesions` would be no lesions.
  private static func requireKnownKeys(
    ofBrainsIn given: [String: Any]
  ) throws(TrainingError) {
    let known = ["subject", "images", "lesions", "parts"]
    let brains = (given["data"] as? [String: Any])?["brains"] as? [Any]
    for (index, brain) in (brains ?? []).enumerated() {
      for key in (brain as? [String: Any] ?? [:]).keys.sorted() where !known.contains(key) {
        throw .unknownKey(
          key: "data.brains.\(index).\(key)", suggestion: nearestName(to: key, among: known))
      }
    }
  }

  /// The full configuration as JSON, keys sorted, with a trailing newline.
  public func json() -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("configuration: plain values that do not encode")
    }
    return String(decoding: data, as: UTF8.self) + "\n"
  }

  private mutating func resolvePaths(relativeTo file: String) {
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent()
    func resolved(_ path: String) -> String {
      path.isEmpty
        ? path : URL(fileURLWithPath: path, relativeTo: folder).standardizedFileURL.path
    }
    data.folder = resolved(data.folder)
    data.tissueMaps = data.tissueMaps.map(resolved)
    for index in data.brains.indices {
      data.brains[index].images = data.brains[index].images.map(resolved)
      data.brains[index].lesions = data.brains[index].lesions.map(resolved)
    }
  }

  /// Checks names, sizes and the separation of subjects.
  ///
  /// - Throws: ``TrainingError/invalidValue(key:reason:)`` for the first value that cannot be.
  public func validate() throws(TrainingError) {
    func require(_ holds: Bool, _ key: String, _ reason: String) throws(TrainingError) {
      if !holds { throw .invalidValue(key: key, reason: reason) }
    }
    do { try system.validate() } catch {
      throw .invalidValue(key: "system", reason: "\(error)")
    }
    let channels = system.secondChannel == .modality ? 2 : 1
    for brain in data.brains {
      try require(
        brain.images.count >= channels, "data.brains",
        "\(brain.subject): \(brain.images.count) images, the networks take \(channels)")
      let parts = Set(brain.parts)
      try require(
        !parts.isEmpty && parts.isSubset(of: ["paths", "combiner", "test"]), "data.brains",
        "\(brain.subject): parts are paths, combiner, test")
      let others = data.brains.filter { $0.subject == brain.subject }.flatMap(\.parts)
      try require(
        !others.contains("test") || Set(others) == ["test"], "data.brains",
        "\(brain.subject) would be tested on what it was trained on")
    }
    try require(
      data.combinerShare >= 0 && data.testShare >= 0 && data.combinerShare + data.testShare < 1,
      "data.combiner_share", "and test_share leave nobody to the paths, or are negative")
    try require(
      [0, 2].contains(data.tissueMaps.count), "data.tissue_maps",
      "are not two: grey and white matter")
    try require(
      data.lesionCounts.count == 2 && data.lesionCounts[0] >= 0
        && data.lesionCounts[0] <= data.lesionCounts[1]
        && data.lesionCounts[1] <= LesionSimulator.largestCount, "data.lesion_counts",
      "expected two ascending numbers up to \(LesionSimulator.largestCount)")
    try require(
      data.lesionVolumes.count == 2 && data.lesionVolumes[0] > 0
        && data.lesionVolumes[0] <= data.lesionVolumes[1]
        && data.lesionVolumes[1] <= LesionSimulator.largestVolume, "data.lesion_volumes",
      "expected two ascending numbers above 0 and up to \(LesionSimulator.largestVolume)")
    for (key, value) in [
      ("cached_cases", data.cachedCases), ("refresh_every", data.refreshEvery),
    ] {
      try require(value >= 1, "data.\(key)", "is not at least 1")
    }
    for (key, value, range) in [
      ("cases_per_brain", data.casesPerBrain, 1...Self.mostCases),
      ("phantoms", data.phantoms, 0...Self.mostCases),
    ] {
      try require(
        range.contains(value), "data.\(key)",
        "\(value) is not in \(range.lowerBound)...\(range.upperBound)")
    }
    for (key, stage) in [("paths", paths), ("combiner", combiner)] {
      try require(stage.iterations >= 0, "\(key).iterations", "is negative")
      try require(
        (1...1024).contains(stage.batch), "\(key).batch", "\(stage.batch) is not in 1...1024")
      try require(
        stage.patch >= 0 && stage.patch % StrokeSystem.sizeStep == 0, "\(key).patch",
        "is not a multiple of \(StrokeSystem.sizeStep)")
      try require((0...1).contains(stage.lesionPart), "\(key).lesion_part", "is not in 0...1")
      try require(
        ["adamw", "sgd"].contains(stage.optimizer), "\(key).optimizer", "is neither adamw nor sgd")
      try require(
        ["cosine", "published"].contains(stage.schedule), "\(key).schedule",
        "is neither cosine nor published")
      try require(stage.learningRate > 0, "\(key).learning_rate", "is not positive")
      try require(stage.weightDecay >= 0, "\(key).weight_decay", "is negative")
      try require(stage.warmup >= 0, "\(key).warmup", "is negative")
      try require(stage.jitter >= 0, "\(key).jitter", "is negative")
    }
  }
}
