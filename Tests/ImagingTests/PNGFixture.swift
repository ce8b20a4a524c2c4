import Foundation
import Testing

/// The files under `Fixtures/` of this test target.
enum PNGFixture {
  struct NotFound: Error { let name: String }

  /// The location of a fixture, for instance `png/basn0g08.png`.
  static func url(_ name: String) throws -> URL {
    guard let resources = Bundle.module.resourceURL else { throw NotFound(name: name) }
    let url = resources.appending(path: "Fixtures/\(name)")
    guard FileManager.default.fileExists(atPath: url.path) else { throw NotFound(name: name) }
    return url
  }

  /// The contents of a fixture.
  static func data(_ name: String) throws -> Data { try Data(contentsOf: url(name)) }

  /// What is expected of each file of a folder, from its `expected.json`.
  static func expectations<Value: Decodable>(_ folder: String) throws -> [String: Value] {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode([String: Value].self, from: data("\(folder)/expected.json"))
  }
}

/// An empty folder that is removed again.
func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(
    path: "imaging-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder)
}
