import Foundation
import Kernels
import Testing

@Suite("Choice of the instruction set")
struct DispatchTests {
  @Test("Levels have the names that the environment variable takes")
  func names() {
    let names = [K_ISA_BASE, K_ISA_AVX2, K_ISA_AVX512].map { String(cString: k_isa_name($0)) }
    #expect(names == ["base", "avx2", "avx512"])
  }

  @Test("A level that the CPU lacks is refused, and nothing changes")
  func refusal() {
    let before = k_active_isa()
    #expect(!k_select_isa(k_isa(rawValue: k_best_isa().rawValue + 1)))
    #expect(!k_select_isa_for_process(k_isa(rawValue: k_best_isa().rawValue + 1)))
    #expect(k_active_isa() == before)
  }

  @Test("A level chosen on one thread is not seen by another", arguments: Level.all)
  func threads(level: Level) {
    let before = k_active_isa()
    level.run {
      #expect(k_active_isa() == level.isa)
      nonisolated(unsafe) var seen = k_isa(rawValue: 99)
      let done = DispatchSemaphore(value: 0)
      Thread.detachNewThread {
        seen = k_active_isa()
        done.signal()
      }
      done.wait()
      #expect(seen == before)
    }
    #expect(k_active_isa() == before)
  }
}
