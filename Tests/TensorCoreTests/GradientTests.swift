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
