import Foundation
import Imaging
import TensorCore
import Testing
import Train

@Suite("Photographs of optic discs")
struct FundusDatasetTests {
  /// A folder of phantoms: a bright disc with a brighter cup, 40x48 pixels.
  private static func folder(count: Int, greyLevels: Bool) throws -> String {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("fundus-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for index in 0..<count {
      var image: [UInt16] = []
      var mask: [UInt16] = []
      for y in 0..<40 {
        for x in 0..<48 {
          let distance = hypot(Double(y) - 20, Double(x) - 20 - Double(index))
          let label = distance < 6 ? 2 : distance < 12 ? 1 : 0
          image += [UInt16(80 + 70 * label), UInt16(40 + 60 * label), 30]
          mask.append(greyLevels ? [255, 128, 0][label] : UInt16(label))
        }
      }
      try PNGImage(samples: image, height: 40, width: 48, colour: .rgb, bitDepth: 8)
        .write(to: "\(path)/p\(index).png")
      try PNGImage(samples: mask, height: 40, width: 48, colour: .grey, bitDepth: 8)
        .write(to: "\(path)/p\(index)_mask.png")
    }
    return path
  }

  @Test("labels and grey levels mean the same, and the cup is a part of the disc")
  func masks() throws {
    let sets = try [false, true].map { greyLevels in
      let path = try Self.folder(count: 3, greyLevels: greyLevels)
      defer { try? FileManager.default.removeItem(atPath: path) }
      return try FundusDataset(folder: path, side: 32, validationShare: 0.3, seed: 1)
    }
    let batches = sets.map { $0.batch(step: 0, count: 4, seed: 2) }
    #expect(batches[0].masks.values == batches[1].masks.values)
    #expect(batches[0].images.values == batches[1].images.values)
    let mask = batches[0].masks.values
    var (cup, disc) = (0, 0)
    for pixel in 0..<mask.count / 2 {
      if mask[2 * pixel] == 1 {
        cup += 1
        #expect(mask[2 * pixel + 1] == 1)
      }
      if mask[2 * pixel + 1] == 1 { disc += 1 }
    }
    #expect(cup > 0 && disc > 2 * cup)
    #expect(batches[0].images.values.allSatisfy { (-1...1).contains($0) })
  }

  @Test("the split is disjoint, follows the seed, and holds at least one image back")
  func split() throws {
    let path = try Self.folder(count: 5, greyLevels: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    func names(_ seed: UInt64, _ share: Double) throws -> ([String], [String]) {
      let set = try FundusDataset(folder: path, side: 16, validationShare: share, seed: seed)
      return (set.train.map(\.name), set.validation.map(\.name))
    }
    let (train, validation) = try names(1, 0.4)
    #expect(validation.count == 2 && train.count == 3)
    #expect(Set(train).isDisjoint(with: validation))
    #expect(try names(1, 0.4) == (train, validation))
    #expect(try names(1, 0).1.count == 1)
    let others = try (2..<8).map { try names($0, 0.4).1 }
    #expect(others.contains { $0 != validation })
  }

  @Test("Dice is 1 for the truth itself and low for nothing")
  func dice() throws {
    let path = try Self.folder(count: 2, greyLevels: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let set = try FundusDataset(folder: path, side: 32, validationShare: 0.5, seed: 1)
    // Red grows with the label: about 80, 150 and 220 of 255.
    let perfect = set.validationDice { image in
      let values = image.values
      return Tensor([1, 32, 32, 2]) { logits in
        for pixel in 0..<32 * 32 {
          let red = (values[3 * pixel] + 1) * 127.5
          logits[2 * pixel] = red > 185 ? 9 : -9
          logits[2 * pixel + 1] = red > 115 ? 9 : -9
        }
      }
    }
    #expect(perfect.cup > 0.9 && perfect.disc > 0.9)
    let nothing = set.validationDice { _ in Tensor([1, 32, 32, 2], repeating: 0) }
    #expect(nothing.cup < 0.1 && nothing.disc < 0.1)
  }

  @Test("a short run lowers the loss and leaves the best weights and a log")
  func training() throws {
    let path = try Self.folder(count: 4, greyLevels: false)
    let run = path + "-run"
    defer { for folder in [path, run] { try? FileManager.default.removeItem(atPath: folder) } }
    var configuration = TrainingConfiguration()
    configuration.model.arch = "tvconv-net"
    configuration.model.preset = "light"
    configuration.data.split = path
    configuration.data.validationShare = 0.25
    configuration.optim.learningRate = 1e-3
    configuration.train.batch = 2
    configuration.train.iterations = 6
    configuration.train.logEvery = 2
    configuration.train.validateEvery = 3
    let trainer = try FundusTrainer(configuration, folder: run)
    var losses: [Double] = []
    let outcome = try trainer.run(
      shouldStop: { false }, report: { losses.append($0.loss) })
    #expect(outcome == .finished && losses.count == 3)
    #expect((losses.last ?? 9) < (losses.first ?? 0))
    #expect(trainer.best != nil && trainer.validationNames.count == 1)
    #expect(FileManager.default.fileExists(atPath: trainer.bestWeights))
    // The folder holds a run now.
    #expect(throws: TrainingError.self) { try FundusTrainer(configuration, folder: run) }
    configuration.train.batch = 1
    #expect(throws: TrainingError.self) { try FundusTrainer(configuration, folder: run + "2") }
  }

  @Test("a folder without pairs, and masks of another size, are refused")
  func refused() throws {
    let path = try Self.folder(count: 2, greyLevels: false)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try PNGImage(
      samples: [UInt16](repeating: 0, count: 6), height: 2, width: 3, colour: .grey, bitDepth: 8
    ).write(to: path + "/p1_mask.png", overwrite: true)
    #expect(throws: TrainingError.self) {
      try FundusDataset(folder: path, side: 16, validationShare: 0.5, seed: 1)
    }
    try FileManager.default.removeItem(atPath: path + "/p1_mask.png")
    #expect(throws: TrainingError.self) {
      try FundusDataset(folder: path, side: 16, validationShare: 0.5, seed: 1)
    }
  }
}
