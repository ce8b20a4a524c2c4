import Foundation
internal import Fourier

/// Filtered back-projection of parallel-beam sinograms.
///
/// The ramp is the transform of its band-limited impulse response, `1/4τ²` at 0, `−1/(nπτ)²` at odd
/// and 0 at even n; taking the ramp in the frequency domain instead would darken the image. Lines
/// are padded to at least twice their length, so that the circular convolution is the linear one.
///
/// Source: Kak, Slaney, *Principles of Computerized Tomographic Imaging*, IEEE Press 1988, §3.3,
/// eq. (61).
public struct FilteredBackProjection: Sendable {
  /// How the ramp is rolled off towards the highest frequency.
  public enum Window: String, Sendable, CaseIterable, Codable {
    /// Not at all (Ram-Lak): sharpest and noisiest.
    case ramLak = "ram-lak"
    /// By a raised cosine that ends at 0.
    case hann
  }

  /// The geometry.
  public let beam: ParallelBeam
  private let transform: FourierTransform<Float>
  private let ramp: [Float]
  private let length: Int

  /// Prepares the filter of a geometry.
  ///
  /// - Parameters:
  ///   - beam: The geometry.
  ///   - window: The roll-off.
  public init(_ beam: ParallelBeam, window: Window = .ramLak) {
    self.beam = beam
    var length = 2
    while length < 2 * beam.detectors { length *= 2 }
    self.length = length
    transform = FourierTransform<Float>(batch: beam.views, axes: [length])
    var response = [Double](repeating: 0, count: length)
    let tau = beam.pixel
    response[0] = 1 / (4 * tau * tau)
    for n in stride(from: 1, to: length / 2, by: 2) {
      let value = -1 / (Double(n) * .pi * tau * Double(n) * .pi * tau)
      response[n] = value
      response[length - n] = value
    }
    let spectrum = FourierTransform<Double>(axes: [length]).rfft(response)
    ramp = (0...length / 2).map { k in
      // The response is even, so its spectrum is real; τ is the measure of the convolution's sum.
      let roll = window == .hann ? 0.5 * (1 + cos(2 * .pi * Double(k) / Double(length))) : 1
      return Float(spectrum[2 * k] * tau * roll)
    }
  }

  /// The slice whose line integrals a sinogram holds.
  ///
  /// - Parameter sinogram: Shape `[views, detectors]`, without unit.
  /// - Returns: Values per mm, shape `[height, width]`.
  public func reconstructed(_ sinogram: [Float]) -> [Float] {
    beam.backProjected(filtered(sinogram))
  }

  /// A sinogram filtered by the ramp, in 1/mm; shape `[views, detectors]`.
  func filtered(_ sinogram: [Float]) -> [Float] {
    let count = beam.detectors
    precondition(
      sinogram.count == beam.views * count,
      "FilteredBackProjection: \(sinogram.count) values for [\(beam.views), \(count)]")
    var padded = [Float](repeating: 0, count: beam.views * length)
    for view in 0..<beam.views {
      for detector in 0..<count {
        padded[view * length + detector] = sinogram[view * count + detector]
      }
    }
    var spectrum = transform.rfft(padded)
    let entries = length / 2 + 1
    spectrum.withUnsafeMutableBufferPointer { spectrum in
      for view in 0..<beam.views {
        for k in 0..<entries {
          spectrum[2 * (view * entries + k)] *= ramp[k]
          spectrum[2 * (view * entries + k) + 1] *= ramp[k]
        }
      }
    }
    padded.withUnsafeMutableBufferPointer { padded in
      spectrum.withUnsafeMutableBufferPointer { spectrum in
        guard let lines = padded.baseAddress, let values = spectrum.baseAddress else { return }
        transform.irfft(destroying: values, into: lines)
      }
    }
    var result = [Float](repeating: 0, count: sinogram.count)
    for view in 0..<beam.views {
      for detector in 0..<count {
        result[view * count + detector] = padded[view * length + detector]
      }
    }
    return result
  }
}
