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
    var sections = given
    let tasks = sections.removeValue(forKey: "tasks")
    // Which keys there are depends on the network.
    let hyperparameters = Self.removeHyperparameters(&sections)
    var merged = try Self.merge(
      sections, onto: Self.dictionary(TrainingConfiguration()), path: "")
    if let hyperparameters, var model = merged["model"] as? [String: Any] {
      model["hyperparameters"] = hyperparameters
      merged["model"] = model
    }
    if let tasks { merged["tasks"] = try Self.tasks(tasks, onto: merged["data"]) }
    if let key = Self.notFinite(in: merged) {
      throw .invalidValue(key: key, reason: "is not a finite number")
    }
    do {
      self = try Self.decoded(merged)
    } catch let error as DecodingError {
      var reason = "the value has the wrong type"
      var key = Self.path(of: error)
      if case .dataCorrupted(let context) = error { reason = context.debugDescription }
      // The decoder does not say which number it could not hold.
      if key.isEmpty, let found = Self.culprit(in: merged, given: sections) {
        (key, reason) = (found, "a whole number, not below 0, is expected")
      }
      throw .invalidValue(key: key, reason: reason)
    } catch {
      throw .unreadableConfiguration(file: file, reason: "\(error)")
    }
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

  /// The key of a number that JSON cannot hold, which YAML can.
  private static func notFinite(in value: Any, key: String = "") -> String? {
    if let number = value as? Double { return number.isFinite ? nil : key }
    if let list = value as? [Any] {
      return list.enumerated().lazy.compactMap { index, item in
        notFinite(in: item, key: item is [String: Any] ? "\(key).\(index)" : key)
      }.first
    }
    guard let section = value as? [String: Any] else { return nil }
    return section.sorted { $0.key < $1.key }.lazy
      .compactMap { notFinite(in: $1, key: key.isEmpty ? $0 : key + "." + $0) }.first
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

  /// The key whose default instead of the given value makes a dictionary readable.
  private static func culprit(in merged: [String: Any], given: [String: Any]) -> String? {
    let defaults = dictionary(TrainingConfiguration())
    for (name, value) in given.sorted(by: { $0.key < $1.key }) {
      guard let values = value as? [String: Any], let section = merged[name] as? [String: Any],
        let usual = defaults[name] as? [String: Any]
      else {
        if (try? decoded(merged.merging([name: defaults[name] as Any]) { $1 })) != nil {
          return name
        }
        continue
      }
      for key in values.keys.sorted() {
        let repaired = section.merging([key: usual[key] as Any]) { $1 }
        if (try? decoded(merged.merging([name: repaired]) { $1 })) != nil {
          return name + "." + key
        }
      }
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
