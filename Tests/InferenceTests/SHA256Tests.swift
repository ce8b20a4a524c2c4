import Inference
import Testing

/// Source of the vectors: NIST FIPS 180-4 examples.
@Suite("SHA-256")
struct SHA256Tests {
  @Test(
    "equals the standard's examples",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
    ])
  func examples(_ text: String, _ digest: String) {
    var hash = SHA256()
    hash.update(text.utf8)
    #expect(hash.hexadecimal() == digest)
  }

  @Test("does not depend on how the bytes are cut")
  func pieces() {
    let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    var whole = SHA256()
    whole.update(bytes)
    for length in [1, 55, 56, 63, 64, 65, 300] {
      var cut = SHA256()
      var start = 0
      while start < bytes.count {
        cut.update(bytes[start..<min(start + length, bytes.count)])
        start += length
      }
      #expect(cut.hexadecimal() == whole.hexadecimal())
    }
  }
}
