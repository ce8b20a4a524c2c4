import Models

extension UNet {
  /// Makes sure that crops are large enough for the levels of the network, their norms and their losses.
  ///
  /// - Parameters:
  ///   - crop: Rows and columns of the crops.
  ///   - samples: Samples that go through the network at once.
  ///   - loss: Of the output, and of the coarser ones if the network is deeply supervised.
  /// - Throws: ``TrainingError/invalidValue(key:reason:)``.
  func requireTraining(on crop: Int, samples: Int, loss: RestorationLoss) throws(TrainingError) {
    let isSupervised = configuration.hasDeepSupervision
    // Without supervision of coarser levels crops are padded to what all steps divide.
    let side = isSupervised ? crop : (crop + sizeMultiple - 1) / sizeMultiple * sizeMultiple
    var sizes = [[side, side]]
    for step in 0..<configuration.channels.count - 1 {
      sizes.append(zip(sizes[step], configuration.factors(step)).map { $0 / $1 })
    }
    let coarsest = sizes[sizes.count - 1]
    func refuse(_ reason: String) throws(TrainingError) {
      throw .invalidValue(key: "data.crop", reason: "is \(crop): \(reason)")
    }
    if coarsest.contains(0) { try refuse("that leaves no pixel on the coarsest level") }
    if coarsest.reduce(samples, *) < 2 {
      try refuse(
        "that leaves one pixel on the coarsest level, of one sample at a time; batch norm needs 2")
    }
    guard isSupervised else { return }
    let supervised = sizes[max(0, sizes.count - 2)]
    if let size = supervised.min(), size < loss.leastSize {
      try refuse(
        "the coarsest output of the network has \(size) pixels then, and the loss needs "
          + "\(loss.leastSize)")
    }
  }
}
