import Foundation
import Imaging
import Inference

extension BIDSCommand {
  /// A participant and what is to be made, or why that cannot be said.
  private struct Item {
    let label: String
    let cases: Result<[BIDSRecipe.Case], ImagingError>

    /// Nothing if it cannot be said.
    var known: [BIDSRecipe.Case]? { try? cases.get() }
  }

  private struct Document: Encodable {
    let ok: Bool
    let made: [BIDSWorker.Made]
    let pages: [String]
    let skipped: Int
    let failures: [CommandFailure.Content]
  }

  // MARK: - Levels

  /// Makes what belongs to each participant who is not done.
  func runParticipants(
    _ folder: BIDSFolder, _ output: BIDSOutput, _ description: BIDSFolder.Description?,
    _ bundle: ModelBundle, _ recipe: BIDSRecipe
  ) throws {
    let labels = try labels(in: folder)
    let (own, notice) = try sharding.select(labels)
    if let notice { Console.shared.info(notice) }
    // A part without participants has nothing to do, and nothing is wrong with that.
    let items =
      own.isEmpty ? [] : try self.items(own, folder, recipe, isPart: own.count < labels.count)
    for item in items { try OutputPaths.requireDistinct(item.known?.flatMap(\.files) ?? []) }
    let worker = try BIDSWorker(self, bundle, recipe.product, output)
    if !dryRun {
      for item in items {
        guard !many.overwrite, let cases = item.known else { continue }
        try output.requireFree(item.label, cases, bundle.card)
      }
      try output.prepare(raw: description, isFull: sidecars.provenance == .full)
    }
    var many = many
    many.skipExisting = !many.overwrite
    let outcome = try many.forEach(
      items, output: { "\(output.path)/\(BIDSOutput.page(of: $0.label))" },
      exists: { item in item.known.map { output.isDone(item.label, $0, bundle.card) } ?? false },
      skipped: "skipped, done"
    ) { item in
      try BIDSParticipantRun(
        label: item.label, cases: item.cases, worker: worker,
        continuesOnError: many.continueOnError
      ).run()
    }
    try show(outcome)
  }

  /// Gathers what participants left.
  func runGroup(
    _ folder: BIDSFolder, _ output: BIDSOutput, _ bundle: ModelBundle, _ recipe: BIDSRecipe
  ) throws {
    let items = try items(labels(in: folder), folder, recipe, isPart: false)
    var group = BIDSGroup(of: output)
    var missing: [String] = []
    for item in items {
      if output.wasOwn, let cases = item.known, output.isDone(item.label, cases, bundle.card) {
        group.add(item.label, cases)
      } else {
        missing.append("sub-" + item.label)
      }
    }
    let failure = missing.isEmpty ? nil : Self.missingResults(missing, of: items.count, in: output)
    if let failure {
      guard many.continueOnError, missing.count < items.count else { throw failure }
      Console.shared.error(failure.lines)
    }
    let paths = try group.write()
    if common.json {
      struct Group: Encodable {
        let ok: Bool
        let rows: Int
        let outputs: [String]
        let missing: [String]
      }
      Console.shared.result(
        Group(
          ok: missing.isEmpty, rows: group.rows.count, outputs: paths, missing: missing))
    } else {
      Console.shared.result(paths)
    }
    var outcome = BatchOutcome<String>()
    (outcome.reports, outcome.failures) = (paths, failure.map { [$0] } ?? [])
    try outcome.check()
  }

  private func show(_ outcome: BatchOutcome<BIDSParticipantRun.Report>) throws {
    var all = BatchOutcome<BIDSWorker.Made>()
    all.reports = outcome.reports.flatMap(\.made)
    all.failures = outcome.failures + outcome.reports.flatMap(\.failures)
    all.skipped = outcome.skipped
    let pages = outcome.reports.compactMap(\.page)
    if common.json {
      Console.shared.result(
        Document(
          ok: all.failures.isEmpty, made: all.reports, pages: pages, skipped: all.skipped,
          failures: all.failures.map(\.content)))
    } else {
      Console.shared.result(all.reports.map(\.line) + pages)
    }
    try all.check()
  }

  // MARK: - Who and what

