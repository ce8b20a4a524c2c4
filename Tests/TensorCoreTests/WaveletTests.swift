import TensorCore
import TestSupport
import Testing

@Suite("Wavelet transforms")
struct WaveletTests {
  @Test(
    "agree with PyWavelets, along an inner axis and a contiguous one", arguments: WaveletFixture.all
  )
  func fixture(_ fixture: WaveletFixture) throws {
    let wavelet = try #require(Wavelet(named: fixture.wavelet))
    let boundary = try #require(WaveletBoundary(rawValue: fixture.boundary))
    let line = Tensor([1, fixture.signal.count], fixture.signal)
    let bands = line.waveletDecomposed(by: wavelet, boundary: boundary, axes: [1])
    let expected = Tensor([2, 1, fixture.low.count], fixture.low + fixture.high)
    #expect(Mismatch(bands, expected, relative: 2e-6) == nil)
    // The same numbers in each of 19 columns.
    let columns = Tensor(
      [fixture.signal.count, 19], fixture.signal.flatMap { [Float](repeating: $0, count: 19) })
    let column = columns.waveletDecomposed(by: wavelet, boundary: boundary, axes: [0])
      .sliced(axis: 2, 18..<19)
    #expect(
      Mismatch(column, expected.reshaped(to: [2, fixture.low.count, 1]), relative: 2e-6) == nil)
  }

  @Test("invert themselves to 1e-6 for every wavelet", arguments: Wavelet.names)
  func reconstruction(name: String) throws {
    let wavelet = try #require(Wavelet(named: name))
    for boundary in WaveletBoundary.allCases {
      for (height, width, channels) in [(1, 2, 3), (7, 12, 1), (33, 70, 1), (16, 5, 18)] {
        let x = Tensor.random([2, height, width, channels], seed: 3)
        let y = x.waveletDecomposed(by: wavelet, boundary: boundary, axes: [1, 2])
          .waveletComposed(
            by: wavelet, boundary: boundary, axes: [1, 2], sizes: [height, width])
        // bior3.1 and its kin amplify: their two filters' norms multiply to about 2.
        let allowed: Float = name.hasPrefix("bior3") ? 3e-6 : 1e-6
        #expect(
          Mismatch(y, x, relative: allowed) == nil, "\(boundary), \(height) × \(width)")
      }
    }
  }

  @Test("order bands as LL, LH, HL, HH with the axes H and W")
  func order() {
    // Constant along H, alternating along W: only the band that is high along W is not 0.
    let x = Tensor([1, 2, 4, 1], [1, -1, 1, -1, 1, -1, 1, -1])
    let bands = x.waveletDecomposed(by: .haar, boundary: .zero, axes: [1, 2])
    #expect(bands.shape == [4, 1, 1, 2, 1])
    #expect(Mismatch(bands.values, [0, 0, 0, 0, 2, 2, 0, 0], absolute: 1e-6) == nil)
  }

  @Test("sizes follow the boundary mode")
  func sizes() throws {
    let wavelet = try #require(Wavelet(named: "db4"))
    let x = Tensor.random([11], seed: 1)
    #expect(x.waveletDecomposed(by: wavelet, boundary: .zero, axes: [0]).shape == [2, 9])
    #expect(x.waveletDecomposed(by: wavelet, boundary: .periodization, axes: [0]).shape == [2, 6])
    #expect(
      x.waveletDecomposed(by: .haar, boundary: .symmetric, axes: [0])
        .waveletComposed(by: .haar, boundary: .symmetric, axes: [0]).shape == [12])
  }

  @Test("unknown names are nil", arguments: ["", "db0", "db11", "db01", "bior", "bior9.9", "sym4"])
  func unknown(name: String) { #expect(Wavelet(named: name) == nil) }
}
