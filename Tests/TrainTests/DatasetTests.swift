import Foundation
import Imaging
import Layers
import Randomness
import TensorCore
import Testing
import Train

@Suite("Datasets")
struct DatasetTests {
  /// A folder that is removed by the caller.
  func folder() throws -> String {
    let folder = NSTemporaryDirectory() + "restore-dataset-\(UInt64.random(in: 0..<1 << 60))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return folder
  }

  func write(_ path: String, seed: UInt64 = 1, offset: Float = 0) throws {
    let url = URL(fileURLWithPath: path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    var generator = SeededGenerator(seed: seed)
    let size = GridSize(x: 24, y: 20, z: 3)
    let voxels = (0..<size.count).map { (index: Int) -> Float in
      300 + 200 * sin(Float(index % 24) / 3) + 20 * generator.nextUniform() + offset
    }
    try NIfTI.write(
      Volume(voxels: voxels, geometry: Geometry(size: size, spacing: SIMD3(1, 1, 4))), to: path,
      options: NIfTIWriteOptions(dataType: .float32))
  }

  func section(_ change: (inout TrainingConfiguration.DataSection) -> Void = { _ in })
    -> TrainingConfiguration.DataSection
  {
    var section = TrainingConfiguration.DataSection()
    section.crop = 16
    change(&section)
    return section
  }

  @Test("a BIDS folder is divided by subject, sessions together, the same way each time")
  func bids() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for subject in 1...10 {
      for session in ["ses-A", "ses-B"] {
        let stem = "\(root)/sub-\(subject)/\(session)/anat/sub-\(subject)_\(session)"
        try write(stem + "_T1w.nii.gz")
        try write(stem + "_T2w.nii.gz")
      }
    }
    let settings = section {
      $0.validationShare = 0.2
      $0.testShare = 0.1
    }
    let split = try DataSplit(contentsOf: root, settings)
    #expect((split.train.count, split.validation.count, split.test.count) == (7, 2, 1))
    let all = split.train + split.validation + split.test
    #expect(Set(all.map(\.subject)).count == 10)
    #expect(all.allSatisfy { $0.files.count == 2 && $0.files.allSatisfy { $0.contains("T1w") } })
    #expect(try DataSplit(contentsOf: root, settings) == split)
    var other = settings
    other.splitSeed = 1
    #expect(try DataSplit(contentsOf: root, other) != split)
    other.suffix = "FLAIR"
    #expect(throws: TrainingError.self) { try DataSplit(contentsOf: root, other) }
    #expect(String(decoding: try split.json(), as: UTF8.self).contains("\"sub-3\""))
  }

