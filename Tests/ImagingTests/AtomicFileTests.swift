import Foundation
import Imaging
import Testing

@Suite("Atomic files", .serialized)
struct AtomicFileTests {
  private func contents(_ folder: URL) throws -> [String: String] {
    var found: [String: String] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      found[name] = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
    }
    return found
  }

  @Test("A file has its name only when it is complete")
  func commit() throws {
    try withTemporaryFolder { folder in
      let path = folder.appending(path: "a.txt").path
      let file = try AtomicFile(path: path)
      try file.write(Array("one ".utf8))
      #expect(!FileManager.default.fileExists(atPath: path))
      try file.write(Array("two".utf8))
      try file.commit()
      #expect(try contents(folder) == ["a.txt": "one two"])
    }
  }

  @Test("Without a commit nothing stays, and an old file is untouched")
  func discard() throws {
    try withTemporaryFolder { folder in
      let path = folder.appending(path: "a.txt").path
      try AtomicFile.write(Array("old".utf8), to: path)
      do {
        let file = try AtomicFile(path: path, overwrite: true)
        try file.write(Array("new".utf8))
        #expect(try contents(folder).count == 2)
      }
      #expect(try contents(folder) == ["a.txt": "old"])
      let file = try AtomicFile(path: path, overwrite: true)
      try file.write(Array("new".utf8))
      file.discard()
      #expect(try contents(folder) == ["a.txt": "old"])
      try AtomicFile.write(Array("new".utf8), to: path, overwrite: true)
      #expect(try contents(folder) == ["a.txt": "new"])
    }
  }

  @Test("Whoever commits second without leave to overwrite fails")
  func race() throws {
    try withTemporaryFolder { folder in
      let path = folder.appending(path: "a.txt").path
      let first = try AtomicFile(path: path)
      let second = try AtomicFile(path: path)
      try first.write(Array("first".utf8))
      try second.write(Array("second".utf8))
      try second.commit()
      #expect(throws: ImagingError.outputExists(file: path)) { try first.commit() }
      #expect(try contents(folder) == ["a.txt": "second"])
    }
  }

  @Test("A full disk is a write error with its own code")
  func fullDisk() throws {
    let descriptor = open("/dev/full", O_WRONLY)
    let file = AtomicFile(path: "scan.nii", writingTo: descriptor)
    let error = #expect(throws: ImagingError.self) {
      try file.write([UInt8](repeating: 0, count: 4096))
    }
    #expect(error?.description == "write failed (scan.nii): No space left on device")
    #expect(error?.code == 74)
  }

  @Test("Links to an input, folders and missing folders are refused")
  func refused() throws {
    try withTemporaryFolder { folder in
      let input = try write([1], to: folder, as: "in")
      let soft = folder.appending(path: "soft").path
      try FileManager.default.createSymbolicLink(atPath: soft, withDestinationPath: input)
      let dangling = folder.appending(path: "dangling").path
      try FileManager.default.createSymbolicLink(atPath: dangling, withDestinationPath: "nowhere")
      let sub = folder.appending(path: "sub").path
      try FileManager.default.createDirectory(atPath: sub, withIntermediateDirectories: false)
      func what(_ path: String, overwrite: Bool = true) -> String? {
        do {
          _ = try AtomicFile(path: path, overwrite: overwrite, inputs: ["absent", input])
        } catch { return error.what }
        return nil
      }
      #expect(what(input) == "refusing to overwrite input")
      #expect(what(soft) == "refusing to overwrite input")
      #expect(what(folder.appending(path: "sub/../in").path) == "refusing to overwrite input")
      #expect(what(dangling, overwrite: false) == "output exists")
      #expect(what(dangling) == nil)
      #expect(what(sub) == "cannot create")
      #expect(what(sub + "/") == "cannot create")
      #expect(what("") == "cannot create")
      #expect(what(input + "/below") == "cannot create")
      #expect(what(folder.appending(path: "absent/out").path) == "cannot create")
      #expect(throws: ImagingError.outputExists(file: soft)) {
        try AtomicFile.checkOutput(path: soft, overwrite: false, inputs: [])
      }
    }
  }

  @Test("what is no file is never replaced by one")
  func pipe() throws {
    let path = NSTemporaryDirectory() + "atomic-pipe-\(UUID().uuidString)"
    try #require(mkfifo(path, 0o600) == 0)
    defer { unlink(path) }
    let error = try #require(throws: ImagingError.self) {
      try AtomicFile.write([1], to: path, overwrite: true)
    }
    #expect(error == .cannotCreate(file: path, reason: "what has that name is no file"))
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
  }
}
