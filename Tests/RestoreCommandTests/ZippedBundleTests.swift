import Foundation
import Testing

@Suite("Model bundles in a zip file")
struct ZippedBundleTests {
  /// A file of an archive.
  struct Member {
    var name: String
    var data: Data
    var isDeflated = false
    var mode: UInt32 = 0o100644
    /// Added to the true checksum.
    var flaw: UInt32 = 0
  }

  /// A zip archive; deflated members consist of stored blocks.
  static func archive(_ members: [Member]) -> Data {
    var (body, directory) = (Data(), Data())
    for member in members {
      let offset = body.count
      // The gzip frame is 10 bytes before and 8 behind the deflate stream.
      let stored = member.isDeflated ? gzip(member.data).dropFirst(10).dropLast(8) : member.data
      let method: UInt16 = member.isDeflated ? 8 : 0
      let common =
        bytes(UInt16(20)) + bytes(UInt16(0)) + bytes(method) + bytes(UInt32(0))
        + bytes(crc32(member.data) &+ member.flaw) + bytes(UInt32(stored.count))
        + bytes(UInt32(member.data.count)) + bytes(UInt16(member.name.utf8.count))
        + bytes(UInt16(0))
      body.append(contentsOf: bytes(UInt32(0x0403_4B50)) + common + member.name.utf8)
      body.append(stored)
      directory.append(contentsOf: bytes(UInt32(0x0201_4B50)) + bytes(UInt16(0x031E)) + common)
      directory.append(contentsOf: bytes(UInt16(0)) + bytes(UInt16(0)) + bytes(UInt16(0)))
      directory.append(contentsOf: bytes(member.mode << 16) + bytes(UInt32(offset)))
      directory.append(contentsOf: member.name.utf8)
    }
    let count = UInt16(members.count)
    var end = bytes(UInt32(0x0605_4B50)) + bytes(UInt32(0)) + bytes(count) + bytes(count)
    end += bytes(UInt32(directory.count)) + bytes(UInt32(body.count)) + bytes(UInt16(0))
    return body + directory + Data(end)
  }

  private static func members(of space: Workspace, in folder: String) throws -> [Member] {
    try ["model.json", "weights.safetensors"].map {
      Member(name: folder + $0, data: try space.data("tiny/\($0)"))
    }
  }

  @Test("restores as the folder does, stored or deflated, at the top or in one folder")
  func restores() throws {
    let space = try Workspace()
    try space.image("in.nii")
    #expect(
      try space.restore("run", "-i", "in.nii", "-o", "folder.nii", "-m", "./tiny").status == 0)
    for (index, folder) in ["", "tiny/"].enumerated() {
      var members = try Self.members(of: space, in: folder)
      if index == 1 {
        members.insert(Member(name: "tiny/", data: Data(), mode: 0o040755), at: 0)
        for place in members.indices.dropFirst() { members[place].isDeflated = true }
      }
      try space.write(Self.archive(members), to: "b\(index).zip")
      let outcome = try space.restore(
        "run", "-i", "in.nii", "-o", "\(index).nii", "-m", "b\(index).zip")
      #expect(outcome.status == 0, "\(outcome.errors)")
      #expect(try space.data("\(index).nii") == space.data("folder.nii"))
    }
    #expect(try space.restore("models", "verify", "./b1.zip").status == 0)
    let shown = try space.restore("info", "b0.zip")
    #expect(shown.status == 0 && shown.output.contains("tiny"), "\(shown.errors)")
  }

  @Test("what could write elsewhere, is damaged or incomplete is refused", arguments: 0..<9)
  func refused(kind: Int) throws {
    let space = try Workspace()
    try space.image("in.nii")
    var members = try Self.members(of: space, in: "")
    switch kind {
    case 0: members.append(Member(name: "../x", data: Data([1])))
    case 1: members.append(Member(name: "/x", data: Data([1])))
    case 2: members.append(Member(name: "C:x", data: Data([1])))
    case 3: members.append(Member(name: "x", data: Data("/etc".utf8), mode: 0o120777))
    case 4: members.append(members[0])
    case 5: members.removeLast()
    case 6: members.append(Member(name: "two/model.json", data: members[0].data))
    case 7:
      members[1].isDeflated = true
      members[1].flaw = 1
    default: members[1].data[members[1].data.count - 1] ^= 1
    }
    var archive = Self.archive(members)
    if kind == 8 { archive = archive.prefix(archive.count - 30) + Data() }
    try space.write(archive, to: "b.zip")
    let outcome = try space.restore("run", "-i", "in.nii", "-o", "out.nii", "-m", "b.zip")
    #expect(outcome.status == 78, "\(kind): \(outcome.status) \(outcome.errors)")
    #expect(outcome.errors.contains("b.zip") && !space.exists("out.nii"))
    #expect(!space.exists("x") && space.temporaries.isEmpty)
  }
}
