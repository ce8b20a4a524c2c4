import ArgumentParser
import Foundation
import Imaging
import TensorCore

/// `restore simulate rician`: the noise of magnitude MRI.
struct SimulateRician: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rician", abstract: "Rician noise, that of magnitude MRI.",
    discussion: """
      The standard deviation of each of the two channels is a percentage of the 99.5th percentile of \
      the image's voxels above zero.
      """)

  @Option(name: .long, help: "Standard deviation, percent.")
  var percent = 10.0

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard percent >= 0, percent <= 1000 else {
      throw ValidationError("--percent \(percent): from 0 to 1000")
    }
  }

  func run() throws {
    try options.run(Self.configuration.commandName) { volume, file, index, origin in
      let scale = try SimulationOptions.scale(of: volume, file)
      let noise = RicianNoise(fraction: percent / 100, ofScale: scale)
      return (noise.applied(to: volume, seed: options.seed, image: index), volume)
    }
  }
}

/// `restore simulate mri-sr`: lower resolution in plane.
struct SimulateMRISuperResolution: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mri-sr", abstract: "Lower MRI resolution in plane, by truncating k-space.",
    discussion: """
      Only the centre of each slice's k-space stays; the output lies on the same grid, which makes it \
      the sinc interpolation of the small image.
      """)

  @Option(name: .long, help: "Loss of resolution along both axes, as 2 or 4.")
  var factor = 2.0

  @Option(name: .long, help: "Noise in the small image, percent of the 99.5th percentile.")
  var percent = 0.0

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard (1...64).contains(factor) else {
      throw ValidationError("--factor \(factor): from 1 to 64")
    }
    guard percent >= 0, percent <= 1000 else {
      throw ValidationError("--percent \(percent): from 0 to 1000")
    }
  }

  func run() throws {
    try options.run(Self.configuration.commandName) { volume, file, index, origin in
      let noise = try percent / 100 * SimulationOptions.scale(of: volume, file)
      SimulationOptions.warnOfNegatives(in: volume, file, &origin)
      let truncation = KSpaceTruncation(factor: factor, noise: noise)
      let degraded = truncation.applied(
        to: volume, seed: options.seed, image: index, threads: Engine.shared.threads)
      return (degraded, volume)
    }
  }
}

/// `restore simulate mri-thick`: thick slices.
struct SimulateThickSlices: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mri-thick", abstract: "Thick MRI slices: means of neighbours, interpolated back.")

  @Option(name: .long, help: "Thin slices to a thick one.")
  var slices = 3

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard (1...64).contains(slices) else {
      throw ValidationError("--slices \(slices): from 1 to 64")
    }
  }

  func run() throws {
    try options.run(Self.configuration.commandName) { volume, _, _, _ in
      (ThickSlices(count: slices).applied(to: volume), volume)
    }
  }
}

/// `restore simulate bias-field`: smooth shading.
struct SimulateBiasField: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bias-field", abstract: "Smooth shading by coil sensitivity.")

  @Option(name: .long, help: "Largest absolute logarithm of the factor.")
  var strength = 0.3

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard (0...10).contains(strength) else {
      throw ValidationError("--strength \(strength): from 0 to 10")
    }
  }

  func run() throws {
    try options.run(Self.configuration.commandName) { volume, _, index, _ in
      (BiasField(strength: strength).applied(to: volume, seed: options.seed, image: index), volume)
    }
  }
}

/// `restore simulate mri-7t`: pairs of field strengths.
struct SimulateFieldStrength: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mri-7t",
    abstract: "A stand-in for 3T and 7T pairs: other contrast, less resolution, more noise.",
    discussion: "--output gets the 3T-like image, --reference-output the 7T-like one.")

  @Option(
    name: .long, help: "Shading of the 7T-like image: largest absolute logarithm of the factor.")
  var bias = FieldStrengthPair().bias

  @OptionGroup var options: SimulationOptions

  func validate() throws {
    guard (0...10).contains(bias) else { throw ValidationError("--bias \(bias): from 0 to 10") }
  }

  func run() throws {
    var fields = FieldStrengthPair()
    fields.bias = bias
    try options.run(Self.configuration.commandName) { volume, file, index, origin in
      // Names the file where there is no signal.
      _ = try SimulationOptions.scale(of: volume, file)
      SimulationOptions.warnOfNegatives(in: volume, file, &origin)
      let pair = try fields.applied(
        to: volume, seed: options.seed, image: index, threads: Engine.shared.threads)
      return (pair.source, pair.target)
    }
  }
}
