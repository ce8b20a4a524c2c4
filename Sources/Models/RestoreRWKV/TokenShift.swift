import Layers
import Randomness
import TensorCore

/// What a token takes from its neighbours before it is mixed.
public enum TokenShiftKind: String, Codable, Sendable, CaseIterable {
  /// Learnt depthwise kernels of up to 5×5 pixels, the published layer.
  case omni
  /// The mean of the 3×3 pixels around a token, zeros beyond the edge: no parameters.
  case uniform
  /// Nothing.
  case none
}

/// The shift of tokens in front of a mix; ``TokenShiftKind/omni`` is the network's own, the others show
/// what it is worth.
final class TokenShift: Module {
  /// How many rows and columns away a result looks, at most.
  static let reach = OmniShift.reach

  private enum Content {
    case omni(OmniShift)
    case kernel(Tensor)
    case none
  }

  private let content: Content

  /// A shift with initial weights.
  ///
  /// - Parameters:
  ///   - kind: What is taken from neighbours.
  ///   - channels: Channels of input and output.
  ///   - generator: Draws the weights of ``TokenShiftKind/omni``.
  init(_ kind: TokenShiftKind, channels: Int, using generator: inout SeededGenerator) {
    content =
      switch kind {
      case .omni: .omni(OmniShift(channels: channels, using: &generator))
      case .uniform: .kernel(Tensor([channels, 1, 3, 3], repeating: 1 / 9))
      case .none: .none
      }
  }

  /// Those of the published layer; nothing otherwise.
  var members: [Member] {
    guard case .omni(let shift) = content else { return [] }
    return shift.members
  }

  /// One kernel for each channel where the branches are folded.
  var deployedCount: Int {
    guard case .omni(let shift) = content else { return 0 }
    return shift.deployedCount
  }

  /// Shifts `[N, H, W, C]`.
  func callAsFunction(_ x: Tensor) -> Tensor {
    switch content {
    case .omni(let shift): shift(x)
    case .kernel(let kernel): x.depthwiseConvolved(with: kernel)
    case .none: x
    }
  }
}
