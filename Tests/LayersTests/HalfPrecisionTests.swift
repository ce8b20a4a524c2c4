import Foundation
import Layers
import TensorCore
import Testing

@Suite("Weights in half precision")
struct HalfPrecisionTests {
  /// What a value becomes in a file.
  private func stored(_ values: [Float]) throws -> [Float] {
    var writer = SafetensorsWriter()
    writer.add(half: Tensor([values.count], values), named: "x")
    writer.add(Tensor([1], [Float(0.1)]), named: "y")
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("half-\(UUID().uuidString).safetensors").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try writer.encoded().write(to: URL(fileURLWithPath: path))
    let file = try Safetensors(contentsOf: path)
    #expect(file.entry(named: "x")?.type == .float16)
    #expect(file.tensor(named: "y")?.values == [0.1])
    return try #require(file.tensor(named: "x")).values
  }

  @Test("numbers that halves can hold stay as they are")
  func exact() throws {
    let values: [Float] = [
      0, 1, -1, 0.5, 65504, -65504, 0x1p-14, 0x1p-24, -0x1.8p-23, 2047, .infinity,
    ]
    #expect(try stored(values) == values)
    #expect(try stored([-0.0])[0].sign == .minus)
    #expect(try stored([.nan])[0].isNaN)
  }

  @Test("others become the nearest one, ties the even one, too large ones infinite")
  func rounding() throws {
    let pairs: [(Float, Float)] = [
      (1 + 0x1p-11, 1), (1 + 0x1.8p-10, 1 + 0x1p-9), (1 + 0x1.1p-11, 1 + 0x1p-10),
      (2049, 2048), (2051, 2052), (65519, 65504), (65520, .infinity), (0x1p-25, 0),
      (0x1.8p-25, 0x1p-24), (0x1.8p-24, 0x1p-23), (0x1.fffffep-15, 0x1p-14),
      (1e-8, 0), (-70000, -.infinity),
    ]
    #expect(try stored(pairs.map(\.0)) == pairs.map(\.1))
    // Against the definition: no half is nearer. Halves near 1/3 are 2⁻¹² apart.
    let values = (1..<400).map { Float($0) / 1200 }
    for (value, half) in zip(values, try stored(values)) {
      let step = Float(sign: .plus, exponent: max(value.exponent, -14) - 10, significand: 1)
      #expect(abs(value - half) <= step / 2)
      #expect((half / step).rounded() == half / step)
    }
  }
}
