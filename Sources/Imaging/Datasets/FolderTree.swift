import Foundation

/// What lies below a folder, links to folders followed: large sets are often folders of links.
package enum FolderTree {
  /// All files and folders below a folder, as paths relative to it, sorted.
  ///
  /// What several paths lead to is listed under one, the one without links if there is one: links in a
  /// circle end, and nobody is found twice.
  ///
  /// - Parameter folder: If it is none, nothing lies below it.
  /// - Returns: Names that begin with a dot too.
  package static func subpaths(of folder: String) -> [String] {
    var result: [String] = []
    var seen = Set<String>()
    var (folders, links): ([String], [String]) = ([""], [])
    while let relative = folders.popLast() ?? links.popLast() {
      let path = relative.isEmpty ? folder : folder + "/" + relative
      guard seen.insert(URL(fileURLWithPath: path).resolvingSymlinksInPath().path).inserted else {
        continue
      }
      let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
      for name in names.sorted(by: >) {
        let inner = relative.isEmpty ? name : relative + "/" + name
        result.append(inner)
        var isFolder: ObjCBool = false
        guard
          FileManager.default.fileExists(atPath: folder + "/" + inner, isDirectory: &isFolder),
          isFolder.boolValue
        else { continue }
        let target = try? FileManager.default.destinationOfSymbolicLink(
          atPath: folder + "/" + inner)
        if target == nil { folders.append(inner) } else { links.append(inner) }
      }
    }
    return result.sorted()
  }
}
