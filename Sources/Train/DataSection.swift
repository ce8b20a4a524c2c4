import Imaging

extension TrainingConfiguration {
  /// Where samples come from and how they are made.
  public struct DataSection: Codable, Sendable, Equatable {
    /// The task's name in logs and cards.
    public var name = "restoration"
    /// The split file, or a folder in nnU-Net's, BIDS' or the authors' layout; relative to the
    /// configuration's folder.
    public var split = ""
    /// BIDS folders: which images.
    public var suffix = "T1w"
    /// nnU-Net and BIDS folders: part of the subjects that validates.
    public var validationShare = 0.2
    /// nnU-Net and BIDS folders: part of the subjects that is kept for testing.
    public var testShare = 0.0
    /// nnU-Net and BIDS folders: decides who is in which part.
    public var splitSeed: UInt64 = 0
    /// Megabytes of slices that are kept in memory; scans beyond that are read again when they are
    /// needed.
    public var cacheMegabytes = 8192
    /// What degrades the clean scans: `rician`, `mri-sr`, `mri-7t`, `ct-lowdose`, `pet-lowcount`; or
    /// `paired` if degraded scans exist.
    public var simulator = "rician"
    /// Rician noise, also that of `mri-sr` and `mri-7t`: σ per channel in percent of the clean volume's 99.5th
    /// percentile, drawn between these two for each sample.
    public var noisePercent = [1.0, 16.0]
    /// `mri-sr`, `mri-7t`: loss of resolution, drawn between these two.
    public var factor = [2.0, 2.0]
    /// `ct-lowdose`: photons of a detector, drawn between these two log-uniformly.
    public var photons = [1e5, 1e6]
    /// `ct-lowdose`: photons of the scanner that half of the clean slices are to come from, drawn between these two
    /// log-uniformly; its noise is part of the target (`LowDoseCT.ScannerNoise`); none if empty.
    ///
    /// For phantoms and pictures without noise, since references of patients have some.
    public var scannerPhotons: [Double] = []
    /// `pet-lowcount`: true counts of an average slice, drawn between these two log-uniformly.
    public var counts = [2e4, 2e5]
    /// `ct-lowdose`, `pet-lowcount`: noisy versions made of each slice when training starts.
    public var realisations = 3
    /// Slices on either side that the network is shown too: 1 for stacks of three (2.5D).
    public var neighbours = 0
    /// Most slices of a volume that are used, evenly spaced; 0 for all.
    public var slicesPerVolume = 0
    /// What an intensity of 0 in a file means; 1024 for CT pictures that hold HU + 1024.
    public var intensityOffset = 0.0
    /// Voxel size that is taken for pictures, mm.
    public var pictureSpacing = 1.0
    /// Maps of grey and white matter that brain phantoms are made of; none for generated ones.
    public var tissueMaps: [String] = []
    /// `positive`: 0 to the 99.5th percentile of voxels above 0; `all`: minimum to the 99.5th
    /// percentile of all; `mri`, `ct`, `pet`: the authors' fixed ranges; `byte`: 0 to 255.
    ///
    /// A bundle has that of the first task.
    public var normalization = "positive"
    /// Side of the square crops, pixels.
    public var crop = 96
    /// Share of foreground that a slice needs to be used.
    public var minimumForeground = 0.1
    /// Whether isotropic volumes are sliced in all three planes; others only as acquired.
    public var allPlanes = true
    /// Whether crops are flipped and turned by right angles.
    public var flips = true
    /// `unet-segmentation`: whether patches are turned, scaled and bent at random.
    public var deforms = true
    /// Factor on intensities, drawn between these two after the noise.
    public var intensityScale = [0.8, 1.2]
    /// Exponent on clean intensities, drawn between these two (log-uniformly) before the noise of
    /// `rician`, `mri-sr` and `mri-7t`.
    public var gamma = [0.7, 1.4]
    /// `rician`, `mri-sr`: the part of the samples whose clean intensities are mapped to those of another contrast
    /// before all else (``IntensityCurve/contrast(using:)``).
    public var contrastPart = 0.0
    /// `rician`, `ct-lowdose`: by which factor clean images are interpolated to a finer grid before the noise, drawn between
    /// these two (log-uniformly).
    ///
    /// Many scanners write images so. 1 and 1 leave them as they are.
    public var magnification = [1.0, 1.0]
    /// `mri-sr`: slices of half of the samples are reduced to a coarser grid with this part of their pixels along
    /// both axes, drawn between these two (``GridReduction``).
    ///
    /// Detail is then as fine as the grid allows. 1 and 1 leave every sample as it is.
    public var gridPart = [1.0, 1.0]
    /// `mri-sr`: the part of k-space that the scanner filled, drawn between these two along each axis for half
    /// of the samples, with a roll-off (``KSpaceFilling``); the others keep all that they have.
    ///
    /// 1 and 1 leave every sample as it is.
    public var acquiredPart = [1.0, 1.0]
    /// How many turns a task takes in each round of all `tasks`, where `train.mixing` is `equal`.
    public var turns = 1
    /// The part of the samples that show a stack's middle slice alone, in place of its neighbours too, as
    /// pictures will be (`neighbours`).
    public var alonePart = 0.125
    /// A bundle whose restorations the network learns from beside the clean images (``Teachers``): the name of
    /// an installed one, or a path with a slash, relative to the configuration's folder; empty for none.
    public var teacher = ""
    /// The weight of its restorations in the targets; that of the clean images is the rest.
    public var teacherWeight = 0.5
    /// `rician`: noise at which validation measures, percent.
    public var validationNoisePercent = 10.0
    /// `ct-lowdose`: photons at which validation measures.
    public var validationPhotons = 2.5e5
    /// `pet-lowcount`: counts at which validation measures.
    public var validationCounts = 5e4

