import Foundation
import Models
import Yams

/// Reads and writes configurations as JSON or YAML (JSON is read as the YAML that it is).
extension TrainingConfiguration {
  /// Reads a configuration: absent keys take the defaults, unknown keys are errors.
  ///
  /// - Parameter path: A `.json`, `.yaml` or `.yml` file.
  /// - Throws: ``TrainingError`` naming the file or key.
  public init(contentsOf path: String) throws(TrainingError) {
    let text: String
    do { text = try String(contentsOfFile: path, encoding: .utf8) } catch {
      throw .unreadableConfiguration(file: path, reason: "the file cannot be read as UTF-8 text")
    }
    try self.init(text: text, file: path)
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
    guard let given = parsed as? [String: Any] else {
      throw .unreadableConfiguration(file: file, reason: "it is not a mapping of keys to values")
    }
    try self.init(given, file: file)
  }

  /// A configuration of what a file says.
  private init(_ given: [String: Any], file: String) throws(TrainingError) {
    try ConfigurationValues.requireJSON(given)
    let merged = try Self.completed(given)
    do {
      self = try Self.decoded(merged)
    } catch let error as DecodingError {
      var reason = "the value has the wrong type"
      var key = Self.path(of: error)
      if case .dataCorrupted(let context) = error { reason = context.debugDescription }
      // The decoder does not say which number it could not hold.
      if key.isEmpty, let found = Self.culprit(in: given) {
        (key, reason) = (found, "a whole number, not below 0, is expected")
      }
      throw .invalidValue(key: key, reason: reason)
    } catch {
      throw .unreadableConfiguration(file: file, reason: "\(error)")
    }
  }

  /// What a file says, completed by the defaults, and its tasks by the data section.
  private static func completed(_ given: [String: Any]) throws(TrainingError) -> [String: Any] {
    var sections = given
    let tasks = sections.removeValue(forKey: "tasks")
    // Which keys there are depends on the network.
    let hyperparameters = removeHyperparameters(&sections)
    var merged = try merge(sections, onto: dictionary(TrainingConfiguration()), path: "")
    if let hyperparameters, var model = merged["model"] as? [String: Any] {
      model["hyperparameters"] = hyperparameters
      merged["model"] = model
    }
    if let tasks { merged["tasks"] = try Self.tasks(tasks, onto: merged["data"]) }
    return merged
  }

  /// Makes the paths in a configuration usable from the working directory.
  ///
  /// - Parameter file: The configuration's own path; relative paths are relative to its folder.
  public mutating func resolvePaths(relativeTo file: String) {
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent()
    func resolved(_ path: String) -> String {
      path.isEmpty
        ? path : URL(fileURLWithPath: path, relativeTo: folder).standardizedFileURL.path
    }
    func resolve(_ section: inout DataSection) {
      section.split = resolved(section.split)
      section.tissueMaps = section.tissueMaps.map(resolved)
      // Without a slash it is the name of an installed bundle.
      if section.teacher.contains("/") { section.teacher = resolved(section.teacher) }
    }
    resolve(&data)
    for index in tasks.indices { resolve(&tasks[index]) }
    model.initialWeights.files = model.initialWeights.files.map(resolved)
  }

  /// Makes a training start from weights that are not those the file names.
  ///
  /// - Parameter files: Paths, relative to the working folder; several start from their mean.
  public mutating func startFrom(_ files: [String]) {
    model.initialWeights.files = files.map {
      URL(fileURLWithPath: $0).standardizedFileURL.path
    }
  }

  /// The full configuration as JSON, keys sorted, with a trailing newline.
  public func json() -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(self) else {
      preconditionFailure("configuration: plain values that do not encode")
    }
    return String(decoding: data, as: UTF8.self) + "\n"
  }

  private static func dictionary(_ configuration: TrainingConfiguration) -> [String: Any] {
    let object = try? JSONSerialization.jsonObject(with: Data(configuration.json().utf8))
    guard let dictionary = object as? [String: Any] else {
      preconditionFailure("configuration: defaults that are not an object")
    }
    return dictionary
  }

  private static func decoded(_ dictionary: [String: Any]) throws -> TrainingConfiguration {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Self.self, from: JSONSerialization.data(withJSONObject: dictionary))
  }

  /// The key of a value that the decoder does not take.
  private static func culprit(in given: [String: Any]) -> String? {
    func isReadable(_ keys: [String: Any]) -> Bool {
      guard let merged = try? completed(keys) else { return false }
      return (try? decoded(merged)) != nil
    }
    let defaults = dictionary(TrainingConfiguration())
    let sections = given.filter { $0.key != "tasks" }
    if let found = ConfigurationValues.culprit(
      in: sections, defaults: defaults, isReadable: isReadable)
    {
      return found
    }
    guard let tasks = given["tasks"] as? [[String: Any]],
      let usual = defaults["data"] as? [String: Any]
    else { return nil }
    for (index, task) in tasks.enumerated() {
      let found = ConfigurationValues.culprit(in: task, defaults: usual) {
        isReadable(["tasks": [$0]])
      }
      if let found { return "tasks.\(index).\(found)" }
    }
    return nil
  }

  private static func removeHyperparameters(_ sections: inout [String: Any]) -> Any? {
    guard var model = sections["model"] as? [String: Any] else { return nil }
    defer { sections["model"] = model }
    return model.removeValue(forKey: "hyperparameters")
  }

  /// The list of tasks, each completed by the data section.
  private static func tasks(
    _ given: Any, onto section: Any?
  ) throws(TrainingError) -> [[String: Any]] {
    guard let list = given as? [[String: Any]], let section = section as? [String: Any] else {
      throw .invalidValue(key: "tasks", reason: "is not a list of data sections")
    }
    var result: [[String: Any]] = []
    for (index, task) in list.enumerated() {
      result.append(try merge(task, onto: section, path: "tasks.\(index)."))
    }
    return result
  }

  static func merge(
    _ given: [String: Any], onto defaults: [String: Any], path: String
  ) throws(TrainingError) -> [String: Any] {
    var merged = defaults
    for (key, value) in given {
      guard let known = defaults[key] else {
        throw .unknownKey(
          key: path + key, suggestion: nearestName(to: key, among: defaults.keys))
      }
      if let section = known as? [String: Any] {
        guard let values = value as? [String: Any] else {
          throw .invalidValue(key: path + key, reason: "is a section, not a value")
        }
        merged[key] = try merge(values, onto: section, path: path + key + ".")
      } else {
        merged[key] = value
      }
    }
    return merged
  }

  static func path(of error: DecodingError) -> String {
    let context: DecodingError.Context
    switch error {
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found),
      .dataCorrupted(let found):
      context = found
    @unknown default: return "configuration"
    }
    // The decoder's own keys are in camel case.
    return context.codingPath.map { key in
      key.intValue.map(String.init)
        ?? key.stringValue.reduce(into: "") { text, letter in
          text += letter.isUppercase ? "_" + letter.lowercased() : String(letter)
        }
    }.joined(separator: ".")
  }
}
