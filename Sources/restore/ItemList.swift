import Foundation
import Imaging

/// Inputs and the outputs that belong to them, from files, folders, patterns and lists.
enum ItemList {
  /// One image to work on.
  struct Item {
    let input: String
    let output: String
  }

  /// The images that an input argument stands for, in bytewise order of their paths.
  ///
  /// A folder stands for the images in it, a `.txt` file for the paths in it, one a line.
  ///
  /// - Parameters:
  ///   - argument: A path or a pattern; a file that is there is itself, whatever its name.
  ///   - stacks: Whether a folder that holds PNG files alone is one image, a stack of slices.
  /// - Returns: At least one path.
  /// - Throws: A failure with code 66 if there is none.
  static func inputs(
    _ argument: String, stacks: Bool = false
  ) throws(CommandFailure) -> [String] {
    guard FileManager.default.fileExists(atPath: argument) else {
      guard argument.contains(where: { "*?[".contains($0) }) else {
        throw missing(argument, "nothing has this path")
      }
      let matches = glob(argument)
      guard !matches.isEmpty else { throw missing(argument, "no file matches this pattern") }
      return sorted(matches)
    }
    if isFolder(argument) {
      let images = try images(in: argument)
      guard stacks, images.allSatisfy({ ImageFormat(path: $0) == .png }) else { return images }
      return [argument.hasSuffix("/") ? String(argument.dropLast()) : argument]
    }
    return argument.lowercased().hasSuffix(".txt") ? try lines(of: argument) : [argument]
  }

  /// Pairs inputs with outputs.
  ///
  /// A folder of PNG files alone is one input, a stack of slices, and its output is such a folder.
  ///
  /// - Parameters:
  ///   - input: As ``inputs(_:stacks:)`` takes it.
  ///   - output: A file for a single input, a folder, or a `.txt` list of equal length.
  ///   - makesFolder: Whether the output folder is made if it is not there.
  /// - Returns: One item an input, in bytewise order of the inputs' paths.
  /// - Throws: What finding the inputs throws; a usage failure if inputs and outputs do not match.
  static func items(
    input: String, output: String, makesFolder: Bool = true
  ) throws(CommandFailure) -> [Item] {
    try OutputPaths.requireNamed(input, "--input")
    try OutputPaths.requireNamed(output, "--output")
    let inputs = try inputs(input, stacks: true)
    if output.lowercased().hasSuffix(".txt") {
      let outputs = try lines(of: output)
      guard outputs.count == inputs.count else {
        throw CommandFailure(
          code: ExitStatus.usage, kind: "usage", what: "list lengths differ (\(output))",
          cause: "\(inputs.count) inputs, \(outputs.count) outputs",
          advice: "give one output path a line for each input", file: output)
      }
      return try distinct(zip(inputs, outputs).map { Item(input: $0, output: $1) })
    }
    let isStack = inputs.count == 1 && inputs.allSatisfy(isFolder)
    if ImageFormat(path: output) != nil, !isFolder(output) {
      guard inputs.count == 1, let input = inputs.first else {
        throw CommandFailure(
          code: ExitStatus.usage, kind: "usage", what: "one output for several inputs (\(output))",
          cause: "\(inputs.count) inputs were found", advice: "name a folder as output",
          file: output)
      }
      return [Item(input: input, output: output)]
    }
    if isStack {
      let folder = output.hasSuffix("/") ? String(output.dropLast()) : output
      return [Item(input: inputs[0], output: folder)]
    }
    if inputs == [input], !isFolder(output), let ending = ending(of: output) {
      // A mistyped ending must not become the name of a folder.
      throw CommandFailure(
        ImagingError.unsupportedFormat(
          file: output, reason: "no format has the ending .\(ending); a folder would end in /"))
    }
    do {
      if makesFolder {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
      }
    } catch {
      throw CommandFailure(
        ImagingError.cannotCreate(file: output, reason: error.localizedDescription))
    }
    let folder = output.hasSuffix("/") ? String(output.dropLast()) : output
    return try distinct(inputs.map { Item(input: $0, output: folder + "/" + name(of: $0)) })
  }

  /// The items, if no two of them have one output.
  private static func distinct(_ items: [Item]) throws(CommandFailure) -> [Item] {
    var inputs: [String: String] = [:]
    for item in items {
      if let other = inputs.updateValue(item.input, forKey: item.output) {
        throw CommandFailure(
          code: ExitStatus.usage, kind: "usage", what: "two inputs for one output (\(item.output))",
          cause: "\(other) and \(item.input)", advice: "name the outputs in a .txt list",
          file: item.output)
      }
    }
    return items
  }

  /// What follows the last dot of a name, if it looks like the ending of a format.
  static func ending(of path: String) -> String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).last?
      .split(separator: ".", omittingEmptySubsequences: false)
    guard let parts, parts.count > 1, let last = parts.last, (1...5).contains(last.count),
      last.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }), last.first?.isLetter == true
    else { return nil }
    return String(last)
  }

  private static func name(of path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
      && isFolder.boolValue
  }

  private static func images(in folder: String) throws(CommandFailure) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let images = names.filter { !$0.hasPrefix(".") && ImageFormat(path: $0) != nil }
      // Of a pair, the header stands for both.
      .filter { ![".img", ".img.gz"].contains(where: $0.lowercased().hasSuffix) }
    guard !images.isEmpty else {
      throw CommandFailure(ImagingError.noImages(folder: folder))
    }
    return sorted(images.map { folder.hasSuffix("/") ? folder + $0 : folder + "/" + $0 })
  }

  private static func lines(of list: String) throws(CommandFailure) -> [String] {
    guard let text = try? String(contentsOfFile: list, encoding: .utf8) else {
      throw missing(list, "the list cannot be read")
    }
    let paths = text.split(whereSeparator: \.isNewline)
      .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    guard !paths.isEmpty else { throw missing(list, "the list is empty") }
    return paths
  }

  private static func sorted(_ paths: [String]) -> [String] {
    paths.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  private static func glob(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard Foundation.glob(pattern, 0, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { index in
      found.gl_pathv[index].map { String(cString: $0) }
    }
  }

  private static func missing(_ path: String, _ reason: String) -> CommandFailure {
    CommandFailure(ImagingError.noSuchFile(file: path, reason: reason))
  }
}
