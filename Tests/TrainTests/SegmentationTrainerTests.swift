import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing
import Train

@Suite("Self-configuring segmentation")
struct SegmentationTrainerTests {
  /// Bright ellipsoids (1) with a darker core (2) in noise, on grids of several spacings.
  static func dataset(
    cases: Int, size: [Int], spacing: [Double], seed: UInt64 = 1
  ) throws -> String {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("segmentation-\(UUID().uuidString)").path
    for part in ["imagesTr", "labelsTr"] {
      try FileManager.default.createDirectory(
        atPath: path + "/" + part, withIntermediateDirectories: true)
    }
    try Data(
      #"{"channel_names": {"0": "T1"}, "labels": {"background": 0, "shell": 1, "core": 2}}"#.utf8
    ).write(to: URL(fileURLWithPath: path + "/dataset.json"))
    var random = SeededGenerator(seed: seed)
    for index in 0..<cases {
      // Voxel sizes vary a little from case to case.
      let factor = 1 + 0.1 * Double(index % 3)
      let grid = GridSize(x: size[2], y: size[1], z: size[0])
      let geometry = Geometry(
        size: grid, spacing: SIMD3(spacing[2], spacing[1], spacing[0]) * factor)
      let extent = (0..<3).map { Double(size[$0]) * spacing[$0] * factor }
      let centre = extent.map { $0 * (0.4 + 0.2 * random.nextUniformDouble()) }
      let wide = (0..<3).filter { size[$0] > 8 }
      let radius = 0.35 * (wide.map { extent[$0] }.min() ?? 1)
      var image = [Float](repeating: 0, count: grid.count)
      var labels = image
      for voxel in image.indices {
        let place = [voxel / (size[1] * size[2]), voxel / size[2] % size[1], voxel % size[2]]
        var distance = 0.0
        for axis in wide {
          let offset = (Double(place[axis]) + 0.5) * spacing[axis] * factor - centre[axis]
          distance += offset * offset
        }
        distance = distance.squareRoot() / radius
        labels[voxel] = distance < 0.6 ? 2 : distance < 1 ? 1 : 0
        image[voxel] =
          [100, 200, 150][Int(labels[voxel])] + 10 * random.nextNormal()
      }
      try NIfTI.write(
        Volume(voxels: image, geometry: geometry), to: "\(path)/imagesTr/c\(index)_0000.nii.gz")
      try NIfTI.write(
        Volume(voxels: labels, geometry: geometry), to: "\(path)/labelsTr/c\(index).nii.gz",
        options: NIfTIWriteOptions(dataType: .labels))
    }
    return path
  }

  static func configuration(_ folder: String, steps: Int) -> TrainingConfiguration {
    var configuration = SegmentationTrainer.defaults(for: folder)
    configuration.train.iterations = steps
    configuration.train.batch = 2
    configuration.train.validateEvery = 20
    configuration.train.logEvery = 10
    configuration.optim.learningRate = 5e-3
    configuration.schedule.warmup = 3
    return configuration
  }

