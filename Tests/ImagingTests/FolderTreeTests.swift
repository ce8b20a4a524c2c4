import Foundation
import Imaging
import Testing

@Suite("Folders of links")
struct FolderTreeTests {
  /// A folder with empty files and links, removed by the caller.
  private func folder(_ files: [String], links: [(path: String, target: String)]) throws -> String {
    let root = FileManager.default.temporaryDirectory
      .appendingPathComponent("tree-\(UUID().uuidString)").path
    for path in files + links.map({ $0.path }) {
      let url = URL(fileURLWithPath: "\(root)/\(path)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    }
    for file in files { try Data().write(to: URL(fileURLWithPath: "\(root)/\(file)")) }
    for link in links {
      try FileManager.default.createSymbolicLink(
        atPath: "\(root)/\(link.path)", withDestinationPath: "\(root)/\(link.target)")
    }
    return root
  }

  @Test("links to folders are followed, circles end, and nothing is found twice")
  func follows() throws {
    let root = try folder(
      ["elsewhere/deep/a", "set/own/b"],
      links: [
        ("set/link", "elsewhere"), ("set/again", "set/own"), ("elsewhere/deep/circle", "set"),
        ("set/gone", "nowhere"),
      ])
    defer { try? FileManager.default.removeItem(atPath: root) }
    #expect(
      FolderTree.subpaths(of: root + "/set") == [
        "again", "gone", "link", "link/deep", "link/deep/a", "link/deep/circle", "own", "own/b",
      ])
    #expect(FolderTree.subpaths(of: root + "/nowhere").isEmpty)
  }

  @Test("brains and photographs are found behind links")
  func datasets() throws {
    let root = try folder(
      [
        "store/1/anat/sub-1_ses-1_T1w.nii.gz",
        "store/1/anat/sub-1_ses-1_label-L_desc-T1lesion_mask.nii.gz", "store/eyes/x.png",
        "eyes/Annotation-Training400/x.png",
      ],
      links: [("brains/sub-1/ses-1", "store/1"), ("eyes/Training400/Glaucoma", "store/eyes")])
    defer { try? FileManager.default.removeItem(atPath: root) }
    #expect(try LesionFolder(path: root + "/brains").cases.map(\.name) == ["sub-1_ses-1"])
    #expect(try FundusFolder(path: root + "/eyes").photographs.map(\.name) == ["x"])
  }
}