    /// The defaults.
    public init() {}

    /// The simulators.
    public enum Simulator: String, Sendable, CaseIterable {
      /// Noise of magnitude images.
      case rician
      /// Truncated k-space.
      case superResolution = "mri-sr"
      /// Another contrast, less resolution, more noise.
      case fieldStrength = "mri-7t"
      /// Few photons.
      case lowDose = "ct-lowdose"
      /// Few counts.
      case lowCount = "pet-lowcount"
      /// None: degraded scans are given.
      case paired
    }

    /// The simulator by its name; valid configurations have one.
    var kind: Simulator { Simulator(rawValue: simulator) ?? .rician }

    /// Checks that the simulator takes a scan.
    ///
    /// - Throws: As `Volume.requireProjectable(file:)` for tomography.
    func requireProjectable(_ volume: Volume, file: String) throws(ImagingError) {
      guard [.lowDose, .lowCount].contains(kind) else { return }
      try volume.requireProjectable(file: file)
    }

    /// How intensities become those that the network sees.
    var intensities: IntensityNormalization {
      switch normalization {
      case "mri": .window(low: 0, high: 4095, clips: true)
      case "ct": .window(low: -1024, high: 3072, clips: true)
      case "pet": .window(low: 0, high: 20, clips: true)
      case "byte": .window(low: 0, high: 255, clips: true)
      case "all":
        // Magnitudes begin at 0, also where an image has no air.
        .percentile(
          low: 0, high: 99.5, of: .all,
          from: [.rician, .superResolution, .fieldStrength].contains(kind) ? 0 : nil)
      default: .percentile(low: 0, high: 99.5, of: .positive)
      }
    }

