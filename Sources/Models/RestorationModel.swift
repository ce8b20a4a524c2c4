public import Layers
public import Randomness
public import TensorCore

/// A network that maps images to images of the same height and width.
public protocol RestorationModel: Module {
  /// The hyperparameters of this kind of network.
  associatedtype Configuration: ModelConfiguration

  /// The name in bundles and configurations, as in `restore-rwkv`.
  static var architecture: String { get }

  /// The hyperparameters of this network.
  var configuration: Configuration { get }

  /// Channels of the input.
  var inChannels: Int { get }

  /// Channels of the output.
  var outChannels: Int { get }

  /// Spatial axes of the images: 2, or 1 for sequences and 3 for volumes where a network can be built so.
  var spatialAxes: Int { get }

  /// Heights and widths that ``forward(_:)`` takes are multiples of this.
  var sizeMultiple: Int { get }

  /// The one size of images that ``forward(_:)`` takes, nil for any multiple.
  var boundSize: (height: Int, width: Int)? { get }

  /// Multiply-adds of all convolutions and linear maps for one image, as the paper counts them.
  ///
  /// - Parameters:
  ///   - height: Rows, a multiple of ``sizeMultiple``.
  ///   - width: Columns, likewise.
  /// - Returns: Half the number of floating-point operations; the attention's scan and elementwise
  ///   work are not counted.
  func multiplyAdds(height: Int, width: Int) -> Int

  /// A network with initial weights.
  ///
  /// - Parameters:
  ///   - configuration: Checked first.
  ///   - generator: Draws the weights.
  /// - Throws: ``ModelError/invalidValue(key:value:architecture:rule:)``.
  init(_ configuration: Configuration, using generator: inout SeededGenerator) throws(ModelError)

  /// Maps `[N, H, W, inChannels]`, H and W multiples of ``sizeMultiple``, to
  /// `[N, H, W, outChannels]`.
  func forward(_ x: Tensor) -> Tensor
}

/// A network that sees the whole image at once, so that tiles of it would give another result, but
/// whose memory can be bounded: all that looks only at neighbours runs over bands of rows.
public protocol BandedModel: RestorationModel {
  /// As ``RestorationModel/forward(_:)``, with the same result.
  ///
  /// - Parameters:
  ///   - rows: Rows of a band at full resolution, at least 1.
  ///   - x: `[N, H, W, inChannels]`, H and W multiples of ``RestorationModel/sizeMultiple``.
  /// - Returns: `[N, H, W, outChannels]`.
  func forwardInBands(of rows: Int, _ x: Tensor) -> Tensor
}

extension BandedModel {
  /// Restores images of any height and width, band by band.
  ///
  /// - Parameters:
  ///   - rows: Rows of a band, at least 1.
  ///   - x: `[N, H, W, inChannels]`, none of them 0.
  /// - Returns: `[N, H, W, outChannels]`.
  public func restoredInBands(of rows: Int, _ x: Tensor) -> Tensor {
    Engine.shared.perform {
      forwardInBands(of: rows, x.reflected(toMultipleOf: sizeMultiple))
        .cropped(height: x.shape[1], width: x.shape[2])
    }
  }
}

extension RestorationModel {
  /// Any size.
  public var boundSize: (height: Int, width: Int)? { nil }

  /// Images.
  public var spatialAxes: Int { 2 }

  /// Restores images of any height and width.
  ///
  /// Sizes that are no multiples of ``sizeMultiple`` are continued at the bottom and at the right by
  /// reflection, and the result is cut back; zeros would put an edge there that the network sees.
  ///
  /// - Parameter x: `[N, H, W, inChannels]`, none of them 0.
  /// - Returns: `[N, H, W, outChannels]`.
  public func callAsFunction(_ x: Tensor) -> Tensor {
    precondition(
      x.shape.rank == 4 && x.shape.count > 0 && x.shape.channels == inChannels,
      "\(Self.architecture): input \(x.shape), expected [N, H, W, \(inChannels)]")
    return Engine.shared.perform {
      forward(x.reflected(toMultipleOf: sizeMultiple))
        .cropped(height: x.shape[1], width: x.shape[2])
    }
  }
}

extension RestorationModel {
  /// A plan of ``callAsFunction(_:)`` for images of one shape.
  ///
  /// - Parameters:
  ///   - shape: `[N, H, W, inChannels]`, of any height and width.
  ///   - precision: Of the operations that have a choice.
  /// - Returns: A plan that runs this network's parameters as they are at each run.
  /// - Throws: ``PlanError`` if the network looks at values while it computes.
  public func plan(
    for shape: Shape, precision: Precision = .float32
  ) throws(PlanError) -> InferencePlan {
    try InferencePlan(shape, precision: precision, parameters: plannedParameters) { self($0) }
  }

  /// All of the state: a layer may keep what it made of its parameters.
  var plannedParameters: [Tensor] {
    state.compactMap { entry in
      switch entry.content {
      case .parameter(let parameter), .buffer(let parameter): parameter.tensor.detached()
      case .derived: nil
      }
    }
  }
}

extension BandedModel {
  /// A plan of ``restoredInBands(of:_:)`` for images of one shape.
  ///
  /// - Parameters:
  ///   - rows: Rows of a band, at least 1.
  ///   - shape: `[N, H, W, inChannels]`, of any height and width.
  ///   - precision: Of the operations that have a choice.
  /// - Returns: A plan that runs this network's parameters as they are at each run.
  /// - Throws: ``PlanError`` if the network looks at values while it computes.
  public func planInBands(
    of rows: Int, for shape: Shape, precision: Precision = .float32
  ) throws(PlanError) -> InferencePlan {
    try InferencePlan(shape, precision: precision, parameters: plannedParameters) {
      self.restoredInBands(of: rows, $0)
    }
  }
}

extension Tensor {
  /// The input that a residual network adds to its output: as many channels from the middle of
  /// `[N, …, C]`, so that of a stack of slices it is the one that is restored; one channel is added to all.
  func middleChannels(_ count: Int) -> Tensor {
    let channels = shape.channels
    guard channels != count, channels != 1 else { return self }
    let first = (channels - count) / 2
    return sliced(axis: shape.rank - 1, first..<first + count)
  }

  /// Whether ``middleChannels(_:)`` has a meaning: as many channels, one, or one with as many on either
  /// side.
  static func hasMiddle(_ count: Int, of channels: Int) -> Bool {
    guard (1...256).contains(count), channels >= 1 else { return false }
    return channels == count || channels == 1 || (count == 1 && !channels.isMultiple(of: 2))
  }

  /// The images `[N, H, W, C]`, continued at the bottom and right until both sizes are multiples.
  func reflected(toMultipleOf multiple: Int) -> Tensor {
    var result = self
    for axis in 1...2 {
      let size = shape[axis]
      let target = (size + multiple - 1) / multiple * multiple
      guard target > size else { continue }
      result = result.gathered((0..<target).map { reflectedIndex($0, count: size) }, axis: axis)
    }
    return result
  }

  /// The upper left part of images `[N, H, W, C]`.
  func cropped(height: Int, width: Int) -> Tensor {
    var result = self
    if shape[1] > height { result = result.sliced(axis: 1, 0..<height) }
    if shape[2] > width { result = result.sliced(axis: 2, 0..<width) }
    return result
  }
}

/// Where the element at `index` comes from if `count` elements are continued by reflection about the
/// last one (which is not repeated), then about the first one, and so on.
package func reflectedIndex(_ index: Int, count: Int) -> Int {
  guard count > 1 else { return 0 }
  let period = 2 * (count - 1)
  let position = index % period
  return min(position, period - position)
}
