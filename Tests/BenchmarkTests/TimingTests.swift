import Benchmark
import TensorCore
import Testing

@Suite("Benchmarks")
struct TimingTests {
  @Test("quartiles interpolate between order statistics")
  func quartiles() {
    let timing = Timing([4, 1, 3, 2])
    #expect(timing.seconds == [4, 1, 3, 2])
    #expect(timing.median == 2.5 && timing.firstQuartile == 1.75 && timing.thirdQuartile == 3.25)
    #expect(Timing([7]).median == 7 && Timing([7]).thirdQuartile == 7)
  }

  @Test("the product by oneDNN is the engine's, and both are measured against one peak")
  func operations() throws {
    let peak = MachinePeak.measured()
    #expect(peak.multiplyAdd > 0 && peak.triad > 0 && peak.threads == Engine.shared.threads)
    var names: [String] = []
    let found = OperationBenchmarks.run(against: peak, seconds: 0) {
      names.append($0.name)
      return names.count < 2
    }
    #expect(found.count == 2 && names == ["linear", "linear"])
    let first = try #require(found.first)
    #expect(first.size == "65536 x 48 x 48")
    #expect(first.opponent?.name.hasPrefix("oneDNN") == true)
    let gflops = try #require(first.gflops)
    #expect(abs(first.share - gflops / peak.multiplyAdd) < 1e-9)
    #expect(try #require(first.operations) == 301_989_888)
  }
}
