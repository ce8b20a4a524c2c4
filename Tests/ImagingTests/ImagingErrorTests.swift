import Imaging
import Testing

@Suite("Image errors")
struct ImagingErrorTests {
  @Test(
    "Each kind has its beginning and exit code",
    arguments: [
      (.noSuchFile(file: "a", reason: nil), "no such file (a): ", 66),
      (.noImages(folder: "scans"), "no images found in scans: ", 66),
      (.unreadable(file: "a", reason: "r"), "cannot read (a): r", 66),
      (.unsupportedFormat(file: "a", reason: "r"), "unsupported file format (a): r", 65),
      (.invalidBIDS(file: "a", reason: "r"), "not as BIDS asks (a): r", 65),
      (.notNIfTI(file: "a", reason: "r"), "not a NIfTI file (a): r", 65),
      (.notGzip(file: "a"), "not gzip data (a): ", 65),
      (.headerTruncated(file: "a", needed: 348, found: 100), "header is truncated (a): ", 65),
      (
        .invalidDimensions(file: "a", dimensions: [9], reason: "r"), "invalid dimensions (a): r", 65
      ),
      (
        .imageDataTruncated(file: "a", expected: 16_777_216, found: 9_437_184),
        "image data ends early (a): header promises 16777216 bytes of voxels, the file holds 9437184",
        65
      ),
      (
        .needsMemory(file: "a", needed: 1 << 31, working: 1 << 33, limit: 1 << 29),
        "needs 2.0 GiB (a): 2.0 GiB of data take 8.0 GiB as float32, the limit is 0.5 GiB", 71
      ),
      (.invalidDataOffset(file: "a", reason: "r"), "invalid data offset (a): r", 65),
      (.unsupportedDataType(file: "a", reason: "r"), "unsupported data type (a): r", 65),
      (.checksumMismatch(file: "a", reason: "r"), "checksum mismatch (a): r", 65),
      (.damagedGzip(file: "a", reason: "r"), "damaged gzip data (a): r", 65),
      (.invalidVoxelSize(file: "a", reason: "r"), "invalid voxel size (a): r", 65),
      (.noSuchVolume(file: "a", index: 4, count: 3), "no volume 4 (a): ", 64),
      (.noFiniteVoxel(file: "a"), "no finite voxel (a): ", 65),
      (.nonFiniteVoxels(file: "a", count: 3), "non-finite voxels (a): 3 ", 65),
      (
        .geometryDiffers(
          file: "a", shape: [1, 2, 3, 4], reference: "b", referenceShape: [1, 2, 3, 5],
          offset: 1.0006),
        "geometry differs (a): shape [1, 2, 3, 4], that of b is [1, 2, 3, 5]; "
          + "largest corner offset 1.001 mm", 65
      ),
      (.unexpectedLabel(file: "a", label: 7, allowed: [0, 1]), "unexpected label (a): ", 65),
      (.labelMapNotInteger(file: "a", value: 0.5), "label map is not integer (a): ", 65),
      (.damagedPNG(file: "a", reason: "r"), "damaged PNG (a): r", 65),
      (
        .pngTooLarge(file: "a", width: 100_000, height: 100_000, needed: 1 << 40, limit: 1 << 30),
        "PNG too large (a): 100000 x 100000 pixels need 1024.0 GiB, ", 71
      ),
      (.overwritingInput(file: "a", input: "a"), "refusing to overwrite input (a): ", 73),
      (.outputExists(file: "a"), "output exists (a): ", 73),
      (.cannotCreate(file: "a", reason: "r"), "cannot create (a): r", 73),
      (.writeFailed(file: "a", reason: "r"), "write failed (a): r", 74),
    ] as [(ImagingError, String, Int32)])
  func texts(error: ImagingError, beginning: String, code: Int32) {
    #expect(error.description.hasPrefix(beginning))
    #expect(error.code == code)
    #expect(error.headline == error.file.map { "\(error.what) (\($0))" } ?? error.what)
    #expect(!error.cause.isEmpty && !error.advice.isEmpty && !error.kind.isEmpty)
    #expect(!error.kind.contains { $0.isWhitespace || $0.isUppercase })
  }

  @Test(
    "Sizes are given in the largest unit that suits",
    arguments: [
      (0, "0 bytes"), (10_239, "10239 bytes"), (1 << 20, "1.0 MiB"), (52_428_800, "50.0 MiB"),
      (107_374_183, "0.1 GiB"), (1 << 31, "2.0 GiB"), (60_129_542_144, "56.0 GiB"),
      (.max, "17179869184.0 GiB"),
    ] as [(UInt64, String)])
  func sizes(bytes: UInt64, text: String) {
    #expect(ImagingError.size(bytes) == text)
  }

  @Test(
    "Decimals are rounded and padded",
    arguments: [
      (1.0, 3, "1.000"), (-0.0004, 3, "0.000"), (-0.0006, 3, "-0.001"), (2.9996, 3, "3.000"),
      (12.05, 1, "12.1"), (7.5, 0, "8"), (.infinity, 2, "inf"), (0.0625, 4, "0.0625"),
    ] as [(Double, Int, String)])
  func decimals(value: Double, digits: Int, text: String) {
    #expect(ImagingError.decimal(value, digits: digits) == text)
  }
}
