import Kernels
import TestSupport
import Testing

@Suite("Kernels of two numbers")
struct BinaryTests {
  static let functions = Reference.BinaryFunction.all.enumerated().map {
    (code: k_binary(rawValue: k_binary.RawValue($0)), reference: $1)
  }

  /// How often each operand advances: both along, one repeated, and odd spacings.
  static let steps = [(1, 1), (1, 0), (0, 1), (0, 0), (2, 1), (1, 3), (3, 0)]

  /// Operands with some equal pairs, so that the ties of maximum and minimum occur.
  private func operands(_ count: Int, _ steps: (Int, Int)) -> (a: [Float], b: [Float]) {
    let a = normals(count * max(steps.0, 1), seed: 1)
    var b = normals(count * max(steps.1, 1), seed: 2).map { $0 + ($0 < 0 ? -0.2 : 0.2) }
    if steps == (1, 1) { for i in stride(from: 0, to: count, by: 5) { b[i] = a[i] + 0 } }
    return (a, b)
  }

  @Test("Binary functions with every spacing of operands", arguments: Level.all, functions.indices)
  func forward(level: Level, function: Int) {
    let (code, reference) = Self.functions[function]
    for count in [1, 7, 16, 37, 100] {
      for steps in Self.steps {
        let (a, b) = operands(count, steps)
        let old = normals(count, seed: 3)
        let expected = (0..<count).map {
          reference.value(Double(a[$0 * steps.0]), Double(b[$0 * steps.1]))
        }
        let sum = expected.indices.map { expected[$0] + Double(old[$0]) }
        level.run {
          let y = written(count) {
            k_binary_forward($0, a, steps.0, b, steps.1, code, false, count)
          }
          #expect(disagreement(y, expected) == nil, "\(reference), \(count), \(steps)")
          let added = written(over: old) {
            k_binary_forward($0, a, steps.0, b, steps.1, code, true, count)
          }
          #expect(disagreement(added, sum) == nil, "\(reference), \(count), \(steps)")
        }
      }
    }
  }

  @Test(
    "Binary gradients are added, and summed over a repeated operand", arguments: Level.all,
    functions.indices)
  func backward(level: Level, function: Int) {
    let (code, reference) = Self.functions[function]
    for count in [1, 7, 16, 37, 100] {
      for steps in Self.steps {
        let (a, b) = operands(count, steps)
        let dy = normals(count, seed: 4)
        let (oldA, oldB) = (normals(a.count, seed: 5), normals(b.count, seed: 6))
        var (expectedA, expectedB) = (oldA.map(Double.init), oldB.map(Double.init))
        for i in 0..<count {
          let slopes = reference.slopes(Double(a[i * steps.0]), Double(b[i * steps.1]))
          expectedA[i * steps.0] += Double(dy[i]) * slopes.0
          expectedB[i * steps.1] += Double(dy[i]) * slopes.1
        }
        level.run {
          var db: [Float] = []
          let da = written(over: oldA) { da in
            db = written(over: oldB) {
              k_binary_backward(da, $0, dy, a, steps.0, b, steps.1, code, count)
            }
          }
          #expect(
            disagreement(da, expectedA, tolerance: 1e-4) == nil, "\(reference), \(count), \(steps)")
          #expect(
            disagreement(db, expectedB, tolerance: 1e-4) == nil, "\(reference), \(count), \(steps)")
          let alone = written(over: oldB) {
            k_binary_backward(nil, $0, dy, a, steps.0, b, steps.1, code, count)
          }
          #expect(alone == db)
        }
      }
    }
  }

  @Test("Rows against a row of numbers", arguments: Level.all, [1, 12, 24, 48, 67])
  func columns(level: Level, c: Int) {
    let rows = 5
    let x = normals(rows * c, seed: 7)
    let old = normals(rows * c, seed: 8)
    let v = normals(c, seed: 9).map { $0 + ($0 < 0 ? -0.2 : 0.2) }
    for (code, reference) in Self.functions {
      let expected = x.indices.map { reference.value(Double(x[$0]), Double(v[$0 % c])) }
      level.run {
        #expect(
          disagreement(
            written(x.count) { k_binary_columns($0, x, v, code, false, rows, c) }, expected) == nil)
        #expect(
          disagreement(
            written(over: old) { k_binary_columns($0, x, v, code, true, rows, c) },
            adding(old, to: expected)) == nil)
        #expect(
          disagreement(
            written(over: x) { k_binary_columns($0, $0, v, code, false, rows, c) }, expected)
            == nil)
      }
    }
  }

  @Test("NaN in either operand gives NaN", arguments: Level.all, functions.indices)
  func notANumber(level: Level, function: Int) {
    var (a, b) = (normals(35, seed: 11), normals(35, seed: 12))
    a[3] = .nan
    b[20] = .nan
    b[34] = .nan
    let y = level.run {
      written(35) { k_binary_forward($0, a, 1, b, 1, Self.functions[function].code, false, 35) }
    }
    for index in y.indices { #expect(y[index].isNaN == [3, 20, 34].contains(index)) }
  }
}
