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
      #expect(close(k_sum_of_squares(a, count), d.reduce(0) { $0 + $1 * $1 }))
      #expect(close(k_dot(a, b, count), zip(d, b).reduce(0) { $0 + $1.0 * Double($1.1) }))
    }
  }

  @Test("Whole sums have the same bits at every level")
  func sumsAreEqualAtAllLevels() {
    let (a, b) = (normals(1001, seed: 3), normals(1001, seed: 4))
    let results = Level.all.map { level in
      level.run { [k_sum_of_squares(a, 1001), k_dot(a, b, 1001)] }
    }
    #expect(Set(results).count == 1)
  }

  @Test("The largest of a row is found wherever it or NaN is", arguments: Level.all, counts)
  func rowMaximum(level: Level, count: Int) {
    let x = normals(count, seed: 5)
    level.run {
      let most = written(1) { k_row_max($0, x, 1, count) }
      #expect(most == [x.max() ?? -.infinity])
      for position in Set([0, count / 2, count - 1]) where count > 0 {
        var broken = x
        broken[position] = .nan
        let none = written(1) { k_row_max($0, broken, 1, count) }
        #expect(none.allSatisfy { $0.isNaN })
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
    var a = normals(rows * c, seed: 7)
    if rows > 2 { a[2 * c] = .nan }
    let old = normals(rows, seed: 9)
    let reduce = { (body: (ArraySlice<Float>) -> Double) in
      (0..<rows).map { body(a[$0 * c..<($0 + 1) * c]) }
    }
    let sum = reduce { $0.reduce(0) { $0 + Double($1) } }
    let most = reduce { $0.contains(where: \.isNaN) ? .nan : Double($0.max() ?? 0) }
    level.run {
      #expect(disagreement(written(rows) { k_row_sum($0, a, false, rows, c) }, sum) == nil)
      #expect(
        disagreement(
          written(over: old) { k_row_sum($0, a, true, rows, c) }, adding(old, to: sum)) == nil)
      #expect(disagreement(written(rows) { k_row_max($0, a, rows, c) }, most) == nil)
    }
  }

  @Test("Reductions of columns", arguments: Level.all, shapes)
  func columns(level: Level, shape: (rows: Int, c: Int)) {
    let (rows, c) = shape
    let stride = c + 5
    var strided = normals(rows * stride, seed: 10)
    strided[c / 2] = .nan
    let a = (0..<rows).flatMap { strided[$0 * stride..<$0 * stride + c] }
    let old = normals(c, seed: 12)
    let reduce = { (start: (Int) -> Double, next: (Double, Int) -> Double) in
      (0..<c).map { column in
        (0..<rows).reduce(start(column)) { next($0, $1 * c + column) }
      }
    }
    let most = { (x: Double, i: Int) in x.isNaN || a[i].isNaN ? .nan : max(x, Double(a[i])) }
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
          written(c) { k_column_max($0, strided, stride, false, rows, c) },
          reduce({ _ in -.infinity }, most)) == nil)
      #expect(
        disagreement(
          written(over: old) { k_column_max($0, strided, stride, true, rows, c) },
          reduce({ Double(old[$0]) }, most)) == nil)
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
