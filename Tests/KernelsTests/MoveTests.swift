import Kernels
import TestSupport
import Testing

@Suite("Layout kernels")
struct MoveTests {
  @Test("Strided copies, and sums of them", arguments: Level.all, [(1, 1), (3, 1), (1, 2), (4, 0)])
  func stridedCopy(level: Level, steps: (y: Int, x: Int)) {
    let n = 29
    let old = normals(n * steps.y, seed: 1)
    let x = normals(max(1, n * steps.x), seed: 2)
    for accumulate in [false, true] {
      var expected = old
      for i in 0..<n {
        expected[i * steps.y] = x[i * steps.x] + (accumulate ? old[i * steps.y] : 0)
      }
      let y = level.run {
        written(over: old) { k_copy_strided($0, steps.y, x, steps.x, accumulate, n) }
      }
      #expect(y == expected)
    }
  }

  @Test(
    "Channels are copied into wider rows, and added", arguments: Level.all, [1, 12, 16, 24, 37])
  func rows(level: Level, c: Int) {
    let (rows, xStride, yStride) = (6, c + 2, c + 9)
    let old = normals(rows * yStride, seed: 3)
    let x = normals(rows * xStride, seed: 4)
    for accumulate in [false, true] {
      var expected = old
      for row in 0..<rows {
        for i in 0..<c {
          expected[row * yStride + i] =
            x[row * xStride + i] + (accumulate ? old[row * yStride + i] : 0)
        }
      }
      let y = level.run {
        written(over: old) { k_copy_rows($0, yStride, x, xStride, accumulate, rows, c) }
      }
      #expect(y == expected)
    }
  }

  @Test(
    "Transposition of every block shape", arguments: Level.all,
    [(1, 1), (4, 4), (3, 9), (5, 31), (33, 64), (70, 41)])
  func transpose(level: Level, shape: (rows: Int, columns: Int)) {
    let (rows, columns) = shape
    let x = normals(rows * columns, seed: 5)
    let expected = Reference.transpose(x, rows: rows, columns: columns)
    level.run {
      #expect(
        written(x.count) { k_transpose($0, rows, x, columns, rows, columns) } == expected)
      // Into rows that are longer than needed: what lies between stays.
      let stride = rows + 3
      let old = normals(columns * stride, seed: 6)
      var spaced = old
      for (index, value) in expected.enumerated() {
        spaced[index / rows * stride + index % rows] = value
      }
      #expect(written(over: old) { k_transpose($0, stride, x, columns, rows, columns) } == spaced)
    }
  }

  @Test(
    "Pixel shuffle follows the channel order of the formula, unshuffle undoes it",
    arguments: Level.all, [(2, 3), (2, 12), (2, 48), (3, 5), (1, 4), (4, 1)])
  func pixelShuffle(level: Level, shape: (factor: Int, c: Int)) {
    let (factor, c, height, width) = (shape.factor, shape.c, 3, 5)
    let x = normals(height * width * c * factor * factor, seed: 7)
    let row = width * factor * c
    var expected = x
    for row in 0..<height * factor {
      for column in 0..<width * factor {
        for channel in 0..<c {
          let source = (channel * factor + row % factor) * factor + column % factor
          let pixel = row / factor * width + column / factor
          expected[(row * width * factor + column) * c + channel] =
            x[pixel * c * factor * factor + source]
        }
      }
    }
    level.run {
      let y = written(x.count) {
        k_pixel_shuffle($0, c, row, x, factor, 0, 2, width, c)
        k_pixel_shuffle($0, c, row, x, factor, 2, height, width, c)
      }
      #expect(y == expected)
      let back = written(x.count) { k_pixel_unshuffle($0, y, c, row, factor, 0, height, width, c) }
      #expect(back == x)
      // Channels of a wider image, in rows with something behind them.
      let (pixel, wideRow) = (c + 3, width * factor * (c + 3) + 5)
      var wide = [Float](repeating: -7, count: height * factor * wideRow)
      k_pixel_shuffle(&wide, pixel, wideRow, x, factor, 0, height, width, c)
      var expectedWide = [Float](repeating: -7, count: wide.count)
      for index in expected.indices {
        let (place, channel) = index.quotientAndRemainder(dividingBy: c)
        let (line, column) = place.quotientAndRemainder(dividingBy: width * factor)
        expectedWide[line * wideRow + column * pixel + channel] = expected[index]
      }
      #expect(wide == expectedWide)
      let fromWide = written(x.count) {
        k_pixel_unshuffle($0, wide, pixel, wideRow, factor, 0, height, width, c)
      }
      #expect(fromWide == x)
    }
  }
}
