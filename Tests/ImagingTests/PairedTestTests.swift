import Foundation
import Imaging
import Testing

@Suite("Wilcoxon test and slice figures")
struct WilcoxonAndSliceFiguresTests {
  @Test("exact p values and those with ties are SciPy's (1.17)")
  func reference() {
    let exact = WilcoxonTest(
      [1.1, 2.3, 0.7, 3.9, 5.2, 1.8, 2.6, 4.4], [0.9, 2.9, 0.2, 2.8, 4.4, 2.1, 1.9, 3.1])
    #expect(exact.isExact && exact.statistic == 6 && exact.count == 8)
    #expect(abs(exact.pValue - 0.109375) < 1e-12)
    let tied = WilcoxonTest([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [2, 2, 1, 5, 7, 5, 9, 6, 10, 13])
    #expect(!tied.isExact && tied.statistic == 15.5 && tied.count == 9)
    #expect(abs(tied.pValue - 0.3985399075343731) < 1e-9)
    #expect(abs(WilcoxonTest([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]).pValue - 0.0625) < 1e-12)
  }

  @Test("the order of the methods turns the difference's sign and nothing else; equal ones give 1")
  func symmetry() {
    let (a, b): ([Double], [Double]) = ([3, 5, 9, 2], [1, 8, 4, 1.5])
    let (one, two) = (WilcoxonTest(a, b), WilcoxonTest(b, a))
    #expect(one.pValue == two.pValue && one.statistic == two.statistic)
    #expect(one.medianDifference == -two.medianDifference && one.medianDifference == 1.25)
    #expect(WilcoxonTest(a, a).pValue == 1 && WilcoxonTest([], []).pValue == 1)
  }

  @Test("a perfect case is the largest difference, two of them are none, a NaN is no pair")
  func infinite() {
    let finite: [Double] = [30, 31, 32, 33, 34]
    let perfect = finite.map { _ in Double.infinity }
    let all = WilcoxonTest(finite, perfect)
    // Five differences of one sign and one size.
    #expect(all.pairs == 5 && all.count == 5 && all.statistic == 0)
    #expect(all.medianDifference == -.infinity && all.pValue < 0.05)
    let mixed = WilcoxonTest([1, 2, 4, .infinity, .nan], [2, 1.5, 2, .infinity, 3])
    #expect(mixed.pairs == 4 && mixed.count == 3 && mixed.statistic == 2)
    #expect(WilcoxonTest(perfect, perfect).pValue == 1)
    #expect(WilcoxonTest([.infinity, 0], [0, .infinity]).medianDifference == 0)
  }

  @Test("slices have the data range of the whole image")
  func slices() throws {
    let size = GridSize(x: 16, y: 16, z: 2)
    let clean = Volume(
      voxels: (0..<size.count).map { Float($0 % 16) * 10 },
      geometry: Geometry(size: size, spacing: SIMD3(1, 1, 3)))
    var other = clean
    other.voxels = clean.voxels.enumerated().map { $0.element + ($0.offset < 256 ? 3 : 6) }
    let figures = try SliceFigures.all(of: other, against: clean)
    #expect(figures.map(\.index) == [0, 1])
    for (figure, offset) in zip(figures, [3.0, 6]) {
      #expect(abs(figure.rootMeanSquaredError - offset) < 1e-4)
      #expect(abs(figure.meanAbsoluteError - offset) < 1e-4)
      #expect(abs(figure.psnr - 20 * log10(150 / offset)) < 1e-4)
      #expect(figure.similarity < 1 && figure.similarity > 0.8)
    }
  }
}
