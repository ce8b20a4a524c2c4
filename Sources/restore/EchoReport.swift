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

  /// A further view of the same heart.
  struct View: Encodable {
    let output: String
    let frames: [Frame]
    let ejection: [SinglePlaneEjection]
  }

  let ok = true
  let output: String
  let structures: [String]
  /// `mm` if the file tells the size of a pixel, else `pixels`.
  let unit: String
  let frames: [Frame]
  /// Empty if no ventricle was found.
  let ejection: [SinglePlaneEjection]
  /// What was found in the second clip, if one was given.
  let secondView: View?
  /// Both views together.
  let biplane: BiplaneEjection?
  let note: String

  /// Measures one clip, or two views of one heart.
  ///
  /// - Parameters:
  ///   - views: One or two.
  ///   - structures: The names of labels 1 … N.
  /// - Throws: A failure with code 65 if one of two views has no ventricle.
  init(_ views: [EchoView], structures: [String]) throws(CommandFailure) {
    let curves = views.map { view in
      VentricleCurve(view.masks(of: structures.firstIndex(of: HeartLabel.ventricle.name)))
    }
    let parts = zip(views, curves).map { view, curve in
      View(
        output: view.output, frames: Self.frames(view, curve, structures),
        ejection: SinglePlaneEjection.all(of: curve))
    }
    output = parts[0].output
    frames = parts[0].frames
    ejection = parts[0].ejection
    secondView = parts.count > 1 ? parts[1] : nil
    self.structures = structures
    unit = views[0].isSpacingKnown ? "mm" : "pixels"
    if curves.count > 1 {
      do {
        biplane = try BiplaneEjection(curves[0], curves[1])
      } catch {
        throw Self.failure(error, views)
      }
    } else {
      biplane = nil
    }
    var note =
      "End-diastole and end-systole are a view's frames of largest and smallest volume. "
      + (curves.count > 1
        ? "The views are taken to be perpendicular (four- and two-chamber)."
        : "Single-view estimates.")
    let empty = curves.reduce(0) { $0 + $1.emptyFrames.count }
    if empty > 0 { note += " \(empty) frames without a ventricle do not count." }
    if let biplane, biplane.lengthDifference > 10 {
      note += String(
        format: " The long axes differ by %.0f %%: one view may be foreshortened.",
        biplane.lengthDifference)
    }
    self.note = note
  }

  private static func failure(_ error: BiplaneError, _ views: [EchoView]) -> CommandFailure {
    let view =
      switch error {
      case .noVentricle(let view): view
      }
    let file = views[view].input
    return CommandFailure(
      code: ExitStatus.data, kind: "no_ventricle",
      what: "no left ventricle in the \(view == 0 ? "first" : "second") view (\(file))",
      cause: "the model finds it in none of the frames",
      advice: "segment each view by itself and look at the overlay", file: file)
  }

  private static func frames(
    _ view: EchoView, _ curve: VentricleCurve, _ structures: [String]
  ) -> [Frame] {
    let areas = structures.indices.map { view.masks(of: $0).map(\.area) }
    return view.labels.indices.map { index in
      Frame(
        frame: index,
        areas: Dictionary(
          uniqueKeysWithValues: zip(structures, areas).map { ($0, $1[index]) }),
        areaLengthVolume: curve.areaLength[index], simpsonVolume: curve.simpson[index])
    }
  }

  /// The curve of each view as a table with one line per frame.
  var tables: [String] { ([frames] + [secondView?.frames].compactMap(\.self)).map(table) }

  private func table(_ frames: [Frame]) -> String {
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
    let outputs = [output] + [secondView?.output].compactMap(\.self)
    guard !ejection.isEmpty else {
      return ["the left ventricle was not found in two frames: no ejection fraction"] + outputs
    }
    let volume = unit == "mm" ? "ml" : "1000 pixels³"
    var lines: [String] = []
    func append(_ title: String, _ ejections: [SinglePlaneEjection]) {
      for item in ejections {
        lines.append(
          title
            + String(
              format: "%@: EDV %.1f %@ (frame %d), ESV %.1f %@ (frame %d), EF %.1f %%",
              item.method, item.endDiastolicVolume, volume, item.endDiastole,
              item.endSystolicVolume, volume, item.endSystole, item.ejectionFraction))
        lines.append("  long axis: \(item.longAxis)")
      }
    }
    append(secondView == nil ? "" : "first view, ", ejection)
    if let secondView { append("second view, ", secondView.ejection) }
    if let biplane {
      let (a, b) = (biplane.views[0], biplane.views[1])
      lines.append(
        String(
          format: "%@: EDV %.1f %@ (frames %d and %d), ESV %.1f %@ (frames %d and %d), EF %.1f %%",
          biplane.method, biplane.endDiastolicVolume, volume, a.endDiastole, b.endDiastole,
          biplane.endSystolicVolume, volume, a.endSystole, b.endSystole,
          biplane.ejectionFraction))
      lines.append("  long axis: \(biplane.longAxis)")
    }
    return lines + [note] + outputs
  }
}
