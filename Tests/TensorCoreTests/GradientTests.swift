import TensorCore
import TestSupport
import Testing

@Suite("Gradients")
struct GradientTests {
  @Test("agree with central differences", arguments: GradientCase.all)
  func agree(_ testCase: GradientCase) {
    let failures = GradientCheck().failures(at: testCase.tensors, of: testCase.function)
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test("add to sums that are there already", arguments: GradientCase.all)
  func accumulate(_ testCase: GradientCase) throws {
    let inputs = testCase.tensors.map { $0.tracked() }
    let function = { Engine.shared.perform { testCase.function(inputs).sum() } }
    let once = function().gradients()
    var sums = Gradients()
    for _ in 0..<2 { function().addGradients(to: &sums) }
    for (index, input) in inputs.enumerated() {
      let single = once[input]?.values
      let double = sums[input]?.values
      #expect((single == nil) == (double == nil))
      let largest = single?.map(abs).max() ?? 0
      let isTwice = zip(double ?? [], single ?? []).allSatisfy {
        abs($0 - 2 * $1) <= 1e-5 * largest
      }
      #expect(isTwice, "input \(index)")
    }
  }

  @Test("are checked for the kinds that a case names", arguments: GradientCase.all)
  func apply(_ testCase: GradientCase) {
    let inputs = testCase.tensors.map { $0.tracked() }
    let (_, kinds) = Engine.shared.recordingKinds { testCase.function(inputs) }
    #expect(kinds.isSuperset(of: testCase.kinds), "applied: \(kinds)")
  }

  @Test("are checked for every kind of operation", arguments: OperationKind.allCases)
  func cover(_ kind: OperationKind) {
    let isCovered = GradientCase.all.contains { $0.kinds.contains(kind) }
    #expect(isCovered != OperationKind.withoutGradient.contains(kind))
  }
}
