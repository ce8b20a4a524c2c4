import Kernels
import Randomness
import Testing

/// An instruction-set level that this CPU offers.
struct Level: Sendable, CustomStringConvertible {
  let isa: k_isa

  var description: String { String(cString: k_isa_name(isa)) }

  /// From the portable base to the best; each kernel is tested at all of them.
  static let all: [Level] = (K_ISA_BASE.rawValue...k_best_isa().rawValue).map {
    Level(isa: k_isa(rawValue: $0))
  }

  /// Runs a body whose kernel calls use this level, whatever other threads do.
  func run<Result>(_ body: () throws -> Result) rethrows -> Result {
    let isChosen = k_select_isa(isa)
    precondition(isChosen, "level \(self) is not offered by this CPU")
    defer { k_release_isa() }
    return try body()
  }
}

/// Numbers of a seeded normal distribution.
func normals(_ count: Int, seed: UInt64, scale: Float = 1) -> [Float] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in generator.nextNormal() * scale }
}

/// What a kernel writes to a buffer of `count` elements.
///
/// The buffer lies off every alignment, and what surrounds it is checked afterwards: a kernel that
/// writes outside its range fails the test.
func written<Element: Equatable>(
  _ count: Int, over old: [Element], margin: Element,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (UnsafeMutablePointer<Element>) -> Void
) -> [Element] {
  precondition(old.count == count)
  let edge = 37
  let margins = [Element](repeating: margin, count: edge)
  var storage = margins + old + margins
  storage.withUnsafeMutableBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return }
    body(base + edge)
  }
  #expect(
    Array(storage[..<edge]) == margins && Array(storage[(edge + count)...]) == margins,
    "the kernel wrote outside its output", sourceLocation: sourceLocation)
  return Array(storage[edge..<edge + count])
}

/// What a kernel writes over `old`.
func written(
  over old: [Float], sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (UnsafeMutablePointer<Float>) -> Void
) -> [Float] {
  written(old.count, over: old, margin: -12345.5, sourceLocation: sourceLocation, body)
}

/// What a kernel writes to `count` elements that held rubbish before.
func written(
  _ count: Int, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (UnsafeMutablePointer<Float>) -> Void
) -> [Float] {
  written(
    over: [Float](repeating: 777, count: count), sourceLocation: sourceLocation, body)
}

/// The worst disagreement in words, or nil if every element agrees.
///
/// Elements agree if they differ by at most `tolerance` times the larger of 1 and the expected
/// magnitude; where NaN is expected, only NaN agrees.
func disagreement(
  _ actual: [Float], _ expected: [Double], tolerance: Double = 1e-5
) -> String? {
  guard actual.count == expected.count else {
    return "\(actual.count) elements instead of \(expected.count)"
  }
  var worst: (index: Int, excess: Double)?
  for index in actual.indices {
    let (a, e) = (Double(actual[index]), expected[index])
    if a == e || Float(e) == actual[index] || (a.isNaN && e.isNaN) { continue }
    let excess = abs(a - e) / max(1, abs(e))
    if excess <= tolerance { continue }
    let rank = excess.isNaN ? .infinity : excess
    if worst.map({ rank > $0.excess }) ?? true { worst = (index, rank) }
  }
  return worst.map { "[\($0.index)] is \(actual[$0.index]) instead of \(expected[$0.index])" }
}

/// What a kernel that adds leaves: the gradient and what was there before.
func adding(_ old: [Float], to gradient: [Double]) -> [Double] {
  zip(gradient, old).map { $0 + Double($1) }
}
