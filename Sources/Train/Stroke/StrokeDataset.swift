import Foundation
import Imaging
import Inference
import Models
import Randomness
public import TensorCore

/// A brain as the networks see it, with its truth.
public struct StrokeCase: Sendable {
  /// The name of subject and lesions.
  public let name: String
  /// `[D0, D1, D2, inChannels]`.
  public let volume: Tensor
  /// 1 in lesions, `[D0, D1, D2]`.
  public let truth: [UInt8]
  /// The lesions that the scan came with and nobody simulated; nil if it came with none.
  public let ownLesions: [UInt8]?
  /// ml of a voxel.
  public let voxelVolume: Double
}

/// The brains of a run, by what they are for.
public struct StrokeDataset: Sendable {
  /// What brains are for.
  public enum Part: String, Sendable, CaseIterable {
    /// The first stage learns from them.
    case paths
    /// The second stage learns from them.
    case combiner
    /// Nothing learns from them.
    case test
  }

  /// A case that can be loaded.
  enum Source: Sendable, Equatable {
    case labelled(LesionCase)
    case grown(StrokeTrainingConfiguration.Brain, seed: UInt64)
    case phantom(UInt64, seed: UInt64)
  }

  private let configuration: StrokeTrainingConfiguration
  private let tissue: BrainTissue?
  private let sources: [Part: [Source]]
  private let notes = ImageNotes()

  /// What was noticed about the images that were read so far, one sentence each.
  public var warnings: [String] { notes.sentences }

  /// Lists the brains; images are read when they are needed.
  ///
  /// - Parameter configuration: Valid.
  /// - Throws: `ImagingError` for a folder that cannot be used; ``TrainingError/invalidSplit(file:reason:)``
  ///   if it has too few subjects.
  public init(_ configuration: StrokeTrainingConfiguration) throws {
    self.configuration = configuration
    let data = configuration.data
    var sources: [Part: [Source]] = [.paths: [], .combiner: [], .test: []]
    if !data.folder.isEmpty {
      for (part, cases) in try Self.divided(configuration) {
        sources[part, default: []] += cases.map(Source.labelled)
      }
    }
    for (index, brain) in data.brains.enumerated() {
      for part in Part.allCases where brain.parts.contains(part.rawValue) {
        for number in 0..<data.casesPerBrain {
          var generator = SeededGenerator(
            seed: configuration.seed, stream: Self.lesionStream, UInt64(index),
            part.number, UInt64(number))
          sources[part, default: []].append(.grown(brain, seed: generator.next()))
        }
      }
    }
    for part in [Part.paths, .combiner] {
      for number in 0..<data.phantoms {
        var generator = SeededGenerator(
          seed: configuration.seed, stream: Self.phantomStream, part.number, UInt64(number))
        let subject = generator.next() % 1_000_000
        sources[part, default: []].append(.phantom(subject, seed: generator.next()))
      }
    }
    self.sources = sources
    try Self.requireSeparation(sources, key: data.brains.isEmpty ? "data.folder" : "data.brains")
    if data.phantoms == 0 {
      tissue = nil
    } else if data.tissueMaps.count == 2 {
      tissue = try BrainTissue(
        greyMatter: ScanFile.read(data.tissueMaps[0]).volume,
        whiteMatter: ScanFile.read(data.tissueMaps[1]).volume)
    } else {
      tissue = .generated()
    }
  }

  /// Makes sure that nobody is tested who was trained on, by name or by file.
  ///
  /// A person may be in the folder and among the brains, or under two names.
  private static func requireSeparation(
    _ sources: [Part: [Source]], key: String
  ) throws(TrainingError) {
    /// What tells a person or a file, and how errors call it.
    func marks(of part: Part) -> [String: String] {
      var result: [String: String] = [:]
      func add(_ subject: String, _ files: [String]) {
        result["subject " + subject] = "the subject " + subject
        for file in files { result[FileIdentity.text(of: file)] = "the file " + file }
      }
      for source in sources[part] ?? [] {
        switch source {
        case .labelled(let item): add(item.subject, item.images + [item.mask])
        case .grown(let brain, _):
          add(brain.subject, brain.images + [brain.lesions].compactMap(\.self))
        case .phantom: continue
        }
      }
      return result
    }
    let learnt = Set(marks(of: .paths).keys).union(marks(of: .combiner).keys)
    let tested = marks(of: .test)
    if let shared = tested.keys.filter(learnt.contains).sorted().last, let text = tested[shared] {
      throw .invalidValue(key: key, reason: "\(text) would be tested on, but is trained on too")
    }
  }

  private static let lesionStream: UInt64 = 11
  private static let phantomStream: UInt64 = 12
  private static let splitStream: UInt64 = 13

  /// Divides the subjects of a labelled folder.
  private static func divided(
    _ configuration: StrokeTrainingConfiguration
  ) throws -> [(Part, [LesionCase])] {
    let data = configuration.data
    let cases = try LesionFolder(path: data.folder).cases
    let channels = configuration.system.secondChannel == .modality ? 2 : 1
    if let short = cases.first(where: { $0.images.count < channels }) {
      throw TrainingError.invalidSplit(
        file: data.folder,
        reason: "\(short.name) has \(short.images.count) image, the networks take \(channels); "
          + "set system.second_channel to mirror for T1 alone")
    }
    var subjects = Set(cases.map(\.subject)).sorted()
    var generator = SeededGenerator(seed: configuration.seed, stream: splitStream)
    generator.shuffle(&subjects)
    func count(_ share: Double) -> Int {
      share == 0 ? 0 : max(1, Int((share * Double(subjects.count)).rounded()))
    }
    let (test, combiner) = (count(data.testShare), count(data.combinerShare))
    guard subjects.count > test + combiner else {
      throw TrainingError.invalidSplit(
        file: data.folder,
        reason: "\(subjects.count) subjects are too few for both stages and a test")
    }
    func chosen(_ names: ArraySlice<String>) -> [LesionCase] {
      let names = Set(names)
      return cases.filter { names.contains($0.subject) }
    }
    return [
      (.test, chosen(subjects[..<test])), (.combiner, chosen(subjects[test..<test + combiner])),
      (.paths, chosen(subjects[(test + combiner)...])),
    ]
  }