  /// The participants that are meant.
  private func labels(in folder: BIDSFolder) throws -> [String] {
    guard !participants.isEmpty else { return folder.participantLabels }
    let wanted = Set(participants.map { Self.label($0, without: "sub-") })
    if let unknown = wanted.subtracting(folder.participantLabels).min() {
      throw Self.unknown(
        "participant", "sub-" + unknown, among: folder.participantLabels.map { "sub-" + $0 })
    }
    return folder.participantLabels.filter(wanted.contains)
  }

  /// What is to be made of participants; those without an image that the model takes are left out if no one asked
  /// for them by name, or if they are a part of a job, whose other parts may have some.
  private func items(
    _ labels: [String], _ folder: BIDSFolder, _ recipe: BIDSRecipe, isPart: Bool
  ) throws -> [Item] {
    let wanted = sessions.isEmpty ? nil : Set(sessions.map { Self.label($0, without: "ses-") })
    var (items, empty): ([Item], [String]) = ([], [])
    var (present, suffixes) = (Set<String>(), Set<String>())
    for label in labels {
      let participant = folder.participant(label)
      try check(participant, folder)
      present.formUnion(participant.sessions)
      suffixes.formUnion(participant.images.map(\.name.suffix))
      let cases = Result { () throws(ImagingError) in
        try recipe.cases(of: participant, sessions: wanted)
      }
      if case .success(let found) = cases, found.isEmpty {
        empty.append("sub-" + label)
      } else {
        items.append(Item(label: label, cases: cases))
      }
    }
    if !isPart, let wanted, let unknown = wanted.subtracting(present).min() {
      throw Self.unknown("session", "ses-" + unknown, among: present.sorted().map { "ses-" + $0 })
    }
    let kinds = recipe.suffixes.joined(separator: " or ")
    if !isPart, items.isEmpty || !empty.isEmpty && !participants.isEmpty {
      throw Self.noImages(folder, empty, kinds, wanted, present: suffixes)
    }
    for name in empty { Console.shared.warning("\(name): no \(kinds) image, left out") }
    return items
  }

  /// Refuses names that BIDS does not have, or says that they are left out.
  private func check(_ participant: BIDSFolder.Participant, _ folder: BIDSFolder) throws {
    guard !skipsValidation, let first = participant.problems.first else {
      for problem in participant.problems {
        Console.shared.warning("left out: \(problem.file ?? ""): \(problem.cause)")
      }
      return
    }
    var failure = CommandFailure(first)
    let others = participant.problems.count - 1
    if others > 0 { failure.cause += "; and \(others) more of sub-\(participant.label)" }
    throw failure
  }

  // MARK: - Words

  private static func label(_ text: String, without prefix: String) -> String {
    text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text
  }

  /// The first of many names.
  private static func list(_ names: [String]) -> String {
    names.prefix(8).joined(separator: ", ")
      + (names.count > 8 ? " and \(names.count - 8) more" : "")
  }

  private static func unknown(
    _ kind: String, _ name: String, among names: [String]
  ) -> CommandFailure {
    CommandFailure(
      code: ExitStatus.noInput, kind: "no-such-\(kind)", what: "no such \(kind) (\(name))",
      cause: names.isEmpty ? "the dataset has no \(kind)s" : "there are \(list(names))",
      advice: "name one that is there, or leave --\(kind)-label out for all", file: name)
  }

  private static func noImages(
    _ folder: BIDSFolder, _ names: [String], _ kinds: String, _ sessions: Set<String>?,
    present: Set<String>
  ) -> CommandFailure {
    let visits = sessions.map { " of \(list($0.sorted().map { "ses-" + $0 }))" } ?? ""
    return CommandFailure(
      code: ExitStatus.noInput, kind: "no-images", what: "no images found in \(folder.path)",
      cause: "\(list(names)): no \(kinds) image\(visits)",
      advice: present.isEmpty
        ? "check that images are named sub-LABEL/[ses-LABEL/]anat/…_T1w.nii.gz"
        : "there are \(list(present.sorted())): say which with --modality",
      file: folder.path)
  }

  private static func missingResults(
    _ names: [String], of count: Int, in output: BIDSOutput
  ) -> CommandFailure {
    CommandFailure(
      code: ExitStatus.noInput, kind: "missing-results",
      what: "results are missing (\(output.path))",
      cause: "\(names.count) of \(count) participants are not done: \(list(names))",
      advice: "run the level participant for them, or use --continue-on-error for the others alone",
      file: output.path)
  }
}
