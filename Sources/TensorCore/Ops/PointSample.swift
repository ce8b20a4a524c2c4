/// Reads images at points by bilinear interpolation; pixels outside an image count as 0.
///
/// Input `[N, H, W, C]`, output `[N, P, C]`. A point `(x, y)` in [0, 1]² lies at column `x·W − ½` and
/// row `y·H − ½` (pixels are areas, corners are not aligned). The points are not differentiated.
struct PointSample: Operation {
  /// x and y of each image's points, `[N, P, 2]` row-major.
  let points: [Float]

  var kind: OperationKind { .pointSample }
  var backwardReads: BackwardReads { .nothing }

  func outputShape(_ inputs: [Shape]) -> Shape {
    let shape = inputs[0]
    precondition(
      shape.rank == 4 && shape.count > 0 && points.count % (2 * shape[0]) == 0,
      "pointSample: \(points.count) coordinates for images \(shape)")
    return [shape[0], points.count / (2 * shape[0]), shape[3]]
  }

  /// Calls `body` with each neighbouring pixel inside the image of one point, and its weight.
  @inline(__always)
  private func forEachNeighbour(
    ofPoint point: Int, _ shape: Shape, _ body: (_ pixel: Int, _ weight: Float) -> Void
  ) {
    let (height, width) = (shape.dimensions[1], shape.dimensions[2])
    let x = points[2 * point] * Float(width) - 0.5
    let y = points[2 * point + 1] * Float(height) - 0.5
    // Far outside (or NaN): nothing, and no conversion that could overflow.
    guard x > -1, y > -1, x < Float(width), y < Float(height) else { return }
    let (left, top) = (x.rounded(.down), y.rounded(.down))
    for dy in 0...1 {
      for dx in 0...1 {
        let (row, column) = (Int(top) + dy, Int(left) + dx)
        guard (0..<height).contains(row), (0..<width).contains(column) else { continue }
        let weight = (dy == 0 ? top + 1 - y : y - top) * (dx == 0 ? left + 1 - x : x - left)
        body(row * width + column, weight)
      }
    }
  }

  func forward(_ pass: ForwardPass) {
    let (input, output) = (pass.inputs[0], pass.output)
    let (perImage, channels) = (output.shape.dimensions[1], input.shape.channels)
    let imageCount = input.count / input.shape.dimensions[0]
    pass.workers.run(count: output.shape.rows, grain: (1 << 13) / channels) { range in
      for point in range {
        let image = input.pointer + point / perImage * imageCount
        let result = output.pointer + point * channels
        result.update(repeating: 0, count: channels)
        forEachNeighbour(ofPoint: point, input.shape) { pixel, weight in
          for channel in 0..<channels {
            result[channel] += weight * image[pixel * channels + channel]
          }
        }
      }
    }
  }

  func backward(_ pass: BackwardPass) {
    guard let gradient = pass.inputGradients[0] else { return }
    let upstream = pass.outputGradient
    let (perImage, channels) = (upstream.shape.dimensions[1], gradient.shape.channels)
    let images = gradient.shape.dimensions[0]
    let imageCount = gradient.count / images
    // Points of one image may share pixels: they are added in order.
    pass.workers.run(chunks: images) { index in
      let image = gradient.pointer + index * imageCount
      image.update(repeating: 0, count: imageCount)
      for point in index * perImage..<(index + 1) * perImage {
        let from = upstream.pointer + point * channels
        forEachNeighbour(ofPoint: point, gradient.shape) { pixel, weight in
          for channel in 0..<channels {
            image[pixel * channels + channel] += weight * from[channel]
          }
        }
      }
    }
  }
}

extension Tensor {
  /// Reads images `[N, H, W, C]` at points by bilinear interpolation.
  ///
  /// - Parameter points: `(x, y)` with each image from 0 to 1 along both axes, `[N, P, 2]`; not
  ///   differentiated. What lies outside the image is 0.
  /// - Returns: `[N, P, C]`.
  public func sampled(at points: Tensor) -> Tensor {
    precondition(
      points.shape.rank == 3 && points.shape[0] == shape[0] && points.shape[2] == 2,
      "sampled: points \(points.shape) for images \(shape)")
    return Tensor.apply(PointSample(points: points.values), [self])
  }
}
