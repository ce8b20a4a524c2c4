public import Models
import TensorCore

/// Segments a clip frame by frame in memory that does not depend on its length.
///
/// A frame of any size is resampled to the network's (means of areas where it shrinks, linear where it
/// grows), and the log-odds are resampled back before the most probable structure is chosen, so that
/// borders are not as coarse as the network's pixels.
///
/// ```swift
/// var segmenter = ClipSegmenter(model, networkSize: [112, 112])
/// for frame in frames { let labels = try segmenter.segment(frame, height: h, width: w) }
/// ```
public struct ClipSegmenter {
  /// The network, in evaluation mode.
  public let model: GDKVM
  /// Rows and columns as the network sees them.
  public let networkSize: [Int]

  /// How frames after the first are computed; nil before the second frame.
  public private(set) var execution: ModelExecution?

  private var state: GDKVMState?
  private var plan: InferencePlan?
  private var frames = 0

  /// A segmenter before its first frame.
  ///
  /// - Parameters:
  ///   - model: A network that does not record gradients.
  ///   - networkSize: Rows and columns, multiples of ``GDKVM/sizeStep``.
  public init(_ model: GDKVM, networkSize: [Int]) {
    precondition(
      networkSize.count == 2 && networkSize.allSatisfy { $0 > 0 && $0 % GDKVM.sizeStep == 0 },
      "clip segmenter: network size \(networkSize)")
    self.model = model
    self.networkSize = networkSize
  }

  /// Segments the next frame.
  ///
  /// - Parameters:
  ///   - frame: Intensities from 0 to 1, row by row.
  ///   - height: Rows, the same for all frames.
  ///   - width: Columns.
  ///   - firstMask: Labels 0 … N of the first frame, row by row, if they are known; not used later.
  /// - Returns: The structure of each pixel, 0 for the background, row by row.
  /// - Throws: ``InferenceError/outputNotFinite(slice:)`` with the number of the frame.
  public mutating func segment(
    _ frame: [Float], height: Int, width: Int, firstMask: [UInt8]? = nil
  ) throws(InferenceError) -> [UInt8] {
    precondition(
      frame.count == height * width && height > 0 && width > 0,
      "clip segmenter: \(frame.count) pixels for \(height) x \(width)")
    let labels = Engine.shared.perform {
      let image = Tensor([1, height, width, 1], frame).resampled(to: networkSize)
      let masks = state == nil ? firstMask.map { oneHot($0, height, width) } : nil
      let logits = step(image, masks).resampled(to: [height, width])
      let classes = logits.shape.channels
      return logits.withValues { mostProbableClasses($0, classes: classes) }
    }
    guard let labels else { throw .outputNotFinite(slice: frames) }
    frames += 1
    return labels
  }

  /// The log-odds of the next frame: the first one operation by operation, all others by one plan.
  private mutating func step(_ image: Tensor, _ firstMasks: Tensor?) -> Tensor {
    guard let previous = state else { return eagerStep(image, firstMasks) }
    do throws(PlanError) {
      let plan: InferencePlan
      if let kept = self.plan {
        plan = kept
      } else {
        plan = try model.stepPlan(frames: image.shape, state: previous)
        self.plan = plan
      }
      let results = try plan([image] + previous.tensors)
      execution = .planned
      state = GDKVMState(tensors: Array(results.dropFirst()))
      return results[0]
    } catch {
      execution = .eager(error)
      return eagerStep(image, nil)
    }
  }

  private mutating func eagerStep(_ image: Tensor, _ firstMasks: Tensor?) -> Tensor {
    let result = model.step(model.encoded(image), state: state, firstMasks: firstMasks)
    state = result.state
    return result.frame.logits
  }

  /// Labels as soft masks of the network's size, `[1, H, W, N]`.
  private func oneHot(_ labels: [UInt8], _ height: Int, _ width: Int) -> Tensor {
    let objects = model.configuration.objects
    precondition(labels.count == height * width, "clip segmenter: first mask of another size")
    let masks = Tensor([1, height, width, objects]) { values in
      values.update(repeating: 0)
      for (pixel, label) in labels.enumerated() where (1...objects).contains(Int(label)) {
        values[pixel * objects + Int(label) - 1] = 1
      }
    }
    return masks.resampled(to: networkSize)
  }
}

extension Tensor {
  /// Images `[N, H, W, C]` of another size: means of areas along axes that shrink, linear along others.
  fileprivate func resampled(to sizes: [Int]) -> Tensor {
    let shrunk = [min(shape[1], sizes[0]), min(shape[2], sizes[1])]
    return areaAveraged(to: shrunk).resized(to: sizes, mode: .linear(alignCorners: false))
  }
}
