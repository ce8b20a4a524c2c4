import Foundation
import Imaging

/// What a sidecar of this program says, as pages and tables read it.
struct SidecarFile: Decodable {
  /// The program's own part.
  struct Provenance: Decodable {
    let version: String
    let model: String
    let modelVersion: String
    let weightsSHA256: String
    let inputRange: [Double]
    let outputRange: [Double]
    let nonFiniteVoxels: Int
    let change: IntensityChange?
    let warnings: [String]
    let elapsedSeconds: Double?
  }

  let sources: [String]
  let restore: Provenance
  let lesions: StrokeReport.Lesions?
  let structures: [SegmentedStructure]?

  private enum CodingKeys: String, CodingKey {
    case sources = "Sources"
    case restore = "Restore"
    case lesions = "Lesions"
    case structures = "Structures"
  }

  /// Reads the sidecar of an image; nil if there is none, or another program's.
  ///
  /// - Parameter image: The path of the image.
  init?(besides image: String) {
    guard let data = FileManager.default.contents(atPath: Sidecar.path(besides: image)),
      let file = try? JSONDecoder().decode(SidecarFile.self, from: data)
    else { return nil }
    self = file
  }

  /// The names of the sources, whether their folders are told or not.
  var sourceNames: [String] { sources.map(Sidecar.withoutFolders) }

  /// What was found: structures, or lesions as one; empty for an image that was restored.
  var findings: [(name: String, milliliters: Double, count: Int)] {
    if let structures { return structures.map { ($0.name, $0.milliliters, $0.parts) } }
    return lesions.map { [("lesion", $0.volumeML, $0.count)] } ?? []
  }
}