    func validate(prefix: String) throws(TrainingError) {
      func require(_ condition: Bool, _ key: String, _ reason: String) throws(TrainingError) {
        if !condition { throw .invalidValue(key: "\(prefix).\(key)", reason: reason) }
      }
      func pair(_ pair: [Double], _ key: String, _ range: ClosedRange<Double>)
        throws(TrainingError)
      {
        let fits = pair.count == 2 && pair[0] <= pair[1] && pair.allSatisfy(range.contains)
        try require(
          fits, key,
          "expected two ascending numbers in \(range.lowerBound)...\(range.upperBound)")
      }
      try require(!split.isEmpty, "split", "no split file is named")
      let names = Simulator.allCases.map(\.rawValue)
      try require(
        names.contains(simulator), "simulator",
        "`\(simulator)` is none of \(names.joined(separator: ", "))")
      try pair(noisePercent, "noise_percent", 0...100)
      try pair(factor, "factor", 1...16)
      try pair(photons, "photons", 10...1e9)
      try pair(counts, "counts", 10...1e12)
      try pair(intensityScale, "intensity_scale", 0.01...100)
      try pair(gamma, "gamma", 0.1...10)
      try require(
        gamma == Self().gamma || [.rician, .superResolution, .fieldStrength].contains(kind),
        "gamma",
        "goes with `rician`, `mri-sr` and `mri-7t` only")
      try require(
        (0...1).contains(contrastPart), "contrast_part", "\(contrastPart) is not in 0...1")
      try require(
        contrastPart == 0 || [.rician, .superResolution].contains(kind), "contrast_part",
        "goes with `rician` and `mri-sr` only")
      try pair(magnification, "magnification", 1...4)
      try require(
        magnification[1] == 1 || [.rician, .lowDose].contains(kind), "magnification",
        "goes with `rician` and `ct-lowdose` only")
      if !scannerPhotons.isEmpty {
        try pair(scannerPhotons, "scanner_photons", 10...1e12)
        try require(kind == .lowDose, "scanner_photons", "goes with `ct-lowdose` only")
      }
      try pair(gridPart, "grid_part", 0.25...1)
      try require(
        gridPart[0] == 1 || kind == .superResolution, "grid_part", "goes with `mri-sr` only")
      try pair(acquiredPart, "acquired_part", 0.1...1)
      try require(
        acquiredPart[0] == 1 || kind == .superResolution, "acquired_part", "goes with `mri-sr` only"
      )
      try require((1...1000).contains(turns), "turns", "\(turns) is not in 1...1000")
      try require((0...1).contains(alonePart), "alone_part", "\(alonePart) is not in 0...1")
      try require(
        (0...1).contains(teacherWeight), "teacher_weight", "\(teacherWeight) is not in 0...1")
      for (key, value, range) in [
        ("validation_noise_percent", validationNoisePercent, 0...100),
        ("validation_photons", validationPhotons, 10...1e9),
        ("validation_counts", validationCounts, 10...1e12),
        ("picture_spacing", pictureSpacing, 0.001...1000),
      ] as [(String, Double, ClosedRange<Double>)] {
        try require(
          range.contains(value), key, "is not in \(range.lowerBound)...\(range.upperBound)")
      }
      try require((1...1000).contains(realisations), "realisations", "is not in 1...1000")
      try require((0...8).contains(neighbours), "neighbours", "\(neighbours) is not in 0...8")
      try require(slicesPerVolume >= 0, "slices_per_volume", "is negative")
      try require(
        [0, 2].contains(tissueMaps.count), "tissue_maps", "are not two: grey and white matter")
      try require(
        ["positive", "all", "mri", "ct", "pet", "byte"].contains(normalization), "normalization",
        "`\(normalization)` is none of positive, all, mri, ct, pet, byte")
      try require(
        kind != .lowDose || normalization != "positive", "normalization",
        "`positive` leaves out what is below 0 HU: `all` or `ct` is for `ct-lowdose`")
      try require(
        validationShare >= 0 && testShare >= 0 && validationShare + testShare < 1,
        "validation_share", "and test_share leave nobody to train, or are negative")
      // More than any machine has; the bytes must still be a number.
      try require(
        (1...1 << 30).contains(cacheMegabytes), "cache_megabytes",
        "\(cacheMegabytes) is not in 1...\(1 << 30)")
      try require((8...4096).contains(crop), "crop", "\(crop) is not in 8...4096")
      try require((0...1).contains(minimumForeground), "minimum_foreground", "is not in 0...1")
    }
  }
}
