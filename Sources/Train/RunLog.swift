public import Foundation
public import Imaging

/// The log of a training run and the pictures beside it, as far as curves and reports need them.
public struct RunLog: Sendable {
  /// What validations measured.
  public enum Measure: Sendable {
    /// Foreground PSNR of a restoration, dB.
    case psnr
    /// Mean Dice of a segmentation.
    case dice
  }

  /// Loss over steps, one curve for each stage of a run; most have one stage without a name.
  public private(set) var losses: [(stage: String, points: [SIMD2<Double>])] = []
  /// Validations over steps.
  public private(set) var validation: [SIMD2<Double>] = []
  /// What they measured.
  public private(set) var measure = Measure.psnr
  /// The foreground PSNR of what the network is given, dB, if it restores.
  public private(set) var degradedPSNR: Double?
  /// The configuration as it stands in the folder; empty if there is none.
  public let configuration: String
  /// The last validation's pictures, name and PNG.
  public let pictures: [(name: String, png: Data)]

  private struct Record: Decodable {
    let step: Double
    let stage: String?
    let loss: Double?
    let validationPSNR: Double?
    let degradedPSNR: Double?
    let validationDice: Double?
  }

  /// Reads the folder of a run.
  ///
  /// - Parameter folder: The run folder; a line of the log that was cut by a crash is left out.
  /// - Throws: `ImagingError.noSuchFile` if it holds no log.
  public init(contentsOf folder: String) throws(ImagingError) {
    guard let text = try? String(contentsOfFile: folder + "/log.jsonl", encoding: .utf8) else {
      throw ImagingError.noSuchFile(
        file: folder, reason: "it holds no log.jsonl, so it is not the folder of a run")
    }
    configuration = (try? String(contentsOfFile: folder + "/config.json", encoding: .utf8)) ?? ""
    pictures = Self.lastPictures(in: folder + "/pictures")
    for line in text.split(separator: "\n") {
      guard let record = try? JSONDecoder().decode(Record.self, from: Data(line.utf8)) else {
        continue
      }
      if let value = record.loss {
        let stage = record.stage ?? ""
        if losses.last?.stage != stage { losses.append((stage, [])) }
        losses[losses.count - 1].points.append(SIMD2(record.step, value))
      }
      if record.validationDice != nil { measure = .dice }
      if let value = record.validationDice ?? record.validationPSNR {
        validation.append(SIMD2(record.step, value))
      }
      degradedPSNR = record.degradedPSNR ?? degradedPSNR
    }
  }

  /// Pictures are named by step and task, so that names sort by step.
  private static func lastPictures(in folder: String) -> [(name: String, png: Data)] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let sorted = names.filter { $0.hasSuffix(".png") }.sorted()
    guard let last = sorted.last?.split(separator: "-").first else { return [] }
    return sorted.filter { $0.hasPrefix(last + "-") }.compactMap { name in
      FileManager.default.contents(atPath: folder + "/" + name).map {
        (String(name.dropFirst(last.count + 1).dropLast(4)), $0)
      }
    }
  }
}
