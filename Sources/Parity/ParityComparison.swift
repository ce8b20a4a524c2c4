import Foundation
import Layers
import TensorCore

/// How one computed tensor compares with the stored one.
public struct ParityComparison: Codable, Equatable, Sendable {
  private enum CodingKeys: String, CodingKey {
    case tensor, passed
    case relativeError = "relative_error"
    case tolerance, difference, allowed, reason
  }

  /// The tensor's full name in the file.
  public let tensor: String

  /// Whether it is as near as the file demands.
  public let passed: Bool

  /// `max|a − b| / max|b|`, a computed and b stored; nil if b is all zero or there is nothing to
  /// compare.
  ///
  /// For the sum of a gradient the divisor is the gradient's norm.
  public let relativeError: Double?

  /// The stated relative tolerance, 0 for integers.
  public let tolerance: Double

  /// `max|a − b|`, nil if there is nothing to compare.
  public let difference: Double?

  /// The largest difference that passes, the absolute tolerance included.
  public let allowed: Double?

  /// Why the tensor failed before numbers could be compared.
  public let reason: String?

  /// A comparison that fails for a reason other than its numbers.
  init(failed tensor: String, tolerance: Double, reason: String) {
    self.tensor = tensor
    passed = false
    relativeError = nil
    self.tolerance = tolerance
    difference = nil
    allowed = nil
    self.reason = reason
  }

  /// Compares element by element.
  ///
  /// - Parameters:
  ///   - tensor: The full name.
  ///   - computed: Results.
  ///   - stored: As many numbers of the file.
  ///   - scale: What relative errors are relative to; nil for the largest stored magnitude.
  ///   - tolerance: Relative.
  ///   - absolute: Added to what the relative tolerance allows.
  init(
    _ tensor: String, computed: some Collection<Double>, stored: some Collection<Double>,
    scale: Double? = nil, tolerance: Double, absolute: Double
  ) {
    var difference = 0.0
    var largest = 0.0
    var problem: String?
    for (index, (a, b)) in zip(computed, stored).enumerated() where problem == nil {
      if a.isFinite && b.isFinite {
        difference = max(difference, abs(a - b))
        largest = max(largest, abs(b))
      } else {
        let which = a.isFinite ? "stored" : "computed"
        problem = "\(which) value at index \(index) is \(a.isFinite ? b : a)"
      }
    }
    let scale = scale ?? largest
    let allowed = tolerance * scale + absolute
    self.tensor = tensor
    passed = problem == nil && difference <= allowed
    relativeError = problem == nil && scale > 0 ? difference / scale : nil
    self.tolerance = tolerance
    self.difference = problem == nil ? difference : nil
    self.allowed = problem == nil ? allowed : nil
    reason = problem
  }

  /// What is printed about the tensor, after its name.
  var summary: String {
    func text(_ value: Double) -> String { String(format: "%.1e", value) }
    if let reason { return reason }
    guard let difference, let allowed else { return "" }
    let absolute = "difference \(text(difference)), allowed \(text(allowed))"
    guard let relativeError else { return absolute }
    let relative = "relative error \(text(relativeError)), tolerance \(text(tolerance))"
    // Where the absolute tolerance decides, or the tensor fails, both pairs are needed.
    return passed && relativeError <= tolerance ? relative : "\(relative) (\(absolute))"
  }
}
