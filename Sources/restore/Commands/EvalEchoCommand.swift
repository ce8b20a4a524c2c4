import ArgumentParser
import Foundation
import Imaging
import Inference
import Models
import Train

/// `restore eval-echo`: how well a model segments simulated hearts that no training saw.
struct EvalEchoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval-echo", abstract: "Measure a clip model on simulated hearts.",
    discussion: """
      Dice of each structure, over all frames and over those in which a shadow hides a part of the \
      ventricle (never the first one), the Dice of neighbouring frames' masks and the jitter of the area \
      beside those of the truth, and the error of the ejection fraction.
      """)

  @Option(name: .shortAndLong, help: "Bundle.")
  var model = "echo-gdkvm"

  @Option(name: .long, help: "Hearts.")
  var hearts = 24

  @Option(name: .long, help: "Frames of each heart's cycle.")
  var frames = 16

  @Option(
    name: .long,
    help: "Rows and columns of a frame, a multiple of 16; by default those of the model's training."
  )
  var size: Int?

  @Option(name: .long, help: "The part of the frames with a shadow, 0 to 1.")
  var shadowedPart = 0.0

  @Option(name: .long, help: "Half widths of shadows, from,to in radians from the probe.")
  var shadowWidth = "0.12,0.26"

  @Option(name: .long, help: "Draws hearts and shadows.")
  var seed: UInt64 = 0

  @Flag(name: .long, help: "Give the true mask of the first frame.")
  var firstMask = false

  @OptionGroup(title: "General") var common: CommonOptions

  /// Hearts of trainings have smaller seeds.
  private static let firstHeart: UInt64 = 1 << 40

  func validate() throws {
    guard hearts >= 1, frames >= 1, (0...1).contains(shadowedPart) else {
      throw ValidationError("--hearts and --frames are at least 1, --shadowed-part is 0 to 1")
    }
    _ = try shadows()
    if let size, size < GDKVM.sizeStep || size > 1024 || size % GDKVM.sizeStep != 0 {
      throw ValidationError("--size is a multiple of \(GDKVM.sizeStep) up to 1024")
    }
    guard hearts <= 10_000, frames <= 1000, seed < 1 << 30 else {
      throw ValidationError("at most 10000 hearts of 1000 frames, --seed below 2^30")
    }
  }

  private func shadows() throws -> EchoShadows {
    let parts = shadowWidth.split(separator: ",", omittingEmptySubsequences: false)
      .map { Double($0) }
    guard parts.count == 2, let low = parts[0], let high = parts[1], 0 < low, low <= high, high <= 2
    else {
      throw ValidationError("--shadow-width \(shadowWidth): expected from,to above 0, up to 2")
    }
    return EchoShadows(part: shadowedPart, widths: low...high)
  }

  func run() throws {
    common.apply()
    let bundle = try ModelBundle.find(model)
    try bundle.require(.segment, of: model)
    guard let network = try bundle.loadModel() as? GDKVM, network.configuration.objects <= 3 else {
      throw CommandFailure(
        code: ExitStatus.configuration, kind: "model", what: "not a model for clips (\(model))",
        cause: "its architecture is \(bundle.card.network.architecture.architecture)",
        advice: "`restore models list` shows the models")
    }
    let first = Self.firstHeart + seed * 10_000
    let own = try bundle.frameSize()
    let data = EchoDataset(
      seeds: first..<first + UInt64(hearts), frames: frames,
      size: (size ?? own[0], size ?? own[1]),
      objects: network.configuration.objects)
    let found = try EchoEvaluation(
      network, on: data.clips, shadows: try shadows(), seed: seed,
      givesFirstMask: firstMask)
    if common.json {
      struct Document: Encodable {
        let ok = true
        let model: String
        let evaluation: EchoEvaluation
      }
      return Console.shared.result(Document(model: bundle.card.name, evaluation: found))
    }
    func text(_ value: Double?, _ digits: Int = 4) -> String {
      value.map { String(format: "%.\(digits)f", $0) } ?? "-"
    }
    var table = TextTable([
      "structure", "Dice", "in shadow", "neighbours", "of truth", "jitter %", "of truth",
    ])
    for item in found.structures {
      let (own, truth) = (item.consistency, item.trueConsistency)
      table.append([
        item.name, text(item.dice), text(item.shadowedDice), text(own.neighbourDice),
        text(truth.neighbourDice), text(100 * own.areaJitter, 2), text(100 * truth.areaJitter, 2),
      ])
    }
    Console.shared.result(
      [
        "# \(found.clips) simulated hearts, \(found.frames) frames, \(found.shadowedFrames) in shadow; "
          + "neighbours: Dice of one frame's mask with the next"
      ] + table.lines() + [
        "error of the ejection fraction: \(text(found.ejectionFractionError, 2)) points"
      ])
  }
}
