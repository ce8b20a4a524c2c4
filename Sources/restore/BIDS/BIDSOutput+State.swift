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

  /// Makes sure that the files of a case replace none but what an earlier run of the same model left.
  ///
  /// - Parameters:
  ///   - item: The case.
  ///   - card: The model's.
  /// - Throws: A failure with code 73.
  func requireFree(_ item: BIDSRecipe.Case, _ card: ModelCard) throws(CommandFailure) {
    for image in item.images {
      let file = path(of: image)
      let sidecar = Sidecar.path(besides: file)
      let exists = [file, sidecar].map { FileManager.default.fileExists(atPath: $0) }
      guard exists.contains(true) else { continue }
      if let found = SidecarFile(besides: file) {
        if let cause = mismatch(found, item, card) { throw taken(file, cause) }
      } else if exists[1] {
        throw taken(file, "its description is not one of this program")
      } else if !wasOwn {
        // In a folder of this program's own, an image without description is what a killed run left.
        throw taken(file, "the folder is not one of this program's results")
      }
    }
    if let table = item.table.map(path(of:)), !wasOwn,
      FileManager.default.fileExists(atPath: table)
    {
      throw taken(table, "the folder is not one of this program's results")
    }
  }

  /// Makes sure that a participant's page replaces none but one of this program.
  func requireFreePage(of label: String) throws(CommandFailure) {
    let page = path(of: Self.page(of: label))
    if FileManager.default.fileExists(atPath: page), !isOwnPage(page) {
      throw taken(page, "it is not a page of this program")
    }
  }

  /// Takes a case's files of earlier runs away, so that it leaves none if it fails.
  ///
  /// What other programs left stays until it is replaced.
  func removeOwn(_ item: BIDSRecipe.Case) {
    for image in item.images {
      let file = path(of: image)
      let sidecar = Sidecar.path(besides: file)
      let isForeign =
        SidecarFile(besides: file) == nil
        && (!wasOwn || FileManager.default.fileExists(atPath: sidecar))
      if isForeign { continue }
      for path in [file, sidecar] { unlink(path) }
    }
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
