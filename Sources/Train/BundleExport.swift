import Foundation
import Imaging
import Inference
import Layers
import Models

extension Trainer {
  /// Writes the best checkpoint as a model bundle into the run folder.
  ///
  /// The card says what the configuration says; figures on test subjects and words about intended use
  /// are the author's to complete.
  ///
  /// - Returns: The bundle's folder, `RUN/bundle`.
  /// - Throws: What reading the checkpoint and writing the files throws.
  public func exportBundle() throws -> String {
    let runFolder = loop.runFolder
    let folder = runFolder.path + "/bundle"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let stored = try Safetensors(contentsOf: runFolder.exported)
    var writer = SafetensorsWriter()
    // Derived entries follow from the others; leaving them out halves a small file.
    for entry in model.state {
      if case .derived = entry.content { continue }
      if let tensor = stored.tensor(named: entry.name) { writer.add(tensor, named: entry.name) }
    }
    try runFolder.write(writer.encoded(), to: folder + "/weights.safetensors")
    let digest = try SHA256.hexadecimal(ofFile: folder + "/weights.safetensors")
    var metrics: [String: Double] = [:]
    if let best = loop.best { metrics["validation_foreground_psnr_db"] = best.validationPSNR }
    let sections = configuration.allTasks
    let summaries = sections.map(\.summary)
    let image = ModelCard.DataFormat(modality: Self.modality(of: sections), channel: "intensity")
    var format = image
    let reach = sections[0].neighbours
    if reach > 0 {
      format.numChannels = 2 * reach + 1
      format.channelDef = Dictionary(
        uniqueKeysWithValues: (-reach...reach).map { place in
          let sign = place > 0 ? "+" : ""
          return ("\(place + reach)", "intensity" + (place == 0 ? "" : " of slice \(sign)\(place)"))
        })
    }
    var card = ModelCard(
      name: configuration.model.name, version: "1.0.0", network: ModelDescription(model),
      interface: .init(
        task: .restore, input: format, output: image, normalization: intensities(of: sections)),
      sizeMultiple: model.sizeMultiple,
      trainingData: summaries.map(\.data).joined(separator: " ")
        + (teachers.names.isEmpty
          ? "" : " Taught by \(teachers.names.joined(separator: ", "))."),
      intendedUse: "Research on " + summaries.map(\.use).joined(separator: ", ")
        + ", slice by slice.",
      limitations: "Not for diagnosis or treatment. Not tested on images unlike the training data."
        + (normalizationWarning.map { " In training \($0)." } ?? ""),
      metrics: metrics, weightsSHA256: digest,
      references: model is RestoreRWKV
        ? ["Yang et al., Restore-RWKV, arXiv 2407.11087, IEEE JBHI 30(1), 2026."] : [],
      license: "Apache-2.0")
    // Independent noise is alike in all planes; the network must have seen them.
    card.averagesPlanes =
      sections.allSatisfy { $0.kind == .rician } && dataset.seesAllPlanes ? true : nil
    if sections.contains(where: { $0.kind == .lowDose && $0.normalization == "all" }) {
      card.paddingBelow = Double(LowDoseCT.range.lowerBound)
    }
    // Photographs may be a task beside scans: what counts is that all were truncated alike.
    let factors = Set(sections.map(\.exactKSpaceFactor))
    card.kSpaceFactor = factors.count == 1 ? sections[0].exactKSpaceFactor : nil
    try card.write(toBundle: folder)
    return folder
  }

  /// The normalisation of the first task; of several, that of one whose intensities begin at 0, if there is one.
  private func intensities(
    of sections: [TrainingConfiguration.DataSection]
  ) -> IntensityNormalization {
    let first = sections[0]
    let alike = sections.filter { $0.normalization == first.normalization }.map(\.intensities)
    return alike.first {
      if case .percentile(_, _, _, _, let from) = $0 { return from != nil }
      return false
    } ?? first.intensities
  }

  private static func modality(of sections: [TrainingConfiguration.DataSection]) -> String {
    let modalities = Set(sections.map(\.summary.modality))
    return modalities.count == 1
      ? modalities.first ?? "" : modalities.sorted().joined(separator: "+")
  }
}

extension TrainingConfiguration.DataSection {
  /// By how much k-space is truncated if that is always the same and without noise: what was measured is
  /// then right as it is.
  fileprivate var exactKSpaceFactor: Double? {
    kind == .superResolution && factor[0] == factor[1] && noisePercent[1] == 0 ? factor[0] : nil
  }

  /// What a card says of a task.
  fileprivate var summary: (modality: String, data: String, use: String) {
    func text(_ range: [Double]) -> String {
      range[0] == range[1] ? "\(range[0])" : "\(range[0]) to \(range[1])"
    }
    return switch kind {
    case .rician:
      (
        "MR", "Clean scans with simulated Rician noise of \(text(noisePercent)) percent.",
        "denoising of magnitude MR images"
      )
    case .superResolution:
      (
        "MR", "Clean scans with k-space truncated in plane by the factor \(text(factor)).",
        "super-resolution of MR images in plane"
      )
    case .fieldStrength:
      (
        "MR",
        "Simulated pairs of field strengths, made of clean scans: contrast, resolution, noise.",
        "7T-like images from 3T-like MR images"
      )
    case .lowDose:
      (
        "CT", "Clean slices with simulated counts of \(text(photons)) photons a detector.",
        "denoising of low-dose CT"
      )
    case .paired:
      (
        normalization == "ct" ? "CT" : normalization == "pet" ? "PT" : "MR",
        "Pairs of degraded and clean scans.", "restoring scans like those of the pairs"
      )
    case .lowCount:
      (
        "PT", "Clean activity with simulated counts of \(text(counts)) an average slice.",
        "restoring PET of few counts"
      )
    }
  }
}
