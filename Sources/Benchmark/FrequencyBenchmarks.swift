import Foundation
import Layers
import Models
import Randomness
import TensorCore

extension OperationBenchmarks {
  /// Wavelets, Fourier transforms and what FS-RWKV and frequency-dynamic convolution are made of.
  static var frequencyGroups: [Group] {
    let images: [Shape] = [[1, 1024, 1024, 1], [16, 256, 256, 1], [1, 256, 256, 48]]
    var wavelets: [() -> Case] = []
    for name in ["haar", "db4", "bior4.4"] {
      for shape in images {
        wavelets.append { wavelet(name, shape, false) }
        wavelets.append { wavelet(name, shape, true) }
      }
    }
    let kernels: [Shape] = [[1, 576, 576, 1], [1, 2304, 2304, 1]]
    var spectra: [() -> Case] = []
    for shape in images + kernels {
      spectra.append { fourier(shape, false) }
      spectra.append { fourier(shape, true) }
    }
    let layers = [
      (1, 64, 3, 64), (2, 64, 3, 64), (2, 64, 1, 64), (2, 128, 3, 32), (2, 256, 3, 16),
      (4, 32, 3, 128),
    ]
    var dynamic: [() -> Case] = []
    for (batch, channels, kernel, side) in layers {
      dynamic.append { dynamicConvolution(batch, channels, kernel, side, false) }
      guard batch > 1 else { continue }
      dynamic.append { dynamicConvolution(batch, channels, kernel, side, true) }
    }
    var blocks: [() -> Case] = []
    for (side, channels) in [(256, 48), (128, 96), (64, 192), (32, 384), (256, 96)] {
      blocks.append { waveletShift(side, channels) }
      blocks.append { frequencyBlock(side, channels) }
    }
    for (side, channels) in [(256, 48), (128, 96), (64, 192)] {
      blocks.append { enhancement(side, channels) }
    }
    return [
      ("wavelet", wavelets), ("Fourier", spectra), ("FDConv", dynamic), ("FS-RWKV", blocks),
    ]
  }

  /// Reads the image once and writes all bands once, or the other way round.
  private static func wavelet(_ name: String, _ shape: Shape, _ isInverse: Bool) -> Case {
    guard let wavelet = Wavelet(named: name) else { preconditionFailure("no wavelet \(name)") }
    let x = random(shape)
    let bands = x.waveletDecomposed(by: wavelet, boundary: .symmetric, axes: [1, 2])
    return Case(
      name: "\(name) \(isInverse ? "synthesis" : "analysis")", size: "\(shape)",
      work: .bytes(4 * Double(x.count + bands.count)),
      subject: Subject {
        if isInverse {
          _ = bands.waveletComposed(by: wavelet, boundary: .symmetric, axes: [1, 2])
        } else {
          _ = x.waveletDecomposed(by: wavelet, boundary: .symmetric, axes: [1, 2])
        }
      })
  }

  /// By the usual count of 2.5 · N · log₂ N operations of a real transform.
  private static func fourier(_ shape: Shape, _ isInverse: Bool) -> Case {
    let x = random(shape)
    let spectrum = x.rfft()
    let points = Double(shape[1] * shape[2])
    return Case(
      name: isInverse ? "inverse real Fourier" : "real Fourier", size: "\(shape)",
      work: .operations(2.5 * Double(x.count) * log2(points)),
      subject: Subject { _ = isInverse ? spectrum.irfft(last: shape[2]) : x.rfft() })
  }

  /// Only the convolution itself is counted as work.
  private static func dynamicConvolution(
    _ batch: Int, _ channels: Int, _ kernel: Int, _ side: Int, _ isTraining: Bool
  ) -> Case {
    var configuration = FDConvConfiguration()
    configuration.kernelCount = channels >= 64 ? 64 : 16
    var generator = SeededGenerator(seed: 0)
    let layer: FDConv
    do {
      layer = try FDConv(
        inChannels: channels, outChannels: channels, kernel: [kernel, kernel],
        padding: [kernel / 2, kernel / 2], configuration: configuration, using: &generator)
    } catch {
      preconditionFailure("\(error)")
    }
    layer.setTraining(isTraining)
    layer.setRequiresGradient(isTraining)
    let plain = random([batch, side, side, channels])
    let x = isTraining ? plain.tracked() : plain
    let work = 2 * Double(plain.count * channels * kernel * kernel)
    return Case(
      name: "FDConv \(kernel)x\(kernel)\(isTraining ? ", forward and backward" : "")",
      size: "\(plain.shape)", work: .operations(isTraining ? 3 * work : work),
      subject: Subject {
        let y = layer(x)
        if isTraining { _ = Tensor.gradients(of: [y], upstream: [plain]) }
      })
  }

  private static func waveletShift(_ side: Int, _ channels: Int) -> Case {
    let x = random([1, side, side, channels])
    return Case(
      name: "wavelet shift", size: "\(side) x \(side) x \(channels)",
      work: .bytes(8 * Double(x.count)), subject: Subject { _ = x.waveletShifted() })
  }

  private static func frequencyBlock(_ side: Int, _ channels: Int) -> Case {
    var generator = SeededGenerator(seed: 0)
    let block = FrequencyBlock(
      channels: channels, hiddenRate: 4, layerNormEps: 1e-5,
      position: LevelPosition(index: 1, of: 4), using: &generator)
    block.setRequiresGradient(false)
    let x = random([1, side, side, channels])
    return Case(
      name: "FS-RWKV block", size: "\(side) x \(side) x \(channels)",
      work: .operations(26 * Double(x.count * channels)), subject: Subject { _ = block(x) })
  }

  private static func enhancement(_ side: Int, _ channels: Int) -> Case {
    var generator = SeededGenerator(seed: 0)
    let block = FrequencyEnhancement(channels: channels, using: &generator)
    block.setRequiresGradient(false)
    let x = random([1, side, side, channels])
    return Case(
      name: "FS-RWKV enhancement", size: "\(side) x \(side) x \(channels)",
      work: .operations(
        2 * Double(FrequencyEnhancement.multiplyAdds(channels: channels, pixels: side * side))),
      subject: Subject { _ = block(x) })
  }
}
