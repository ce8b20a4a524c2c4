import Models

extension ModelBundle {
  /// Rows and columns of the frames that a network for clips was trained on.
  ///
  /// - Returns: What the card says; 112 x 112, the authors' size, if it says nothing.
  /// - Throws: ``InferenceError/bundleInvalid(bundle:reason:)`` for a size that such a network cannot take.
  public func frameSize() throws(InferenceError) -> [Int] {
    guard let shape = card.inputs["image"]?.spatialShape, shape != ["*", "*"] else {
      return [112, 112]
    }
    let size = shape.compactMap { Int($0) }
    guard size.count == 2, shape.count == 2,
      size.allSatisfy({ (GDKVM.sizeStep...1024).contains($0) && $0 % GDKVM.sizeStep == 0 })
    else {
      throw .bundleInvalid(
        bundle: path,
        reason:
          "model.json: spatial_shape \(shape) is not two multiples of \(GDKVM.sizeStep) up to 1024")
    }
    return size
  }
}
