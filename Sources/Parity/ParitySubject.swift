import Layers
import Randomness
import TensorCore

/// Something that golden files describe: an operation, a layer, a block, a network, a metric.
///
/// A new subject is a type in one of the family files and one line in its family's list.
protocol ParitySubject: SendableMetatype {
  /// The name in golden files.
  static var name: String { get }

  /// Builds the subject; every key of the configuration must be read.
  init(_ configuration: inout SubjectConfiguration) throws(ParityError)

  /// What holds the parameters, nil if there are none.
  var module: (any Module)? { get }

  /// The tensors `input.<name>`, all of which must be there and no others.
  var inputs: [String: TensorRule] { get }

  /// The tensor `target`, if it is an operand and not just what a loss compares with.
  var target: TensorRule? { get }

  /// The order of axes of `output.<name>` in files.
  func layout(ofOutput name: String) -> TensorRule.Layout

  /// Computes all outputs, by name.
  ///
  /// - Parameter operands: The inputs by name and the target as `target`, in this package's order of
  ///   axes, with shapes that were checked.
  /// - Returns: The outputs in this package's order of axes.
  func run(_ operands: [String: Tensor]) -> [String: Tensor]

  /// Computes what `expect.<name>` holds, in the file's order of axes; nil if there is no such thing.
  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor?
}

extension ParitySubject {
  var module: (any Module)? { nil }
  var target: TensorRule? { nil }
  func layout(ofOutput name: String) -> TensorRule.Layout { .same }
  func expectation(_ name: String, _ operands: [String: Tensor]) -> Tensor? { nil }
}

/// All subjects that this build knows.
///
/// A new family is one line here.
enum ParityRegistry {
  static let subjects: [any ParitySubject.Type] =
    RWKVFamily.subjects + MetricFamily.subjects + FillFamily.subjects
    + StrokeFamily.subjects + SegmentationMetricFamily.subjects
    + GDKVMFamily.subjects
    + FrequencyFamily.subjects + FDConvFamily.subjects
    + ConvolutionFamily.subjects

  /// The subject of that name, nil if this build does not have it.
  static func subject(named name: String) -> (any ParitySubject.Type)? {
    subjects.first { $0.name == name }
  }
}

/// Initial weights of a subject; those of the file replace them.
func initialGenerator() -> SeededGenerator { SeededGenerator(seed: 0) }

/// The operand of a subject that has just one, x.
func onlyOperand(_ operands: [String: Tensor]) -> Tensor {
  guard let x = operands["x"] else { preconditionFailure("operands \(operands.keys.sorted())") }
  return x
}
