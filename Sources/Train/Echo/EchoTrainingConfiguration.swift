import Foundation
import Imaging
public import Models
import Yams

/// Everything that a training run of ``GDKVM`` on clips depends on.
///
/// Keys in files are the property names in snake case; absent keys take the defaults given here. The
/// optimiser is AdamW with a cosine schedule that ends at a hundredth of the peak.
public struct EchoTrainingConfiguration: Codable, Sendable, Equatable {
  /// The bundle's name.
  public var name = "echo-gdkvm"
  /// The network's hyperparameters.
  ///
  /// One object, the left ventricle. Several objects need names (`structures`), which give them
  /// identities; without, only a first mask tells them apart.
  public var network = GDKVMConfiguration.light
  /// A weights file to start from, in files relative to the configuration; empty for random weights.
  ///
  /// It may lack the identities of structures, which then start at random.
  public var initialWeights = ""
  /// Rows and columns of a frame, multiples of 16.
  public var size = [112, 112]
  /// Frames of a training clip.
  public var frames = 6
  /// Clips of a step.
  public var batch = 2
  /// Simulated hearts to learn from.
  public var hearts = 160
  /// Simulated hearts, others, to validate with; at most 900.
  public var validationHearts = 16
  /// Frames of each heart's cycle.
  public var cycleFrames = 20
  /// The part of the steps that is given the true mask of the first frame.
  public var firstMaskPart = 0.5
  /// The part of the frames in which an acoustic shadow hides some of the ventricle.
  public var shadowedPart = 0.0
  /// Between which the half width of a shadow is drawn, radians.
  public var shadowWidth = [0.12, 0.26]
  /// Points per frame at which the loss is formed.
  public var points = 2048
  /// Weight of the auxiliary losses; 0 for none.
  public var auxiliaryWeight = 0.01
  /// Whether every frame is compared with its true mask; false for the first and the last one alone, as
  /// the authors have it.
  public var supervisesAllFrames = true
  /// Steps in all.
  public var iterations = 1500
  /// Steps between two validations.
  public var validateEvery = 250
  /// The peak learning rate of AdamW.
  public var learningRate = 1e-3
  /// Decay of weights.
  public var weightDecay = 1e-3
  /// Largest Euclidean norm of the gradients of all decayed weights together, and of those of the gates.
  public var clip = 3.0
  /// Steps of linear warm-up before the cosine.
  public var warmup = 50
  /// Seeds weights, hearts and draws.
  public var seed: UInt64 = 0

  /// The most hearts to learn from.
  static let mostHearts = 1_000_000
  /// The most hearts to validate with: from the thousandth on they are learnt from.
  static let mostValidationHearts = 900

  /// The defaults.
  public init() {}

  /// How shadows are drawn.
  var shadows: EchoShadows {
    EchoShadows(part: shadowedPart, widths: shadowWidth[0]...shadowWidth[1])
  }

