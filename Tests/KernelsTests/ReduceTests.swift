import Kernels
import TestSupport
import Testing

@Suite("Reduction kernels")
struct ReduceTests {
  static let counts = [0, 1, 3, 15, 16, 17, 33, 100, 1000]

  @Test("Sums of whole arrays, in double", arguments: Level.all, counts)
  func wholeSums(level: Level, count: Int) {
    let (a, b) = (normals(count, seed: 1), normals(count, seed: 2))
    let d = a.map(Double.init)
    let close = { (x: Double, y: Double) in abs(x - y) <= 1e-12 * Double(count) }
    level.run {
      #expect(close(k_sum(a, count), d.reduce(0, +)))
      #expect(close(k_sum_of_squares(a, count), d.reduce(0) { $0 + $1 * $1 }))
      #expect(close(k_sum_of_magnitudes(a, count), d.reduce(0) { $0 + abs($1) }))
      #expect(close(k_dot(a, b, count), zip(d, b).reduce(0) { $0 + $1.0 * Double($1.1) }))
    }
  }

  @Test("Whole sums have the same bits at every level")
  func sumsAreEqualAtAllLevels() {
    let (a, b) = (normals(1001, seed: 3), normals(1001, seed: 4))
    let results = Level.all.map { level in
      level.run { [k_sum(a, 1001), k_sum_of_squares(a, 1001), k_dot(a, b, 1001)] }
    }
    #expect(Set(results).count == 1)
  }

  @Test("Extremes of whole arrays", arguments: Level.all, counts)
  func extremes(level: Level, count: Int) {
    let x = normals(count, seed: 5)
    level.run {
      #expect(k_max(x, count) == x.max() ?? -.infinity)
      #expect(k_min(x, count) == x.min() ?? .infinity)
    }
    for position in Set([0, count / 2, count - 1]) where count > 0 {
      var broken = x
      broken[position] = .nan
      level.run {
        #expect(k_max(broken, count).isNaN)
        #expect(k_min(broken, count).isNaN)
        #expect(k_sum(broken, count).isNaN)
      }
    }
  }

  @Test("One infinite or undefined element is noticed wherever it is", arguments: Level.all, counts)
  func allFinite(level: Level, count: Int) {
    let x = normals(count, seed: 6)
    level.run {
      #expect(k_all_finite(x, count))
      for position in x.indices {
        for value in [Float.infinity, -.infinity, .nan] {
          var broken = x
          broken[position] = value
          #expect(!k_all_finite(broken, count))
        }
      }
      #expect(k_all_finite([Float.greatestFiniteMagnitude, -.leastNonzeroMagnitude], 2))
    }
  }

  static let shapes: [(rows: Int, c: Int)] = [
    (1, 1), (3, 12), (9, 16), (4, 36), (10, 67), (2, 200),
  ]

  @Test("Reductions of rows", arguments: Level.all, shapes)
  func rows(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    var (a, b) = (normals(rows * c, seed: 7), normals(rows * c, seed: 8))
    if rows > 2 { a[2 * c] = .nan }
    b[0] = 0.5
    let old = normals(rows, seed: 9)
    let reduce = { (body: (ArraySlice<Float>, ArraySlice<Float>) -> Double) in
      (0..<rows).map { body(a[$0 * c..<($0 + 1) * c], b[$0 * c..<($0 + 1) * c]) }
    }
    let sum = reduce { a, _ in a.reduce(0) { $0 + Double($1) } }
    let dot = reduce { a, b in zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    let most = reduce { a, _ in a.contains(where: \.isNaN) ? .nan : Double(a.max() ?? 0) }
    let least = reduce { a, _ in a.contains(where: \.isNaN) ? .nan : Double(a.min() ?? 0) }
    level.run {
      #expect(disagreement(written(rows) { k_row_sum($0, a, false, rows, c) }, sum) == nil)
      #expect(
        disagreement(
          written(over: old) { k_row_dot($0, a, b, true, rows, c) },
          adding(old, to: dot)) == nil)
      #expect(disagreement(written(rows) { k_row_max($0, a, rows, c) }, most) == nil)
      #expect(disagreement(written(rows) { k_row_min($0, a, rows, c) }, least) == nil)
    }
  }

