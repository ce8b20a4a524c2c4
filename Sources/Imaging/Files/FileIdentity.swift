import Foundation

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Which file a path leads to.
public enum FileIdentity {
  /// A text that is the same for all paths, symbolic links and hard links to one file.
  ///
  /// - Parameter path: A path.
  /// - Returns: Device and number of the file; where there is none, the path without symbolic links.
  public static func text(of path: String) -> String {
    var status = stat()
    guard stat(path, &status) == 0 else {
      return URL(fileURLWithPath: path).resolvingSymlinksInPath().path
    }
    return "file \(status.st_dev):\(status.st_ino)"
  }
}