  /// Reads a JSON or YAML file.
  ///
  /// - Throws: ``TrainingError`` naming the file or the key.
  public init(contentsOf path: String) throws {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw TrainingError.unreadableConfiguration(
        file: path, reason: "the file cannot be read as UTF-8 text")
    }
    let parsed: Any?
    do { parsed = try Yams.load(yaml: text) } catch {
      throw TrainingError.unreadableConfiguration(file: path, reason: "\(error)")
    }
    guard let values = parsed as? [String: Any] else {
      throw TrainingError.unreadableConfiguration(
        file: path, reason: "it is not a mapping of keys to values")
    }
    try ConfigurationValues.requireJSON(values)
    do {
      self = try Self.decoded(values)
    } catch let error as TrainingError {
      throw error
    } catch let error as DecodingError {
      var reason = "the value has the wrong type"
      if case .dataCorrupted(let context) = error { reason = context.debugDescription }
      var key = TrainingConfiguration.path(of: error)
      // The decoder does not say which number it could not hold.
      if key.isEmpty, let found = Self.culprit(in: values) {
        (key, reason) = (found, "a whole number, not below 0, is expected")
      }
      throw key.isEmpty
        ? TrainingError.unreadableConfiguration(file: path, reason: reason)
        : TrainingError.invalidValue(key: key, reason: reason)
    }
    try validate()
    if !initialWeights.isEmpty {
      let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
      initialWeights =
        URL(fileURLWithPath: initialWeights, relativeTo: folder).standardizedFileURL.path
    }
  }

  private static func decoded(_ values: [String: Any]) throws -> Self {
    try JSONDecoder().decode(Self.self, from: JSONSerialization.data(withJSONObject: values))
  }

  /// The key of a value that the decoder does not take.
  private static func culprit(in values: [String: Any]) -> String? {
    let object = try? JSONSerialization.jsonObject(with: Data(Self().json().utf8))
    return ConfigurationValues.culprit(in: values, defaults: object as? [String: Any] ?? [:]) {
      (try? decoded($0)) != nil
    }
  }

  /// Checks all values.
  ///
  /// - Throws: ``TrainingError/invalidValue(key:reason:)`` for the first that does not fit.
  public func validate() throws {
    func require(_ condition: Bool, _ key: String, _ reason: String) throws(TrainingError) {
      if !condition { throw .invalidValue(key: key, reason: reason) }
    }
    do { try network.validate() } catch {
      throw TrainingError.invalidValue(key: "network", reason: "\(error)")
    }
    try require(
      network.inChannels == 1, "network.in_channels", "is \(network.inChannels), but clips are grey"
    )
    try require(network.objects <= 3, "network.objects", "at most 3 structures are simulated")
    let names = HeartLabel.structures.prefix(network.objects).map(\.name)
    try require(
      network.structures.isEmpty || network.structures == names, "network.structures",
      "are neither none nor \(names.joined(separator: ", "))")
    try require(
      size.count == 2
        && size.allSatisfy { (1...4096).contains($0) && $0 % GDKVM.sizeStep == 0 }, "size",
      "is not two multiples of \(GDKVM.sizeStep) up to 4096")
    try require(
      frames >= 2 && frames <= cycleFrames, "frames", "is not in 2...cycle_frames (\(cycleFrames))")
    for (key, value) in [("iterations", iterations), ("validate_every", validateEvery)] {
      try require(value >= 1, key, "is not positive")
    }
    for (key, value, most) in [
      ("batch", batch, 1024), ("hearts", hearts, Self.mostHearts),
      ("validation_hearts", validationHearts, Self.mostValidationHearts),
      ("points", points, 1_000_000),
      ("cycle_frames", cycleFrames, 10_000),
    ] {
      try require((1...most).contains(value), key, "\(value) is not in 1...\(most)")
    }
    // Batch norm needs two values of each channel; features are four levels below full resolution.
    let places = (size[0] / GDKVM.sizeStep) * (size[1] / GDKVM.sizeStep)
    try require(
      batch * places >= 2, "size", "leaves one place for features; batches of 1 need two or more")
    try require(
      learningRate > 0 && learningRate.isFinite, "learning_rate", "is not positive")
    try require(weightDecay >= 0, "weight_decay", "is negative")
    try require(clip >= 0, "clip", "is negative")
    try require(warmup >= 0, "warmup", "is negative")
    // The loss is computed in single precision.
    try require(
      auxiliaryWeight >= 0 && Float(auxiliaryWeight).isFinite, "auxiliary_weight",
      "is negative, or beyond single precision")
    try require((0...1).contains(firstMaskPart), "first_mask_part", "is not in 0...1")
    try require((0...1).contains(shadowedPart), "shadowed_part", "is not in 0...1")
    try require(
      shadowWidth.count == 2 && 0 < shadowWidth[0] && shadowWidth[0] <= shadowWidth[1]
        && shadowWidth[1] <= 2, "shadow_width", "is not two ascending numbers above 0, up to 2")
  }

  /// The course of a run.
  var plan: TrainingPlan {
    var schedule = TrainingConfiguration.ScheduleSection()
    schedule.warmup = warmup
    schedule.minimum = 0.01 * learningRate
    return TrainingPlan(
      steps: iterations, samples: batch, logEvery: 10, validateEvery: validateEvery,
      checkpoint: TrainingConfiguration.CheckpointSection(),
      schedule: LearningRateSchedule(schedule, peak: learningRate, iterations: iterations), ema: 0,
      seed: seed)
  }

  /// The full configuration as JSON, keys sorted, with a trailing newline.
  public func json() -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("configuration: plain values that do not encode")
    }
    return String(decoding: data, as: UTF8.self) + "\n"
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case name, network, size, frames, batch, hearts, points, iterations, clip, warmup, seed
    case validationHearts = "validation_hearts"
    case cycleFrames = "cycle_frames"
    case initialWeights = "initial_weights"
    case firstMaskPart = "first_mask_part"
    case shadowedPart = "shadowed_part"
    case shadowWidth = "shadow_width"
    case auxiliaryWeight = "auxiliary_weight"
    case supervisesAllFrames = "supervises_all_frames"
    case validateEvery = "validate_every"
    case learningRate = "learning_rate"
    case weightDecay = "weight_decay"
  }

  /// Reads the values that are present.
  public init(from decoder: any Decoder) throws {
    let known = CodingKeys.allCases.map(\.stringValue)
    for key in try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue).sorted()
    where !known.contains(key) {
      throw TrainingError.unknownKey(
        key: key, suggestion: nearestName(to: key, among: known))
    }
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func read<Value: Decodable>(_ key: CodingKeys, _ value: inout Value) throws {
      value = try container.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    try read(.name, &name)
    try read(.network, &network)
    try read(.initialWeights, &initialWeights)
    try read(.size, &size)
    try read(.frames, &frames)
    try read(.batch, &batch)
    try read(.hearts, &hearts)
    try read(.validationHearts, &validationHearts)
    try read(.cycleFrames, &cycleFrames)
    try read(.firstMaskPart, &firstMaskPart)
    try read(.shadowedPart, &shadowedPart)
    try read(.shadowWidth, &shadowWidth)
    try read(.points, &points)
    try read(.auxiliaryWeight, &auxiliaryWeight)
    try read(.supervisesAllFrames, &supervisesAllFrames)
    try read(.iterations, &iterations)
    try read(.validateEvery, &validateEvery)
    try read(.learningRate, &learningRate)
    try read(.weightDecay, &weightDecay)
    try read(.clip, &clip)
    try read(.warmup, &warmup)
    try read(.seed, &seed)
  }
}
