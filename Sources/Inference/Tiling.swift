import Foundation

/// How overlapping tiles are weighted where they meet.
public enum TileBlend: String, Sendable, CaseIterable, Codable {
  /// All pixels alike.
  case constant
  /// A Gaussian around the tile's centre with σ = an eighth of its side.
  case gaussian
}

/// Tiles that cover an image, with overlap.
public struct Tiling: Sendable, Equatable {
  /// The tile's rows and columns; smaller images are one tile.
  public let height: Int
  /// The tile's columns.
  public let width: Int
  /// The part of a tile that it shares with its neighbour, `0..<1`.
  public let overlap: Double
  /// The weights where tiles meet.
  public let blend: TileBlend

  /// Tiles of a size, with overlap.
  ///
  /// - Parameters:
  ///   - height: Rows, at least 8.
  ///   - width: Columns, at least 8.
  ///   - overlap: `0 ..< 1`.
  ///   - blend: The weights where tiles meet.
  public init(height: Int, width: Int, overlap: Double = 0.5, blend: TileBlend = .gaussian) {
    precondition(
      height >= 8 && width >= 8 && (0..<1).contains(overlap),
      "tiling: [\(height), \(width)] with overlap \(overlap)")
    self.height = height
    self.width = width
    self.overlap = overlap
    self.blend = blend
  }

  /// Where tiles of a side begin along an axis: evenly spread, the first at 0, the last at the end.
  static func starts(length: Int, tile: Int, overlap: Double) -> [Int] {
    guard length > tile else { return [0] }
    let step = max(1, Int((Double(tile) * (1 - overlap)).rounded(.down)))
    let count = (length - tile + step - 1) / step + 1
    return (0..<count).map { $0 * (length - tile) / (count - 1) }
  }

  /// The weights of a tile's pixels along one axis, each positive.
  func weights(_ length: Int) -> [Float] {
    guard blend == .gaussian else { return [Float](repeating: 1, count: length) }
    let centre = Double(length - 1) / 2
    let sigma = Double(length) / 8
    return (0..<length).map { position in
      let z = (Double(position) - centre) / sigma
      // Never 0: the corner of an image may lie in one tile alone.
      return Float(max(1e-4, exp(-z * z / 2)))
    }
  }

  /// Restores a slice tile by tile.
  ///
  /// - Parameters:
  ///   - stack: The slice and its neighbours.
  ///   - restore: Restores a tile; `[rows, columns]`.
  /// - Returns: `[rows, columns]`, the weighted mean of all tiles.
  /// - Throws: What `restore` throws.
  func map<Failure: Error>(
    _ stack: SliceStack, _ restore: (SliceStack) throws(Failure) -> [Float]
  ) throws(Failure) -> [Float] {
    let (rows, columns) = (stack.height, stack.width)
    let (tileRows, tileColumns) = (min(height, rows), min(width, columns))
    let (rowWeights, columnWeights) = (weights(tileRows), weights(tileColumns))
    var sum = [Float](repeating: 0, count: rows * columns)
    var total = [Float](repeating: 0, count: rows * columns)
    for top in Self.starts(length: rows, tile: tileRows, overlap: overlap) {
      for left in Self.starts(length: columns, tile: tileColumns, overlap: overlap) {
        let restored = try restore(
          stack.part(top: top, left: left, height: tileRows, width: tileColumns))
        for row in 0..<tileRows {
          for column in 0..<tileColumns {
            let weight = rowWeights[row] * columnWeights[column]
            let index = (top + row) * columns + left + column
            sum[index] += weight * restored[row * tileColumns + column]
            total[index] += weight
          }
        }
      }
    }
    for index in sum.indices { sum[index] /= total[index] }
    return sum
  }
}
