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
  /// A folder stands for the images in it, or, if all of them are PNG files, for one stack of slices;
  /// a `.txt` file for the paths in it, one a line.
  static func inputs(_ argument: String) throws(CommandFailure) -> [String] {
    if argument.contains("*") || argument.contains("?") || argument.contains("[") {
      let matches = glob(argument)
      guard !matches.isEmpty else { throw missing(argument, "no file matches this pattern") }
      return sorted(matches)
    }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: argument, isDirectory: &isFolder) else {
      throw missing(argument, "nothing has this path")
    }
    if isFolder.boolValue { return try images(in: argument) }
    return argument.lowercased().hasSuffix(".txt") ? try lines(of: argument) : [argument]
  }

  /// Pairs inputs with outputs.
  ///
  /// - Parameters:
  ///   - input: As ``inputs(_:)`` takes it.
  ///   - output: A file for a single input, a folder, or a `.txt` list of equal length.
  ///   - makesFolder: Whether the output folder is made if it is not there.
  /// - Returns: One item an input, in bytewise order of the inputs' paths.
  /// - Throws: What finding the inputs throws; a usage failure if inputs and outputs do not match.
  static func items(
    input: String, output: String, makesFolder: Bool = true
  ) throws(CommandFailure) -> [Item] {
    let inputs = try inputs(input)
    if output.lowercased().hasSuffix(".txt") {
      let outputs = try lines(of: output)
      guard outputs.count == inputs.count else {
        throw CommandFailure(
          code: ExitStatus.usage, kind: "usage", what: "list lengths differ (\(output))",
          cause: "\(inputs.count) inputs, \(outputs.count) outputs",
          advice: "give one output path a line for each input", file: output)
      }
      return zip(inputs, outputs).map { Item(input: $0, output: $1) }
    }
    if ImageFormat(path: output) != nil, !isFolder(output) {
      guard inputs.count == 1, let input = inputs.first else {
        throw CommandFailure(
          code: ExitStatus.usage, kind: "usage", what: "one output for several inputs (\(output))",
          cause: "\(inputs.count) inputs were found", advice: "name a folder as output",
          file: output)
      }
      return [Item(input: input, output: output)]
    }
    do {
      if makesFolder {
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
      }
    } catch {
      throw CommandFailure(
        ImagingError.cannotCreate(file: output, reason: error.localizedDescription))
    }
    return inputs.map { Item(input: $0, output: output + "/" + name(of: $0)) }
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
