import Kernels

/// The arithmetic of an inference plan's matrix products and convolutions.
///
/// Tensors between operations, scans, norms and residual sums are float32 in either case.
public enum Precision: String, Sendable, CaseIterable, Codable {
  /// Float32 throughout.
  case float32 = "f32"
  /// Products of bfloat16 values summed in float32, where an operation knows how.
  case bfloat16 = "bf16"

  /// Whether this processor computes in this precision at full speed, at the level of instructions
  /// that is in use.
  public var isSupported: Bool {
    switch self {
    case .float32: true
    case .bfloat16: k_has_bf16()
    }
  }
}
