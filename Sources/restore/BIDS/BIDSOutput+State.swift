import Foundation
import Imaging
import Inference

extension BIDSOutput {
  /// Whether all that is to be made of a participant is there: its page, and the files of each case, made by one
  /// model of the images that it would be made of now.
  ///
  /// - Parameters:
  ///   - label: The participant.
  ///   - cases: What is to be made.
  ///   - card: The model's.
  /// - Returns: False also for files that another model left.
  func isDone(_ label: String, _ cases: [BIDSRecipe.Case], _ card: ModelCard) -> Bool {
    isOwnPage(path(of: Self.page(of: label)))
      && cases.allSatisfy { item in
        item.files.allSatisfy { FileManager.default.fileExists(atPath: path(of: $0)) }
          && item.images.allSatisfy { image in
            SidecarFile(besides: path(of: image)).map { mismatch($0, item, card) == nil } ?? false
          }
      }
  }

  /// Makes sure that a participant's files replace none but what earlier runs of the same model left.
  ///
  /// - Parameters:
  ///   - label: The participant.
  ///   - cases: What is to be made.
  ///   - card: The model's.
  /// - Throws: A failure with code 73.
  func requireFree(
    _ label: String, _ cases: [BIDSRecipe.Case], _ card: ModelCard
  ) throws(CommandFailure) {
    let page = path(of: Self.page(of: label))
    if FileManager.default.fileExists(atPath: page), !isOwnPage(page) {
      throw taken(page, "it is not a page of this program")
    }
    let isBegun = isBegun(label)
    for item in cases {
      for image in item.images.map(path(of:)) {
        if let found = SidecarFile(besides: image) {
          if let cause = mismatch(found, item, card) { throw taken(image, cause) }
        } else if isForeign(image, isBegun: isBegun) {
          throw taken(image, "this program did not write it, or its description is lost")
        }
      }
      if let table = item.table.map(path(of:)), !isBegun,
        FileManager.default.fileExists(atPath: table)
      {
        throw taken(table, "this program did not write it, or its log is lost")
      }
    }
  }

  /// Whether a run began with a participant: it left a log.
  func isBegun(_ label: String) -> Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path + "/logs")) ?? []
    return names.contains { $0.hasPrefix("sub-\(label)_") && $0.hasSuffix(".log") }
  }

  /// Takes a case's files of earlier runs away, so that it leaves none if it fails.
  ///
  /// What other programs left stays until it is replaced.
  ///
  /// - Parameters:
  ///   - item: The case.
  ///   - isBegun: Whether an earlier run began with the participant.
  func removeOwn(_ item: BIDSRecipe.Case, isBegun: Bool) {
    for image in item.images.map(path(of:)) where !isForeign(image, isBegun: isBegun) {
      for file in [image, Sidecar.path(besides: image)] { unlink(file) }
    }
  }

  /// Whether something is at the path of an image, or of its description, that this program did not write.
  ///
  /// An image without description is what a killed run left, if there was a run.
  private func isForeign(_ image: String, isBegun: Bool) -> Bool {
    if SidecarFile(besides: image) != nil { return false }
    if FileManager.default.fileExists(atPath: Sidecar.path(besides: image)) { return true }
    return !isBegun && FileManager.default.fileExists(atPath: image)
  }

  /// Why a file is not what a case would become; nil if it is.
  private func mismatch(
    _ found: SidecarFile, _ item: BIDSRecipe.Case, _ card: ModelCard
  ) -> String? {
    guard found.restore.weightsSHA256 == card.weightsSHA256 else {
      return "it was made by \(found.restore.model) \(found.restore.modelVersion), "
        + "not by \(card.name) \(card.version)"
    }
    let names = item.inputs.map { Sidecar.withoutFolders($0.path) }
    guard found.sourceNames == names else {
      return "it was made of \(found.sourceNames.joined(separator: ", ")), "
        + "not of \(names.joined(separator: ", "))"
    }
    return nil
  }

  private func taken(_ file: String, _ cause: String) -> CommandFailure {
    CommandFailure(
      code: ExitStatus.cannotCreate, kind: "output-exists", what: "output exists (\(file))",
      cause: cause, advice: "choose another folder for the results, or --overwrite", file: file)
  }

  /// Whether a page is there that this program wrote.
  private func isOwnPage(_ page: String) -> Bool {
    guard let handle = FileHandle(forReadingAtPath: page) else { return false }
    defer { try? handle.close() }
    let head = (try? handle.read(upToCount: 1024)) ?? Data()
    return String(decoding: head, as: UTF8.self).contains(
      "<meta name=\"generator\" content=\"\(HTML.generator)\">")
  }
}
