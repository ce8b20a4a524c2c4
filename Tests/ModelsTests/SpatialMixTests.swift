import Foundation
import Layers
import Models
import Randomness
import TensorCore
import TestSupport
import Testing

/// Spatial mixing against its definition, for recurrences that no golden file has.
@Suite("SpatialMix")
struct SpatialMixTests {
  /// The mix in double precision, by sums over all pairs of tokens.
  private static func reference(
    _ shifted: [Float], _ state: [String: Tensor], height: Int, width: Int, channels: Int
  ) -> [Double] {
    let tokens = height * width
    func mapped(_ x: [Double], by name: String) -> [Double] {
      let weight = state[name + ".weight"]?.values ?? []
      return (0..<tokens * channels).map { index in
        let (token, row) = (index / channels, index % channels)
        return (0..<channels).reduce(0.0) { sum, column in
          sum + Double(weight[row * channels + column]) * x[token * channels + column]
        }
      }
    }
    let s = shifted.map(Double.init)
    let k = mapped(s, by: "key")
    var v = mapped(s, by: "value")
    let decay = state["spatial_decay"]?.values ?? []
    let first = state["spatial_first"]?.values ?? []
    for recurrence in 0..<decay.count / channels {
      // Where the token at each place of the sequence lies in row-major order.
      let order = (0..<tokens).map { place in
        recurrence % 2 == 0 ? place : place % height * width + place / height
      }
      var mixed = v
      for channel in 0..<channels {
        let w = Double(decay[recurrence * channels + channel]) / Double(tokens)
        let u = Double(first[recurrence * channels + channel]) / Double(tokens)
        for t in 0..<tokens {
          var (numerator, denominator) = (0.0, 0.0)
          for i in 0..<tokens {
            let element = order[i] * channels + channel
            let exponent = i == t ? u + k[element] : k[element] - w * Double(abs(t - i) - 1)
            numerator += exp(exponent) * v[element]
            denominator += exp(exponent)
          }
          mixed[order[t] * channels + channel] = numerator / denominator
        }
      }
      v = mixed
    }
    let gated = zip(mapped(s, by: "receptance"), v).map { $1 / (1 + exp(-$0)) }
    return mapped(gated, by: "output")
  }

  @Test("recurrences alternate between rows and columns", arguments: [1, 2, 3, 4])
  func definition(recurrences: Int) throws {
    let (height, width, channels) = (3, 5, 4)
    var generator = SeededGenerator(seed: 9)
    let mix = SpatialMix(channels: channels, recurrences: recurrences, using: &generator)
    let state = Dictionary(uniqueKeysWithValues: mix.state.map { ($0.name, $0.tensor) })
    let x = Tensor.random([1, height, width, channels], seed: 2)
    let kernel = try #require(state["omni_shift.conv5x5_reparam.weight"])
    let expected = Self.reference(
      x.depthwiseConvolved(with: kernel).values, state, height: height, width: width,
      channels: channels)
    #expect(Mismatch(mix(x).values, expected.map(Float.init), relative: 1e-5) == nil)
    let scale = Tensor.random([channels], seed: 3)
    #expect(
      Mismatch(
        mix(x, scale: scale, residual: x), x + scale * mix(x).detached(), relative: 1e-5) == nil)
  }
}