  /// The number of cases of a part.
  public func count(_ part: Part) -> Int { sources[part]?.count ?? 0 }

  /// The names of the subjects of a part, each once.
  public func subjects(_ part: Part) -> [String] {
    var names: [String] = []
    for source in sources[part] ?? [] {
      let name: String =
        switch source {
        case .labelled(let item): item.subject
        case .grown(let brain, _): brain.subject
        case .phantom: "phantoms"
        }
      if !names.contains(name) { names.append(name) }
    }
    return names
  }

  /// The names of all cases by part, each once and in order: visits too, but no seeds.
  var names: [String: [String]] {
    var result: [String: [String]] = [:]
    for (part, cases) in sources {
      let names = cases.map { source -> String in
        switch source {
        case .labelled(let item): item.name
        case .grown(let brain, _): brain.subject
        case .phantom: "phantoms"
        }
      }
      result[part.rawValue] = Set(names).sorted()
    }
    return result
  }

  /// Reads or makes one case.
  ///
  /// - Throws: ``TrainingError/invalidSplit(file:reason:)`` for a series of volumes, or what reading images
  ///   throws.
  public func load(_ part: Part, _ index: Int) throws -> StrokeCase {
    guard let sources = sources[part] else { preconditionFailure("stroke data: no \(part)") }
    let channels = configuration.system.secondChannel == .modality ? 2 : 1
    switch sources[index] {
    case .labelled(let item):
      let images = try read(Array(item.images.prefix(channels)))
      let mask = try readMask(item.mask, like: images[0], imageFile: item.images[0])
      return try makeCase(item.name, images, truth: mask, own: nil, file: item.images[0])
    case .grown(let brain, let seed):
      let images = try read(Array(brain.images.prefix(channels)))
      let own = try brain.lesions.map {
        try readMask($0, like: images[0], imageFile: brain.images[0])
      }
      return try grown(
        "\(brain.subject) with lesions \(index)", images, seed: seed, own: own,
        file: brain.images[0])
    case .phantom(let subject, let seed):
      guard let tissue else { preconditionFailure("stroke data: phantoms without tissue") }
      let phantom = BrainPhantom(tissue)
      let images = [BrainPhantom.Contrast.t1, .flair].prefix(channels).enumerated()
        .map { channel, contrast in
          let clean = phantom.image(contrast, subject: subject)
          let noisy = RicianNoise(fraction: 0.02, ofScale: 100)
            .applied(to: clean, seed: seed, image: UInt64(channel))
          // Noise in the background would make a brain of it.
          return Volume(
            voxels: zip(clean.voxels, noisy.voxels).map { $0 > 0 ? $1 : 0 },
            geometry: clean.geometry)
        }
      return try grown(
        "phantom \(subject)", images, seed: seed, own: nil, file: "phantom \(subject)")
    }
  }

  private func grown(
    _ name: String, _ images: [Volume], seed: UInt64, own: [Bool]?, file: String
  ) throws -> StrokeCase {
    let data = configuration.data
    let simulator = LesionSimulator(
      counts: data.lesionCounts[0]...data.lesionCounts[1],
      volumes: data.lesionVolumes[0]...data.lesionVolumes[1])
    let result = try simulator.applied(to: images, seed: seed)
    let truth = own.map { zip(result.mask.voxels, $0).map { $0 || $1 } } ?? result.mask.voxels
    return try makeCase(name, result.images, truth: truth, own: own, file: file)
  }

  private func makeCase(
    _ name: String, _ images: [Volume], truth: [Bool], own: [Bool]?, file: String
  ) throws -> StrokeCase {
    let system = configuration.system
    let field = try BrainField(
      of: images[0], spacing: system.spacing, cropsToBrain: system.cropsToBrain,
      multiple: StrokeSystem.sizeStep, file: file)
    func labels(_ mask: [Bool]) -> [UInt8] {
      field.values(of: mask.map { $0 ? 1 : 0 }).map { $0 > 0.5 ? 1 : 0 }
    }
    return StrokeCase(
      name: name, volume: field.tensor(of: images), truth: labels(truth),
      ownLesions: own.map(labels), voxelVolume: field.voxelVolume / 1000)
  }

  private func read(_ paths: [String]) throws -> [Volume] {
    let volumes = try paths.map(notes.volume)
    for (path, volume) in zip(paths, volumes).dropFirst() {
      try volume.requireGrid(of: volumes[0], file: path, referenceFile: paths[0])
    }
    return volumes
  }

  private func readMask(
    _ path: String, like image: Volume, imageFile: String
  ) throws -> [Bool] {
    try notes.labels(path, of: image, imageFile: imageFile).labels.map { $0 != 0 }
  }
}

extension StrokeDataset.Part {
  fileprivate var number: UInt64 {
    switch self {
    case .paths: 0
    case .combiner: 1
    case .test: 2
    }
  }
}