  @Test("sessions of a person stay in one part")
  func sessions() throws {
    let folder = try Self.dataset(cases: 4, size: [2, 16, 16], spacing: [4, 1, 1])
    defer {
      for path in [folder, folder + "-run"] { try? FileManager.default.removeItem(atPath: path) }
    }
    for (index, name) in ["sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1", "sub-2_ses-2"].enumerated() {
      for (from, to) in [
        ("imagesTr/c\(index)_0000", "imagesTr/\(name)_0000"),
        ("labelsTr/c\(index)", "labelsTr/\(name)"),
      ] {
        try FileManager.default.moveItem(
          atPath: "\(folder)/\(from).nii.gz", toPath: "\(folder)/\(to).nii.gz")
      }
    }
    _ = try SegmentationTrainer(Self.configuration(folder, steps: 1), folder: folder + "-run")
    let split = try #require(
      JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: folder + "-run/split-segmentation.json")))
        as? [String: Any])
    let text = "\(split["validation"] ?? "")"
    #expect(text.contains("ses-1") && text.contains("ses-2"))
    #expect(text.contains("sub-1") != text.contains("sub-2"), "\(text)")
  }

  @Test("a label map with NaN is refused: it would be background")
  func brokenLabels() throws {
    let folder = try Self.dataset(cases: 3, size: [2, 16, 16], spacing: [4, 1, 1])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/labelsTr/c1.nii.gz"
    var map = try NIfTI.read(path).volume
    map.voxels[3] = .nan
    try NIfTI.write(
      map, to: path, options: NIfTIWriteOptions(dataType: .float32, overwrite: true))
    let error = try #require(throws: ImagingError.self) {
      try SegmentationTrainer(Self.configuration(folder, steps: 1), folder: folder + "-run")
    }
    #expect(error.what == "label map is not integer" && error.file == path, "\(error)")
  }

  @Test("a case with a wrong voxel size is refused before it is resampled")
  func wrongSpacing() throws {
    let (size, mm) = ([16, 16, 16], [1.0, 1, 1])
    let folder = try Self.dataset(cases: 4, size: size, spacing: mm)
    let wrong = try Self.dataset(cases: 4, size: size, spacing: mm.map { 2000 * $0 }, seed: 5)
    defer {
      for path in [folder, folder + "-run", wrong] {
        try? FileManager.default.removeItem(atPath: path)
      }
    }
    for file in ["imagesTr/c3_0000.nii.gz", "labelsTr/c3.nii.gz"] {
      try FileManager.default.removeItem(atPath: "\(folder)/\(file)")
      try FileManager.default.copyItem(atPath: "\(wrong)/\(file)", toPath: "\(folder)/\(file)")
    }
    let error = try #require(throws: ImagingError.self) {
      try SegmentationTrainer(Self.configuration(folder, steps: 1), folder: folder + "-run")
    }
    #expect("\(error)".contains("c3_0000.nii.gz"), "\(error)")
    // Flaws of the data leave no folder behind.
    #expect(!FileManager.default.fileExists(atPath: folder + "-run"))
  }

  @Test(
    "structures of a small dataset are learnt within seconds",
    arguments: [("2d", [4, 32, 32], [4.0, 1, 1]), ("3d", [16, 16, 16], [1.5, 1.5, 1.5])])
  func learns(preset: String, size: [Int], spacing: [Double]) throws {
    let folder = try Self.dataset(cases: 5, size: size, spacing: spacing)
    defer { for end in ["", "-run"] { try? FileManager.default.removeItem(atPath: folder + end) } }
    var configuration = Self.configuration(folder, steps: 60)
    configuration.model.preset = preset
    try configuration.validate()
    let trainer = try SegmentationTrainer(configuration, folder: folder + "-run")
    #expect(trainer.plan.axes == (preset == "2d" ? 2 : 3))
    #expect(trainer.validationNames.count == 1)
    var losses: [Double] = []
    #expect(
      try trainer.run(shouldStop: { false }, report: { losses.append($0.loss) }) == .finished)
    #expect((losses.last ?? 9) < 0.7 * (losses.first ?? 0))
    let best = try #require(trainer.best)
    #expect(best.dice.allSatisfy { $0 > 0.7 }, "\(best)")
    // The bundle, from the file on, against the truth of a case it was not trained on.
    let bundle = try ModelBundle(path: trainer.exportBundle())
    let plan = try #require(bundle.card.plan)
    #expect(plan == trainer.plan)
    let segmenter = try VolumeSegmenter(
      try #require(try bundle.loadModel() as? UNet), plan: plan)
    let fresh = try Self.dataset(cases: 1, size: size, spacing: spacing, seed: 77)
    defer { try? FileManager.default.removeItem(atPath: fresh) }
    let image = try ScanFile.read(fresh + "/imagesTr/c0_0000.nii.gz").volume
    let truth = try LabelMap(
      ScanFile.read(fresh + "/labelsTr/c0.nii.gz").volume, file: "c0")
    let segmentation = try segmenter.segment([image])
    let found = segmentation.labels
    let (shell, core) = (segmentation.probability(of: 1), segmentation.probability(of: 2))
    for voxel in found.labels.indices {
      let chances = [shell.voxels[voxel], core.voxels[voxel]]
      let rest = 1 - chances[0] - chances[1]
      #expect(chances.allSatisfy { (-1e-5...1 + 1e-5).contains($0) })
      // The label is that of the highest probability.
      let best = max(rest, chances[0], chances[1])
      #expect(abs([rest, chances[0], chances[1]][Int(found.labels[voxel])] - best) < 1e-5)
    }
    #expect(found.geometry == image.geometry)
    for label in 1...2 {
      let score = OverlapScore(of: found.mask(of: label), against: truth.mask(of: label))
      #expect(score.dice > 0.6, "label \(label): \(score.dice)")
    }
  }

  @Test("a run that was cut goes on to the bit")
  func resume() throws {
    let folder = try Self.dataset(cases: 3, size: [3, 24, 24], spacing: [4, 1, 1])
    defer {
      for end in ["", "-a", "-b"] { try? FileManager.default.removeItem(atPath: folder + end) }
    }
    var configuration = Self.configuration(folder, steps: 5)
    configuration.optim.ema = 0.9
    let whole = try SegmentationTrainer(configuration, folder: folder + "-a")
    #expect(try whole.run(shouldStop: { false }, report: { _ in }) == .finished)
    var asked = 0
    let cut = try SegmentationTrainer(configuration, folder: folder + "-b")
    let outcome = try cut.run(
      shouldStop: {
        asked += 1
        return asked == 2
      }, report: { _ in })
    #expect(outcome == .stopped && cut.step == 2)
    #expect(throws: TrainingError.self) {
      try SegmentationTrainer(configuration, folder: folder + "-b")
    }
    let rest = try SegmentationTrainer(configuration, folder: folder + "-b", resume: true)
    #expect(try rest.run(shouldStop: { false }, report: { _ in }) == .finished)
    let files = try ["a", "b"].map { run in
      try Data(
        contentsOf: URL(fileURLWithPath: "\(folder)-\(run)/checkpoints/latest.safetensors"))
    }
    #expect(files[0] == files[1])
  }

  @Test("a run does not go on with cases that moved from part to part")
  func otherCases() throws {
    let folder = try Self.dataset(cases: 3, size: [3, 24, 24], spacing: [2, 1, 1])
    let run = folder + "-run"
    defer { for path in [folder, run] { try? FileManager.default.removeItem(atPath: path) } }
    let configuration = Self.configuration(folder, steps: 2)
    _ = try SegmentationTrainer(configuration, folder: run)
      .run(shouldStop: { true }, report: { _ in })
    // The same images under other names: the plan stays.
    for index in 0..<3 {
      for (part, end) in [("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")] {
        try FileManager.default.copyItem(
          atPath: "\(folder)/\(part)/c\(index)\(end)",
          toPath: "\(folder)/\(part)/d\(index)\(end)")
      }
    }
    #expect(
      throws: TrainingError.cannotResume(
        folder: run, reason: "\(folder) has other files or parts than when the run began")
    ) { try SegmentationTrainer(configuration, folder: run, resume: true) }
  }

  @Test("keys that this training does not heed are refused")
  func unheeded() throws {
    let folder = try Self.dataset(cases: 2, size: [2, 16, 16], spacing: [4, 1, 1])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let changes: [(String, (inout TrainingConfiguration) -> Void)] = [
      ("train.accumulate", { $0.train.accumulate = 2 }),
      ("train.prefetch", { $0.train.prefetch = 3 }),
      ("train.checkpoint_activations", { $0.train.checkpointActivations = true }),
      ("loss", { $0.loss.name = "l2" }), ("tasks", { $0.tasks = [$0.data] }),
      ("data.test_share", { $0.data.testShare = 0.2 }),
      ("data.intensity_scale", { $0.data.intensityScale = [0.5, 2] }),
      ("data.teacher", { $0.data.teacher = "mri-denoise" }),
      ("model.hyperparameters", { $0.model.hyperparameters = ["dims": .integer(2)] }),
    ]
    for (key, change) in changes {
      var configuration = Self.configuration(folder, steps: 1)
      change(&configuration)
      let error = try #require(throws: TrainingError.self) {
        try SegmentationTrainer(configuration, folder: folder + "-x")
      }
      guard case .invalidValue(key, _) = error else {
        Issue.record("\(key): \(error)")
        continue
      }
    }
    #expect(!FileManager.default.fileExists(atPath: folder + "-x"))
  }

  @Test("any convolution that two axes allow; a bound one only where all images are one patch")
  func convolutions() throws {
    let folder = try Self.dataset(cases: 3, size: [2, 32, 32], spacing: [4, 1, 1])
    defer {
      for end in ["", "-w", "-t", "-u"] {
        try? FileManager.default.removeItem(atPath: folder + end)
      }
    }
    var configuration = Self.configuration(folder, steps: 1)
    configuration.model.convolution = .choice(ConvolutionChoice(.weighted))
    let weighted = try SegmentationTrainer(configuration, folder: folder + "-w")
    #expect((weighted.convolutions[.weighted] ?? 0) > 4)
    #expect(try weighted.run(shouldStop: { false }, report: { _ in }) == .finished)
    var choice = ConvolutionChoice(.tvconv)
    choice.imageSize = [32, 32]
    choice.fallback = .plain
    configuration.model.convolution = .choice(choice)
    // Voxels of the cases differ in size, so that not all are one patch after resampling.
    #expect(throws: TrainingError.self) {
      try SegmentationTrainer(configuration, folder: folder + "-t")
    }
    configuration.model.preset = "4d"
    #expect(throws: TrainingError.self) {
      try SegmentationTrainer(configuration, folder: folder + "-u")
    }
  }

  @Test("a third of the patches lies around a structure; labels follow their images")
  func batches() throws {
    let folder = try Self.dataset(cases: 3, size: [40, 40, 40], spacing: [1, 1, 1])
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var planner = SegmentationPlanner(axes: .three)
    planner.volumeBudget = 8 * 8 * 8
    let set = try SegmentationDataset(
      NNUNetFolder(path: folder), TrainingConfiguration().data, planner: planner)
    #expect(set.plan.patch == [8, 8, 8])
    for step in 0..<8 {
      let (images, labels) = set.batch(step: step, count: 3, seed: 4, flips: true, deforms: true)
      let again = set.batch(step: step, count: 3, seed: 4, flips: true, deforms: true)
      #expect(images.values == again.images.values && labels.values == again.labels.values)
      let guided = labels.sliced(axis: 0, 2..<3).values
      let inside = stride(from: 0, to: guided.count, by: 3).count {
        guided[$0 + 1] + guided[$0 + 2] > 0
      }
      #expect(inside > 0)
      // One-hot, and bright where the shell is.
      let (pixels, truth) = (images.values, labels.values)
      var (shell, outside) = ((0.0, 0.0), (0.0, 0.0))
      for voxel in pixels.indices {
        #expect(truth[3 * voxel] + truth[3 * voxel + 1] + truth[3 * voxel + 2] == 1)
        if truth[3 * voxel + 1] == 1 { shell = (shell.0 + Double(pixels[voxel]), shell.1 + 1) }
        if truth[3 * voxel] == 1 { outside = (outside.0 + Double(pixels[voxel]), outside.1 + 1) }
      }
      if shell.1 > 0, outside.1 > 0 { #expect(shell.0 / shell.1 > outside.0 / outside.1) }
    }
  }
}