  @Test("an nnU-Net folder: channel 0 is clean, or the input of a pair whose target is channel 1")
  func nnUNet() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try Data("{}".utf8).write(to: URL(fileURLWithPath: root + "/dataset.json"))
    try FileManager.default.createDirectory(
      atPath: root + "/imagesTr", withIntermediateDirectories: true)
    for number in 0..<5 {
      try write("\(root)/imagesTr/case_\(number)_0000.nii.gz")
      try write("\(root)/imagesTr/case_\(number)_0001.nii.gz")
    }
    try write("\(root)/imagesTs/case_9_0000.nii.gz")
    let split = try DataSplit(contentsOf: root, section())
    #expect((split.train.count, split.validation.count, split.test.count) == (4, 1, 1))
    #expect(split.train.allSatisfy { $0.files[0].hasSuffix("_0000.nii.gz") && $0.inputs == nil })
    let paired = section { $0.simulator = "paired" }
    #expect(throws: TrainingError.self) { try DataSplit(contentsOf: root, paired) }
    try write("\(root)/imagesTs/case_9_0001.nii.gz")
    let pairs = try DataSplit(contentsOf: root, paired)
    #expect(pairs.train.allSatisfy { $0.files[0].hasSuffix("_0001.nii.gz") })
    #expect(pairs.train.allSatisfy { $0.inputs?[0].hasSuffix("_0000.nii.gz") == true })
  }

  @Test("sessions of a person, named as BIDS does, are one subject of an nnU-Net folder")
  func nnUNetSessions() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for person in 1...3 {
      for session in 1...2 {
        try write("\(root)/imagesTr/sub-0\(person)_ses-\(session)_0000.nii.gz")
      }
    }
    try Data("{}".utf8).write(to: URL(fileURLWithPath: root + "/dataset.json"))
    for seed in 0..<5 as Range<UInt64> {
      let split = try DataSplit(contentsOf: root, section { $0.splitSeed = seed })
      let all = split.train + split.validation
      #expect(all.map(\.subject).sorted() == ["sub-01", "sub-02", "sub-03"])
      #expect(all.allSatisfy { $0.files.count == 2 && $0.inputs == nil })
    }
  }

  @Test("the authors' layout trains a pair; a file without counterpart is named")
  func authors() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for (part, name) in [("train", "a"), ("validation", "b"), ("test", "c")] {
      try write("\(root)/MRI/\(part)/HQ/\(name).nii")
      try write("\(root)/MRI/\(part)/LQ/\(name).nii", seed: 5, offset: 30)
    }
    let settings = section {
      $0.simulator = "paired"
      $0.normalization = "mri"
      $0.split = root
    }
    let split = try DataSplit(contentsOf: root, settings)
    #expect(split.train.map(\.subject) == ["MRI/a"] && split.test.map(\.subject) == ["MRI/c"])
    var configuration = TrainingConfiguration()
    configuration.data = settings
    configuration.data.intensityScale = [1, 1]
    let (noisy, clean) = try SliceDataset(configuration).batch(step: 0, batch: 2)
    let difference = zip(noisy.values, clean.values).map { ($0 - $1) * 4095 }
    // The input is the target plus 30, up to the grain of 20.
    #expect(difference.allSatisfy { $0 > 9 && $0 < 51 })
    // Another modality has another range.
    for part in ["train", "validation", "test"] {
      for kind in ["HQ", "LQ"] { try write("\(root)/CT/\(part)/\(kind)/\(part).nii") }
    }
    let mixed = try #require(throws: TrainingError.self) {
      try DataSplit(contentsOf: root, settings)
    }
    #expect("\(mixed)".contains("CT/, MRI/"), "\(mixed)")
    let ranged = section {
      $0.simulator = "paired"
      $0.normalization = "all"
    }
    #expect(try DataSplit(contentsOf: root, ranged).train.count == 2)
    try FileManager.default.removeItem(atPath: root + "/CT")
    try write("\(root)/MRI/train/HQ/d.nii")
    do {
      _ = try DataSplit(contentsOf: root, settings)
      Issue.record("it was accepted")
    } catch { #expect("\(error)".contains("MRI/train/HQ/d.nii has no counterpart")) }
  }

  @Test("the authors' pickled slices train; a tensor that is no slice is named")
  func pickles() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    /// `pickle.dump(tensor, file, protocol=2)` of a float32 tensor.
    func write(_ name: String, _ sizes: [UInt8], _ strides: [UInt8], _ values: [Float]) throws {
      func text(_ text: String) -> [UInt8] { [0x58, UInt8(text.utf8.count), 0, 0, 0] + text.utf8 }
      func numbers(_ numbers: [UInt8]) -> [UInt8] {
        [0x28] + numbers.flatMap { [0x4B, $0] } + [0x74]
      }
      let (low, high) = (UInt8(values.count % 256), UInt8(values.count / 256))
      var storage: [UInt8] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8]
      storage += [0x50, 0x19, 0x2E, 0x80, 2, 0x4D, 0xE9, 3, 0x2E]
      storage += [0x80, 2, 0x7D, 0x28] + text("little_endian") + [0x88, 0x75, 0x2E]
      storage += [0x80, 2, 0x28] + text("storage") + Array("ctorch\nFloatStorage\n".utf8)
      storage += text("7") + text("cpu") + [0x4D, low, high]
      storage += [0x4E, 0x74, 0x51, 0x2E, 0x80, 2, 0x5D] + text("7") + [0x61, 0x2E]
      storage += [low, high, 0, 0, 0, 0, 0, 0]
      for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { storage += $0 } }
      var file: [UInt8] = [0x80, 2] + Array("ctorch._utils\n_rebuild_tensor_v2\n".utf8) + [0x28]
      file += Array("ctorch.storage\n_load_from_bytes\n".utf8) + [0x42]
      file += [UInt8(storage.count % 256), UInt8(storage.count / 256), 0, 0] + storage
      file += [0x85, 0x52]
      file += [0x4B, 0] + numbers(sizes) + numbers(strides) + [0x89, 0x4E, 0x74, 0x52, 0x2E]
      let url = URL(fileURLWithPath: "\(root)/\(name)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(file).write(to: url)
    }
    let values = (0..<16 * 20).map { Float(1000 + $0) }
    for part in ["train", "validation", "test"] {
      try write("CT/\(part)/HQ/\(part).bin", [1, 16, 20], [0, 20, 1], values)
      try write("CT/\(part)/LQ/\(part).bin", [1, 16, 20], [0, 20, 1], values.map { $0 + 40 })
    }
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.simulator = "paired"
      $0.normalization = "ct"
      $0.split = root
      $0.intensityScale = [1, 1]
    }
    let dataset = try SliceDataset(configuration)
    #expect(dataset.count == 1)
    let (noisy, clean) = try dataset.batch(step: 0, batch: 2)
    let gaps = zip(noisy.values, clean.values).map { ($0 - $1) * 4096 }
    #expect(gaps.allSatisfy { abs($0 - 40) < 0.1 })
    // Each clean pixel is one of the file's.
    #expect(clean.values.allSatisfy { (999.9...1319.1).contains($0 * 4096 - 1024) })
    try write("CT/train/HQ/train.bin", [2, 16, 10], [160, 10, 1], values)
    #expect(throws: TrainingError.self) { try SliceDataset(configuration) }
  }

  @Test("lists of pairs of pictures train; lines that are no pair are named")
  func lists() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    try FileManager.default.createDirectory(
      atPath: root + "/png", withIntermediateDirectories: true)
    for (name, value) in [("3t_1", 51), ("7t_1", 102), ("3t_2", 51), ("7t_2", 102)] {
      let pixels = [Float](repeating: Float(value), count: 24 * 20)
      let image = PNGImage.rounding(pixels, height: 20, width: 24, colour: .grey, bitDepth: 8).image
      try image.encoded().write(to: URL(fileURLWithPath: "\(root)/png/\(name).png"))
    }
    func write(_ text: String, _ name: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: root + "/" + name))
    }
    try write("png/3t_1.png,png/7t_1.png\n\n", "train.txt")
    try write("png/3t_2.png, png/7t_2.png\r\n", "val.txt")
    let settings = section {
      $0.simulator = "paired"
      $0.normalization = "byte"
      $0.split = root
    }
    let split = try DataSplit(contentsOf: root, settings)
    #expect(split.train.map(\.subject) == ["7t_1"] && split.validation.map(\.subject) == ["7t_2"])
    #expect(split.train[0].inputs == [root + "/png/3t_1.png"])
    var configuration = TrainingConfiguration()
    configuration.data = settings
    configuration.data.intensityScale = [1, 1]
    let (input, target) = try SliceDataset(configuration).batch(step: 0, batch: 1)
    #expect(input.values.allSatisfy { abs($0 - 0.2) < 1e-6 })
    #expect(target.values.allSatisfy { abs($0 - 0.4) < 1e-6 })
    for (line, problem) in [
      ("png/3t_1.png", "train.txt, line 1: expected INPUT,TARGET"),
      ("png/3t_1.png,", "train.txt, line 1: expected INPUT,TARGET"),
      ("\npng/3t_1.png,png/none.png", "train.txt, line 2: no file png/none.png"),
      ("png/3t_2.png,png/7t_2.png", "stands in it twice"),
    ] {
      try write(line, "train.txt")
      do {
        _ = try DataSplit(contentsOf: root, settings)
        Issue.record("\(line) was accepted")
      } catch { #expect("\(error)".contains(problem), "\(error)") }
    }
    try write("png/3t_1.png,png/7t_1.png\npng/3t_2.png,png/7t_2.png", "train.txt")
    try FileManager.default.removeItem(atPath: root + "/val.txt")
    let divided = try DataSplit(contentsOf: root, settings)
    #expect((divided.train.count, divided.validation.count) == (1, 1))
  }

  @Test("a split file in YAML with pairs; a lone input is refused")
  func pairs() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    let path = root + "/split.yaml"
    let text = """
      train:
        - {subject: a, files: [hq/a.nii], inputs: [lq/a.nii]}
      validation:
        - {subject: b, files: [hq/b.nii], inputs: []}
      """
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let split = try DataSplit(contentsOf: path)
    #expect(split.train[0].inputs == [root + "/lq/a.nii"])
    let paired = section { $0.simulator = "paired" }
    #expect(throws: TrainingError.self) { try DataSplit(contentsOf: path, paired) }
  }

  @Test("samples do not depend on the memory that is allowed")
  func cache() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    var subjects: [String] = []
    for number in 0..<4 {
      try write("\(root)/\(number).nii", seed: UInt64(number))
      subjects.append("{\"subject\": \"\(number)\", \"files\": [\"\(number).nii\"]}")
    }
    // Wide slices, so that one megabyte does not hold all scans.
    let size = GridSize(x: 400, y: 400, z: 1)
    for number in 4..<7 {
      let voxels = (0..<size.count).map { Float(100 + $0 * (number + 3) % 97) }
      try NIfTI.write(
        Volume(voxels: voxels, geometry: Geometry(size: size)), to: "\(root)/\(number).nii",
        options: NIfTIWriteOptions(dataType: .float32))
      subjects.append("{\"subject\": \"\(number)\", \"files\": [\"\(number).nii\"]}")
    }
    let split = "{\"train\": [\(subjects.joined(separator: ","))], \"validation\": []}"
    try Data(split.utf8).write(to: URL(fileURLWithPath: root + "/split.json"))
    var configuration = TrainingConfiguration()
    configuration.data = section { $0.split = root + "/split.json" }
    let large = try SliceDataset(configuration)
    configuration.data.cacheMegabytes = 1
    let small = try SliceDataset(configuration)
    #expect(large.count == small.count)
    for step in 0..<8 {
      let (a, b) = (try large.batch(step: step, batch: 3), try small.batch(step: step, batch: 3))
      #expect(a.noisy.values == b.noisy.values && a.clean.values == b.clean.values)
    }
    // A file that is gone when it is needed again is named.
    try FileManager.default.removeItem(atPath: root + "/5.nii")
    #expect(throws: (any Error).self) {
      for step in 0..<200 { _ = try small.batch(step: step, batch: 3) }
    }
  }

  @Test("every simulator gives pairs; tasks share batches equally or by their slices")
  func simulators() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    let split = """
      {"train": [{"subject": "p", "files": ["phantom:ct:1"]}],
       "validation": [{"subject": "q", "files": ["phantom:ct:2"]}]}
      """
    try Data(split.utf8).write(to: URL(fileURLWithPath: root + "/split.json"))
    var configuration = TrainingConfiguration()
    configuration.tasks = ["rician", "mri-sr"].map { name in
      section {
        $0.name = name
        $0.simulator = name
        $0.split = root + "/split.json"
        $0.normalization = "all"
        $0.intensityScale = [1, 1]
        $0.slicesPerVolume = 2
        $0.noisePercent = name == "rician" ? [20, 20] : [0, 0]
      }
    }
    let dataset = try SliceDataset(configuration)
    let (noisy, clean) = try dataset.batch(step: 0, batch: 4)
    func error(_ index: Int) -> Float {
      let range = index * 256..<(index + 1) * 256
      return range.reduce(0) { $0 + abs(noisy.values[$1] - clean.values[$1]) } / 256
    }
    // The even samples have strong noise, the odd ones only lost resolution.
    #expect(min(error(0), error(2)) > 2 * max(error(1), error(3)))
    configuration.tasks[1].turns = 3
    let more = try SliceDataset(configuration)
    #expect(more.tasks(step: 0, batch: 8) == [1, 0, 1, 1, 1, 0, 1, 1])
    #expect(more.tasks(step: 1, batch: 4) == [1, 0, 1, 1])
    #expect(SliceDataset.round(of: [1, 1, 1]) == [0, 1, 2])
    configuration.tasks[1].turns = 1
    configuration.train.mixing = "pooled"
    let pooled = try SliceDataset(configuration).batch(step: 0, batch: 4)
    #expect(pooled.noisy.shape == noisy.shape && pooled.noisy.values != noisy.values)
  }

  @Test(
    "scans whose pixels are not square are refused for tomography, by their name",
    arguments: ["ct-lowdose", "pet-lowcount"])
  func oblongPixels(simulator: String) throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    let size = GridSize(x: 24, y: 24, z: 2)
    let volume = Volume(
      voxels: (0..<size.count).map(Float.init),
      geometry: Geometry(size: size, spacing: SIMD3(2, 1.5, 4)))
    try NIfTI.write(
      volume, to: root + "/oblong.nii", options: NIfTIWriteOptions(dataType: .float32))
    let split = """
      {"train": [{"subject": "p", "files": ["oblong.nii"]}], "validation": []}
      """
    try Data(split.utf8).write(to: URL(fileURLWithPath: root + "/split.json"))
    var configuration = TrainingConfiguration()
    configuration.data = section {
      $0.simulator = simulator
      $0.split = root + "/split.json"
      $0.normalization = "all"
    }
    let error = try #require(throws: ImagingError.self) { try SliceDataset(configuration) }
    guard case .pixelsNotSquare(let file, _, _) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(file.hasSuffix("/oblong.nii"))
  }

  @Test("low dose and low count: phantoms become pairs whose noise differs by version")
  func tomography() throws {
    let root = try folder()
    defer { try? FileManager.default.removeItem(atPath: root) }
    for contrast in ["ct", "fdg"] {
      let split = """
        {"train": [{"subject": "p", "files": ["phantom:\(contrast):1"]}], "validation": []}
        """
      try Data(split.utf8).write(to: URL(fileURLWithPath: "\(root)/\(contrast).json"))
      var configuration = TrainingConfiguration()
      configuration.data = section {
        $0.simulator = contrast == "ct" ? "ct-lowdose" : "pet-lowcount"
        $0.split = "\(root)/\(contrast).json"
        $0.slicesPerVolume = 1
        $0.realisations = 2
      }
      let dataset = try SliceDataset(configuration)
      let (noisy, clean) = try dataset.batch(step: 0, batch: 2)
      #expect(noisy.values != clean.values && noisy.values.allSatisfy(\.isFinite))
      #expect(try SliceDataset(configuration).batch(step: 0, batch: 2).noisy.values == noisy.values)
    }
    // An MR scan in the contrast of CT, by a path that is relative to the split.
    try write("\(root)/mr.nii")
    let split = """
      {"train": [{"subject": "m", "files": ["ct-like:3:mr.nii"]}], "validation": []}
      """
    try Data(split.utf8).write(to: URL(fileURLWithPath: "\(root)/like.json"))
    let subjects = try DataSplit(contentsOf: root + "/like.json").train
    #expect(subjects[0].files == ["ct-like:3:\(root)/mr.nii"])
    let source = try ScanSource(section(), for: subjects)
    let (scan, like) = (
      try source.volume(root + "/mr.nii"), try source.volume(subjects[0].files[0])
    )
    #expect(like == CTLikeContrast(seed: 3).applied(to: scan) && like != scan)
    // Another contrast is the same scan, which no second part may see.
    for (train, validation, fits) in [
      ("ct-like:3:mr.nii\", \"ct-like:4:mr.nii", "phantom:ct:1", true),
      ("ct-like:3:mr.nii", "ct-like:4:mr.nii", false), ("mr.nii", "ct-like:4:mr.nii", false),
      ("ct-like:x:mr.nii", "phantom:ct:1", false), ("ct-like:3:phantom:ct:2", "mr.nii", false),
    ] {
      let text = """
        {"train": [{"subject": "m", "files": ["\(train)"]}],
         "validation": [{"subject": "n", "files": ["\(validation)"]}]}
        """
      try Data(text.utf8).write(to: URL(fileURLWithPath: "\(root)/leak.json"))
      #expect(((try? DataSplit(contentsOf: root + "/leak.json")) != nil) == fits, "\(text)")
    }
    #expect(throws: TrainingError.noSuchSplit(file: root + "/absent.json")) {
      try DataSplit(contentsOf: root + "/absent.json")
    }
    var unknown = section { $0.split = root + "/x.json" }
    try Data("{\"train\":[{\"subject\":\"p\",\"files\":[\"phantom:x:1\"]}],\"validation\":[]}".utf8)
      .write(to: URL(fileURLWithPath: unknown.split))
    unknown.simulator = "ct-lowdose"
    var configuration = TrainingConfiguration()
    configuration.data = unknown
    #expect(throws: TrainingError.self) { try SliceDataset(configuration) }
  }
}
