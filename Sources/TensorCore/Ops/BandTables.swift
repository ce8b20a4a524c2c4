import Foundation
import Synchronization

/// The low-pass masks of frequency band modulation, on their own grid and on maps of any size.
///
/// Masks live on a grid of `grid` rows and `grid / 2 + 1` columns in FFT order and are resized by
/// nearest neighbour. A mask is a product of a set of rows and a set of columns, because it contains
/// the frequencies with `max(|row|, column) ≤ limit`.
///
/// Source: FDConv, arXiv 2503.18783, and its code (frequency band modulation).
public struct FrequencyBands: Hashable, Sendable {
  /// The divisors q: band q passes frequencies up to 0.5 / q cycles a pixel.
  public let divisors: [Int]
  /// Rows of the grid on which masks are made, even.
  public let grid: Int

  /// Bands by their divisors, as in `[2, 4, 8]`.
  public init(divisors: [Int], grid: Int = 64) {
    precondition(
      grid > 0 && grid % 2 == 0 && divisors.allSatisfy { $0 > 0 },
      "frequency bands: divisors \(divisors) on a grid of \(grid)")
    self.divisors = divisors
    self.grid = grid
  }

  /// The largest frequency of the grid that a band passes.
  ///
  /// Compared in `Float`, where equality is excluded for q = 2 and included for 4 and 8.
  public func limit(_ divisor: Int) -> Int {
    let bound = Float(0.5 / Double(divisor) + 1e-8)
    return (0...grid / 2).last { Float($0) / Float(grid) < bound } ?? 0
  }

  /// |frequency| of each row of a map of `height` rows, in units of the grid.
  public func rowFrequencies(height: Int) -> [Int] {
    (0..<height).map { row in
      let index = min(Int((Float(row) * (Float(grid) / Float(height))).rounded(.down)), grid - 1)
      return index < grid / 2 ? index : grid - index
    }
  }

  /// The frequency of each column of the half spectrum of a map of `width` columns.
  public func columnFrequencies(width: Int) -> [Int] {
    let (columns, half) = (grid / 2 + 1, width / 2 + 1)
    return (0..<half).map { column in
      min(Int((Float(column) * (Float(columns) / Float(half))).rounded(.down)), columns - 1)
    }
  }

  /// The mask of one band on a map, `[height, width / 2 + 1]`, row by row.
  public func mask(_ divisor: Int, height: Int, width: Int) -> [Bool] {
    let limit = limit(divisor)
    let columns = columnFrequencies(width: width)
    return rowFrequencies(height: height).flatMap { row in columns.map { max(row, $0) <= limit } }
  }
}

/// The Fourier matrices of the bands' frequencies for maps of one size.
///
/// A band holds few frequencies, and the products with these matrices cost less than whole
/// transforms: `low = S_W · S_H · A_H · A_W · x`, with analysis A and synthesis S along each axis.
/// Complex numbers are pairs of rows. Rows of the map are sorted by |frequency|, so that the
/// frequencies of a narrower band come first.
final class BandTables: Sendable {
  /// One band's frequencies and its matrices along W.
  struct Band: Sendable {
    /// Frequencies along W, and along H.
    let columns: Int
    let rows: Int
    /// `[W, 2 · columns]`: real parts, then imaginary parts.
    let analysis: [Float]
    /// `[2 · columns, W]`, with the normalisation.
    let synthesis: [Float]
  }

  let height: Int
  let width: Int
  let bands: [Band]
  /// The widest band.
  let widest: Int
  /// `[2 · H, 2 · rows]` of the widest band, real and imaginary part alternately.
  let rowAnalysis: [Float]
  /// Its transpose, `[2 · rows, 2 · H]`.
  let rowSynthesis: [Float]

  private struct Key: Hashable {
    let bands: FrequencyBands
    let height: Int
    let width: Int
  }

  private static let cache = Mutex<[Key: BandTables]>([:])

  static func tables(_ bands: FrequencyBands, height: Int, width: Int) -> BandTables {
    let key = Key(bands: bands, height: height, width: width)
    if let kept = cache.withLock({ $0[key] }) { return kept }
    let tables = BandTables(bands, height, width)
    cache.withLock { cache in
      // Maps of ever new sizes must not fill the memory.
      if cache.count >= 64 { cache.removeAll() }
      cache[key] = tables
    }
    return tables
  }

  private init(_ bands: FrequencyBands, _ height: Int, _ width: Int) {
    self.height = height
    self.width = width
    let limits = bands.divisors.map(bands.limit)
    let frequencies = bands.rowFrequencies(height: height)
    let columns = bands.columnFrequencies(width: width)
    let order = frequencies.indices.sorted { (frequencies[$0], $0) < (frequencies[$1], $1) }
    self.bands = limits.map { limit in
      Self.band(
        columns: columns.count { $0 <= limit }, rows: frequencies.count { $0 <= limit }, height,
        width)
    }
    let widest = limits.indices.max { limits[$0] < limits[$1] } ?? 0
    self.widest = widest
    let rows = self.bands.isEmpty ? 0 : self.bands[widest].rows
    var analysis = [Float](repeating: 0, count: 4 * height * rows)
    var synthesis = analysis
    for p in 0..<height {
      for (index, row) in order.prefix(rows).enumerated() {
        let angle = 2 * Double.pi * Double(row * p % height) / Double(height)
        let (cosine, sine) = (Float(cos(angle)), Float(sin(angle)))
        let entries = [[cosine, -sine], [sine, cosine]]
        for part in 0..<2 {
          for result in 0..<2 {
            let value = entries[part][result]
            analysis[(2 * p + part) * 2 * rows + 2 * index + result] = value
            synthesis[(2 * index + result) * 2 * height + 2 * p + part] = value
          }
        }
      }
    }
    rowAnalysis = analysis
    rowSynthesis = synthesis
  }

  private static func band(columns: Int, rows: Int, _ height: Int, _ width: Int) -> Band {
    var analysis = [Float](repeating: 0, count: 2 * width * columns)
    var synthesis = analysis
    for q in 0..<width {
      for c in 0..<columns {
        let angle = 2 * Double.pi * Double(c * q % width) / Double(width)
        // Columns that stand for two of the whole spectrum count twice.
        let isPair = c > 0 && !(width % 2 == 0 && c == width / 2)
        let scale = (isPair ? 2 : 1) / Double(height * width)
        analysis[q * 2 * columns + c] = Float(cos(angle))
        analysis[q * 2 * columns + columns + c] = Float(-sin(angle))
        synthesis[c * width + q] = Float(scale * cos(angle))
        synthesis[(columns + c) * width + q] = Float(-scale * sin(angle))
      }
    }
    return Band(columns: columns, rows: rows, analysis: analysis, synthesis: synthesis)
  }
}
