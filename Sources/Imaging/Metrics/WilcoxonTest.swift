import Foundation

/// The signed-rank test of paired figures, which asks whether one method beats the other.
///
/// Differences of 0 are left out; an infinite figure against a finite one is the largest of all differences, and
/// two equal infinite ones do not differ. Without equal magnitudes and up to 50 pairs the two-sided p value is
/// exact, from the distribution of the rank sum; otherwise it comes from the normal approximation with
/// the correction for ties.
///
/// Source: Wilcoxon, *Individual Comparisons by Ranking Methods*, Biometrics Bulletin 1(6), 1945.
public struct WilcoxonTest: Sendable, Equatable {
  /// Pairs of which both figures are numbers.
  public let pairs: Int
  /// Pairs whose figures differ.
  public let count: Int
  /// The smaller of the two sums of ranks.
  public let statistic: Double
  /// The two-sided p value; 1 if no pair differs.
  public let pValue: Double
  /// Whether the p value is exact.
  public let isExact: Bool
  /// The median of the differences of all ``pairs``.
  public let medianDifference: Double

  /// Compares two methods.
  ///
  /// - Parameters:
  ///   - first: One figure a case.
  ///   - second: The other method's, in the same order.
  public init(_ first: [Double], _ second: [Double]) {
    precondition(
      first.count == second.count, "WilcoxonTest: \(first.count) against \(second.count) figures")
    let all = zip(first, second).map { $0 == $1 ? 0 : $0 - $1 }.filter { !$0.isNaN }
    pairs = all.count
    let sorted = all.sorted()
    let middle =
      sorted.isEmpty
      ? (0, 0) : (sorted[(sorted.count - 1) / 2], sorted[sorted.count / 2])
    // Between one infinity and the other there is no median.
    medianDifference = middle.0 == -middle.1 ? 0 : (middle.0 + middle.1) / 2
    let differences = all.filter { $0 != 0 }.sorted { abs($0) < abs($1) }
    count = differences.count
    var (positive, negative, ties) = (0.0, 0.0, 0.0)
    var index = 0
    while index < differences.count {
      var end = index + 1
      while end < differences.count, abs(differences[end]) == abs(differences[index]) { end += 1 }
      let rank = Double(index + 1 + end) / 2
      for difference in differences[index..<end] {
        if difference > 0 { positive += rank } else { negative += rank }
      }
      let size = Double(end - index)
      ties += size * size * size - size
      index = end
    }
    statistic = min(positive, negative)
    isExact = ties == 0 && count <= 50 && count == all.count
    guard count > 0 else {
      pValue = 1
      return
    }
    let n = Double(count)
    if isExact {
      pValue = min(1, 2 * Self.probability(ofAtMost: Int(statistic), pairs: count))
    } else {
      let mean = n * (n + 1) / 4
      let variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
      let z = variance > 0 ? (statistic - mean) / variance.squareRoot() : 0
      pValue = min(1, erfc(-z / 2.0.squareRoot()))
    }
  }

  /// The probability of a rank sum of at most `limit` if signs are fair coins.
  private static func probability(ofAtMost limit: Int, pairs: Int) -> Double {
    // How many of the 2ⁿ choices of signs have each sum, as parts of all choices.
    var parts = [Double](repeating: 0, count: pairs * (pairs + 1) / 2 + 1)
    parts[0] = 1
    var reach = 0
    for rank in 1...pairs {
      reach += rank
      for sum in stride(from: reach, through: 0, by: -1) {
        parts[sum] = 0.5 * (parts[sum] + (sum >= rank ? parts[sum - rank] : 0))
      }
    }
    return parts[0...limit].reduce(0, +)
  }
}
