import Foundation
import Testing

/// The built program, run as users run it.
enum RestoreProcess {
  /// What a finished run left.
  struct Outcome {
    let status: Int32
    let output: String
    let errors: String

    /// The line that begins with `error: `, without that.
    var headline: String? {
      errors.split(separator: "\n").first { $0.hasPrefix("error: ") }.map {
        String($0.dropFirst(7))
      }
    }

    /// Standard output as one JSON object.
    func json() throws -> [String: Any] {
      try #require(
        try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    }
  }

  /// The program beside the test bundle, or in the build folder above it.
  static func executable() throws -> URL {
    var folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    var candidates: [URL] = []
    while folder.path != "/" && candidates.count < 4 {
      candidates.append(folder.appendingPathComponent("restore"))
      folder.deleteLastPathComponent()
    }
    candidates.append(package.appendingPathComponent(".build/release/restore"))
    return try #require(
      candidates.first { candidate in
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: candidate.path, isDirectory: &isFolder)
          && !isFolder.boolValue && FileManager.default.isExecutableFile(atPath: candidate.path)
      }, "the program is not beside the tests")
  }

  /// A started run; its streams go to files, so that a full pipe cannot block it.
  final class Running {
    let process = Process()
    private let streams: URL

    init(
      _ arguments: [String], in folder: String, environment: [String: String] = [:],
      through shell: String? = nil
    ) throws {
      streams = FileManager.default.temporaryDirectory
        .appendingPathComponent("restore-streams-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: streams, withIntermediateDirectories: true)
      let program = try RestoreProcess.executable()
      if let shell {
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", shell + "; exec \"$0\" \"$@\"", program.path] + arguments
      } else {
        process.executableURL = program
        process.arguments = arguments
      }
      process.currentDirectoryURL = URL(fileURLWithPath: folder)
      var variables = ProcessInfo.processInfo.environment.filter {
        !$0.key.hasPrefix("RESTORE_") && !$0.key.hasPrefix("SLURM_")
      }
      variables["RESTORE_THREADS"] = "1"
      process.environment = variables.merging(environment) { $1 }
      for name in ["out", "err"] {
        try Data().write(to: streams.appendingPathComponent(name))
      }
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = try FileHandle(
        forWritingTo: streams.appendingPathComponent("out"))
      process.standardError = try FileHandle(
        forWritingTo: streams.appendingPathComponent("err"))
      try process.run()
    }

    deinit { try? FileManager.default.removeItem(at: streams) }

    private func text(_ name: String) -> String {
      let data = (try? Data(contentsOf: streams.appendingPathComponent(name))) ?? Data()
      return String(decoding: data, as: UTF8.self)
    }

    var errors: String { text("err") }

    /// Waits until standard error holds a text, at most 20 s.
    func waits(for text: String) -> Bool {
      for _ in 0..<2000 {
        if errors.contains(text) { return true }
        if !process.isRunning { return errors.contains(text) }
        Thread.sleep(forTimeInterval: 0.01)
      }
      return false
    }

    func finish() -> Outcome {
      process.waitUntilExit()
      return Outcome(
        status: process.terminationReason == .exit ? process.terminationStatus : -1,
        output: text("out"), errors: errors)
    }
  }
}
