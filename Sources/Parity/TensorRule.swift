import TensorCore

/// Which axis order a tensor has in golden files, and what shape it must have there.
struct TensorRule {
  /// One axis of a shape.
  enum Axis: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
    /// An axis of one size.
    case size(Int)
    /// An axis of any size from 1 on, equal for all axes of the same name.
    case any(String)
    /// An axis of a multiple of a size, which is equal for all axes that tell the same name's multiple.
    case scaled(String, by: Int)
    /// As `any`, but a multiple of a number.
    case multiple(String, of: Int)

    init(integerLiteral value: Int) { self = .size(value) }
    init(stringLiteral value: String) { self = .any(value) }
  }

  /// The order of axes in the file.
  enum Layout {
    /// The same as in this package: tokens `[B, T, C]`, weights, vectors, masks.
    case same
    /// Images and volumes with channels second, `[N, C, spatial…]`; here they come last.
    case channelsSecond
  }

  let layout: Layout
  let axes: [Axis]

  /// A tensor with the same order of axes in the file.
  static func same(_ axes: Axis...) -> TensorRule { TensorRule(layout: .same, axes: axes) }

  /// Images or volumes, described in the file's order.
  static func image(_ axes: Axis...) -> TensorRule {
    TensorRule(layout: .channelsSecond, axes: axes)
  }

  /// Makes sure that a shape in the file fits, and remembers the sizes of named axes.
  func check(_ shape: Shape, of tensor: String, sizes: inout [String: Int]) throws(ParityError) {
    let known = sizes
    var fits = shape.rank == axes.count
    for (axis, size) in zip(axes, shape.dimensions) where fits {
      switch axis {
      case .size(let expected): fits = size == expected
      case .any(let name):
        fits = size >= 1 && size == sizes[name, default: size]
        sizes[name] = size
      case .scaled(let name, let factor):
        let unit = size / factor
        fits = unit >= 1 && size % factor == 0 && unit == sizes[name, default: unit]
        sizes[name] = unit
      case .multiple(let name, let factor):
        fits = size >= 1 && size % factor == 0 && size == sizes[name, default: size]
        sizes[name] = size
      }
    }
    guard fits else { throw .shape(tensor: tensor, expected: description(known), found: shape) }
  }

  private func description(_ sizes: [String: Int]) -> String {
    let axes = axes.map { axis in
      switch axis {
      case .size(let size): "\(size)"
      case .any(let name): sizes[name].map(String.init) ?? name
      case .scaled(let name, let factor):
        sizes[name].map { "\($0 * factor)" } ?? "\(factor)·\(name)"
      case .multiple(let name, let factor):
        sizes[name].map(String.init) ?? "\(name) (a multiple of \(factor))"
      }
    }
    return "[" + axes.joined(separator: ", ") + "]"
  }
}

extension TensorRule.Layout {
  /// A tensor in the file's order as one in this package's order.
  func imported(_ tensor: Tensor) -> Tensor {
    guard self == .channelsSecond, tensor.shape.rank > 2 else { return tensor }
    return tensor.permuted([0] + Array(2..<tensor.shape.rank) + [1])
  }

  /// A tensor in this package's order as one in the file's order.
  func exported(_ tensor: Tensor) -> Tensor {
    guard self == .channelsSecond, tensor.shape.rank > 2 else { return tensor }
    let last = tensor.shape.rank - 1
    return tensor.permuted([0, last] + Array(1..<last))
  }
}