  @Test("Reductions of columns", arguments: Level.all, shapes)
  func columns(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    let stride = c + 5
    var strided = normals(rows * stride, seed: 10)
    strided[c / 2] = .nan
    let a = (0..<rows).flatMap { strided[$0 * stride..<$0 * stride + c] }
    let b = normals(rows * c, seed: 11)
    let old = normals(c, seed: 12)
    let reduce = { (start: (Int) -> Double, next: (Double, Int) -> Double) in
      (0..<c).map { column in
        (0..<rows).reduce(start(column)) { next($0, $1 * c + column) }
      }
    }
    let most = { (x: Double, i: Int) in x.isNaN || a[i].isNaN ? .nan : max(x, Double(a[i])) }
    let least = { (x: Double, i: Int) in x.isNaN || a[i].isNaN ? .nan : min(x, Double(a[i])) }
    let plain = (0..<rows * c).map { a[$0] }
    level.run {
      #expect(
        disagreement(
          written(c) { k_column_sum($0, strided, stride, false, rows, c) },
          reduce({ _ in 0 }, { $0 + Double(a[$1]) })) == nil)
      #expect(
        disagreement(
          written(over: old) { k_column_sum($0, strided, stride, true, rows, c) },
          reduce({ Double(old[$0]) }, { $0 + Double(a[$1]) })) == nil)
      #expect(
        disagreement(
          written(over: old) { k_column_dot($0, plain, b, true, rows, c) },
          reduce({ Double(old[$0]) }, { $0 + Double(a[$1]) * Double(b[$1]) })) == nil)
      #expect(
        disagreement(
          written(c) { k_column_max($0, strided, stride, false, rows, c) },
          reduce({ _ in -.infinity }, most)) == nil)
      #expect(
        disagreement(
          written(over: old) { k_column_max($0, strided, stride, true, rows, c) },
          reduce({ Double(old[$0]) }, most)) == nil)
      #expect(
        disagreement(
          written(over: old) { k_column_min($0, strided, stride, true, rows, c) },
          reduce({ Double(old[$0]) }, least)) == nil)
    }
  }

  @Test("Moments of columns add up in double", arguments: Level.all, shapes)
  func moments(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    let (x, dy, center) = (
      normals(rows * c, seed: 13), normals(rows * c, seed: 14), normals(c, seed: 15)
    )
    let old = normals(c, seed: 16).map(Double.init)
    var (sum, squares, gradients, dots, plain) = (old, old, old, old, old)
    for i in 0..<rows * c {
      let d = Double(x[i]) - Double(center[i % c])
      sum[i % c] += d
      squares[i % c] += d * d
      gradients[i % c] += Double(dy[i])
      dots[i % c] += Double(dy[i]) * d
      plain[i % c] += Double(x[i])
    }
    let close = { (x: [Double], y: [Double]) in
      zip(x, y).allSatisfy { abs($0 - $1) <= 1e-12 * (1 + abs($1)) }
    }
    let accumulated = { (body: (UnsafeMutablePointer<Double>) -> Void) in
      written(c, over: old, margin: -1.25, body)
    }
    level.run {
      var second: [Double] = []
      let first = accumulated { sum in
        second = accumulated { k_column_moments(sum, $0, x, center, rows, c) }
      }
      #expect(close(first, sum) && close(second, squares))
      #expect(close(accumulated { k_column_moments($0, nil, x, nil, rows, c) }, plain))
      let third = accumulated { sum in
        second = accumulated { k_column_gradient_moments(sum, $0, dy, x, center, rows, c) }
      }
      #expect(close(third, gradients) && close(second, dots))
    }
  }
}
