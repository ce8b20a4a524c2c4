import Foundation
import Imaging

/// Areas and volumes of a segmented clip, and what the heart ejects.
struct EchoReport: Encodable {
  /// One frame of the curve.
  struct Frame: Encodable {
    let frame: Int
    /// mm².
    let areas: [String: Double]
    /// ml; nil where a formula does not apply.
    let areaLengthVolume: Double?
    let simpsonVolume: Double
  }

  /// One way to an ejection fraction.
  struct Ejection: Encodable {
    let method: String
    let endDiastole: Int
    let endSystole: Int
    let endDiastolicVolume: Double
    let endSystolicVolume: Double
    let ejectionFraction: Double
  }

  let ok = true
  let output: String
  let structures: [String]
  /// `mm` if the file tells the size of a pixel, else `pixels`.
  let unit: String
  let frames: [Frame]
  /// Empty if no ventricle was found.
  let ejection: [Ejection]
  let note: String

  /// Measures a clip.
  ///
  /// - Parameters:
  ///   - labels: One map per frame, row by row; 1 is the ventricle.
  ///   - size: Rows and columns.
  ///   - spacing: Of rows and columns, mm.
  ///   - structures: The names of labels 1 … N.
  ///   - isSpacingKnown: Whether the spacing is that of the file.
  ///   - output: Where the labels went.
  init(
    labels: [[UInt8]], size: (height: Int, width: Int), spacing: (y: Double, x: Double),
    structures: [String], isSpacingKnown: Bool, output: String
  ) {
    self.output = output
    self.structures = structures
    unit = isSpacingKnown ? "mm" : "pixels"
    var frames: [Frame] = []
    for (index, map) in labels.enumerated() {
      func mask(_ label: Int) -> ChamberMask {
        ChamberMask(
          map.map { Int($0) == label }, height: size.height, width: size.width, spacing: spacing)
      }
      let areas = structures.enumerated().map { ($1, mask($0 + 1).area) }
      let ventricle = mask(1)
      frames.append(
        Frame(
          frame: index, areas: Dictionary(uniqueKeysWithValues: areas),
          areaLengthVolume: AreaLengthVolume.volume(of: ventricle).map { $0 / 1000 },
          simpsonVolume: SimpsonVolume.volume(of: ventricle) / 1000))
    }
    self.frames = frames
    ejection = [
      Self.ejection("area-length, 8A²/(3πL)", frames.map(\.areaLengthVolume)),
      Self.ejection("Simpson's 20 discs, single plane", frames.map(\.simpsonVolume)),
    ].compactMap(\.self)
    note =
      "Single-view estimates. The long axis is the principal axis of the ventricle's pixels; "
      + "end-diastole and end-systole are the frames of largest and smallest volume."
  }

  private static func ejection(_ method: String, _ volumes: [Double?]) -> Ejection? {
    let known = volumes.enumerated().compactMap { index, volume in volume.map { (index, $0) } }
    guard let largest = known.max(by: { $0.1 < $1.1 }),
      let smallest = known.min(by: { $0.1 < $1.1 }),
      let percent = EjectionFraction.percent(
        endDiastolic: largest.1, endSystolic: smallest.1)
    else { return nil }
    return Ejection(
      method: method, endDiastole: largest.0, endSystole: smallest.0,
      endDiastolicVolume: largest.1, endSystolicVolume: smallest.1, ejectionFraction: percent)
  }

  /// The curve as a table with one line per frame.
  var csv: String {
    let areaUnit = unit == "mm" ? "mm2" : "pixels2"
    let volumeUnit = unit == "mm" ? "ml" : "1000_pixels3"
    let header =
      ["frame"] + structures.map { "\($0)_area_\(areaUnit)" }
      + ["volume_area_length_\(volumeUnit)", "volume_simpson_\(volumeUnit)"]
    let lines = frames.map { frame in
      ([String(frame.frame)]
        + structures.map { String(format: "%.3f", frame.areas[$0] ?? 0) }
        + [
          frame.areaLengthVolume.map { String(format: "%.4f", $0) } ?? "",
          String(format: "%.4f", frame.simpsonVolume),
        ]).joined(separator: ",")
    }
    return ([header.joined(separator: ",")] + lines).joined(separator: "\n") + "\n"
  }

  /// Lines for people.
  var lines: [String] {
    guard !ejection.isEmpty else { return ["no left ventricle was found in any frame", output] }
    return ejection.map {
      String(
        format: "%@: EDV %.1f (frame %d), ESV %.1f (frame %d), EF %.1f %%", $0.method,
        $0.endDiastolicVolume, $0.endDiastole, $0.endSystolicVolume, $0.endSystole,
        $0.ejectionFraction)
    } + [note, output]
  }
}