@Suite("Images as a plan sees them")
struct SegmentationPreprocessorTests {
  private static func plan(sliceAxis: Int, spacing: [Double]) -> SegmentationPlan {
    SegmentationPlan(
      channels: [.init(name: "T1", normalization: .ofImage)],
      labels: [NNUNetFolder.Label(name: "a", value: 1), NNUNetFolder.Label(name: "b", value: 2)],
      axes: 3, sliceAxis: sliceAxis, spacing: spacing, patch: [4, 4, 4], pooling: [], batch: 2,
      medianSize: [4, 4, 4])
  }

  @Test("labels survive the way there and back for every slice axis", arguments: [0, 1, 2])
  func thereAndBack(sliceAxis: Int) throws {
    let geometry = Geometry(size: GridSize(x: 7, y: 5, z: 6), spacing: SIMD3(1, 2, 3))
    var labels: [Int32] = []
    for voxel in 0..<210 { labels.append(Int32((voxel / 3 + voxel / 7) % 3)) }
    let map = LabelMap(labels: labels, geometry: geometry)
    let spacings: [[Double]] = [[1, 3, 2], [2, 3, 1], [3, 2, 1]]
    let spacing = spacings[sliceAxis]
    let preprocessor = SegmentationPreprocessor(Self.plan(sliceAxis: sliceAxis, spacing: spacing))
    let prepared = preprocessor.labels(map)
    let sizes = preprocessor.plan.size(of: geometry)
    let expected: [[Int]] = [[7, 6, 5], [5, 6, 7], [6, 5, 7]]
    #expect(sizes == expected[sliceAxis])
    let shape = Shape([1] + sizes)
    let hot = Tensor(shape, prepared.map(Float.init)).oneHot(classes: 3)
    #expect(
      try preprocessor.labelMap(preprocessor.onGrid(hot, of: geometry), on: geometry) == map)
    // The image is permuted like the labels.
    let volume = Volume(voxels: labels.map(Float.init), geometry: geometry)
    let image = preprocessor.image([volume])
    #expect(image.shape == Shape([1] + sizes + [1]))
    var levels = [Set<Float>](repeating: [], count: 3)
    for (value, label) in zip(image.values, prepared) { levels[Int(label)].insert(value) }
    #expect(levels.allSatisfy { $0.count == 1 })
  }

  @Test("an image looks the same however it is stored; plans of before count storage axes")
  func storage() throws {
    // One body of 7 x 5 x 6 voxels, stored along right, anterior, superior, and along inferior, left, posterior.
    let geometry = Geometry(size: GridSize(x: 7, y: 5, z: 6), spacing: SIMD3(1, 2, 3))
    let volume = Volume(voxels: (0..<210).map { Float($0 * $0 % 97) }, geometry: geometry)
    let turned = Geometry(
      size: GridSize(x: 6, y: 7, z: 5),
      affine: Affine(
        i: SIMD3(0, 0, -3), j: SIMD3(-1, 0, 0), k: SIMD3(0, -2, 0),
        origin: SIMD3(6, 8, 15)))
    let other = Volume(
      voxels: AnatomicalGrid(turned).voxels(of: AnatomicalGrid(geometry).array(of: volume.voxels)),
      geometry: turned)
    var plan = Self.plan(sliceAxis: 2, spacing: [3, 2, 1])
    let preprocessor = SegmentationPreprocessor(plan)
    #expect(preprocessor.image([volume]).values == preprocessor.image([other]).values)
    #expect(plan.size(of: turned) == [6, 5, 7])
    let maps = [volume, other].map { image in
      LabelMap(labels: image.voxels.map { Int32($0) % 3 }, geometry: image.geometry)
    }
    let prepared = maps.map(preprocessor.labels)
    #expect(prepared[0] == prepared[1])
    let hot = Tensor([1, 6, 5, 7], prepared[0].map(Float.init)).oneHot(classes: 3)
    for map in maps {
      let back = preprocessor.onGrid(hot, of: map.geometry)
      #expect(try preprocessor.labelMap(back, on: map.geometry) == map)
    }
    plan.isAnatomical = false
    #expect(SegmentationPreprocessor(plan).image([other]).shape == Shape([1, 3, 4, 18, 1]))
    var stored = try #require(
      JSONSerialization.jsonObject(with: JSONEncoder().encode(plan)) as? [String: Any])
    #expect(stored.removeValue(forKey: "isAnatomical") != nil)
    let old = try JSONDecoder().decode(
      SegmentationPlan.self, from: JSONSerialization.data(withJSONObject: stored))
    #expect(old == plan)
  }

  @Test("resampling keeps what is linear, and normalisation makes mean 0 and deviation 1")
  func image() {
    let geometry = Geometry(size: GridSize(x: 40, y: 6, z: 5), spacing: SIMD3(1, 1, 1))
    let volume = Volume(voxels: (0..<1200).map { Float($0 % 40) }, geometry: geometry)
    let half = SegmentationPreprocessor(Self.plan(sliceAxis: 2, spacing: [1, 1, 2]))
    let values = half.image([volume]).values
    #expect(half.plan.size(of: geometry) == [5, 6, 20])
    // Differences between neighbours are equal: two old steps.
    let row = values[0..<20].map(Double.init)
    let deviation = (0..<40).reduce(0.0) { $0 + pow(Double($1) - 19.5, 2) } / 40
    let step = 2 / deviation.squareRoot()
    for (a, b) in zip(row, row.dropFirst()) { #expect(abs(b - a - step) < 1e-4) }
    #expect(abs(row.reduce(0, +)) < 1e-3)
    let constant = Volume(voxels: [Float](repeating: 5, count: 1200), geometry: geometry)
    #expect(half.image([constant]).values.allSatisfy { $0 == 0 })
  }
}
