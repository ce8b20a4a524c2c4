import Foundation
import Imaging
import Randomness
import Testing

@Suite("Metrics")
struct MetricTests {
  @Test("error figures equal those of scikit-image")
  func fidelity() throws {
    for pair in try MetricReference.load().pairs {
      let (prediction, reference) = pair.images
      let fidelity = Fidelity(of: prediction, against: reference)
      let figures = [
        (fidelity.referenceSpan, pair.span), (fidelity.meanSquaredError, pair.mse),
        (fidelity.rootMeanSquaredError, pair.mse.squareRoot()),
        (fidelity.meanAbsoluteError, pair.mae), (fidelity.normalizedMeanSquaredError, pair.nmse),
        (fidelity.normalizedRootMeanSquaredError(), pair.nrmseEuclidean),
        (fidelity.normalizedRootMeanSquaredError(by: .minMax), pair.nrmseMinMax),
        (fidelity.normalizedRootMeanSquaredError(by: .mean), pair.nrmseMean),
        (fidelity.peakSignalToNoiseRatio(), pair.psnrSpan),
        (fidelity.peakSignalToNoiseRatio(dataRange: 255), pair.psnr255),
      ]
      for (place, (value, expected)) in figures.enumerated() {
        #expect(agree(value, expected), "figure \(place) of \(pair.shape): \(value), \(expected)")
      }
    }
  }

  @Test("SSIM equals that of scikit-image, 2D and 3D, both variants")
  func structuralSimilarity() throws {
    for pair in try MetricReference.load().pairs {
      let (prediction, reference) = pair.images
      let gaussian = try StructuralSimilarity.gaussian.score(
        of: prediction, against: reference, shape: pair.shape, dataRange: pair.span)
      #expect(agree(gaussian, pair.ssimGaussian), "\(pair.shape): \(gaussian)")
      let uniform = try StructuralSimilarity.uniform7.score(
        of: prediction, against: reference, shape: pair.shape, dataRange: 255)
      #expect(agree(uniform, pair.ssimUniform7), "\(pair.shape): \(uniform)")
      if let expected = pair.ssimZeroPadded {
        let padded = try StructuralSimilarity.restoreRWKV.score(
          of: prediction, against: reference, shape: pair.shape, dataRange: pair.span)
        #expect(agree(padded, expected), "\(pair.shape): \(padded)")
      }
      if let expected = pair.ssimSlices {
        let slices = try StructuralSimilarity.gaussian.meanOfSlices(
          of: prediction, against: reference, shape: pair.shape, dataRange: pair.span)
        #expect(agree(slices, expected), "\(pair.shape): \(slices)")
      }
    }
  }

  @Test("SSIM equals the formula summed window by window", arguments: [2, 3])
  func againstPlainLoops(rank: Int) throws {
    var generator = SeededGenerator(seed: 3)
    let shape = rank == 2 ? [9, 12] : [8, 7, 9]
    let count = shape.reduce(1, *)
    let reference = (0..<count).map { _ in generator.nextUniform() }
    let prediction = reference.map { $0 + 0.2 * generator.nextNormal() }
    let value = try StructuralSimilarity.uniform7.score(
      of: prediction, against: reference, shape: shape, dataRange: 1)
    #expect(agree(value, plainUniform7(prediction, reference, shape), within: 1e-12))
  }

  @Test("SSIM of an image with itself is 1, in 3D zero padded too")
  func identity() throws {
    var generator = SeededGenerator(seed: 4)
    let image = (0..<12 * 13 * 14).map { _ in generator.nextUniform() }
    for variant in [StructuralSimilarity.gaussian, .uniform7, .restoreRWKV] {
      let value = try variant.score(
        of: image, against: image, shape: [12, 13, 14], dataRange: 1)
      #expect(abs(value - 1) < 1e-12)
    }
    let fidelity = Fidelity(of: image, against: image)
    #expect(fidelity.peakSignalToNoiseRatio() == .infinity)
    #expect(fidelity.normalizedMeanSquaredError == 0)
  }

  @Test("an image smaller than the window is an error that names the window")
  func tooSmall() {
    let image = [Float](repeating: 1, count: 10 * 40)
    let error = #expect(throws: ImagingError.self) {
      try StructuralSimilarity.gaussian.score(
        of: image, against: image, shape: [10, 40], dataRange: 1, name: "a.nii")
    }
    #expect(error == .smallerThanWindow(file: "a.nii", shape: [10, 40], window: 11))
    #expect(error?.code == 65)
    #expect(throws: Never.self) {
      try StructuralSimilarity.uniform7.score(
        of: image, against: image, shape: [10, 40], dataRange: 1)
    }
  }

  @Test("a data range that is not positive is an error", arguments: [0, -1, .nan, .infinity])
  func dataRange(range: Double) {
    let image = [Float](repeating: 1, count: 400)
    #expect(throws: ImagingError.self) {
      try StructuralSimilarity.gaussian.score(
        of: image, against: image, shape: [20, 20], dataRange: range)
    }
  }

  @Test("degenerate images: constants give infinities, NaN stays NaN")
  func degenerate() {
    let constant = [Float](repeating: 3, count: 8)
    let other = [Float](repeating: 4, count: 8)
    #expect(Fidelity(of: constant, against: constant).peakSignalToNoiseRatio() == .infinity)
    #expect(Fidelity(of: other, against: constant).peakSignalToNoiseRatio() == -.infinity)
    let zero = [Float](repeating: 0, count: 8)
    #expect(Fidelity(of: zero, against: zero).normalizedRootMeanSquaredError() == 0)
    #expect(Fidelity(of: other, against: zero).normalizedMeanSquaredError == .infinity)
    #expect(Fidelity(of: [.nan, 1], against: [1, 1]).rootMeanSquaredError.isNaN)
  }

  @Test("the Restore-RWKV protocol clips both images and takes the label's span")
  func restoreRWKV() throws {
    let pair = try #require(try MetricReference.load().pairs.first)
    let (prediction, reference) = pair.images
    let (height, width) = (pair.shape[0], pair.shape[1])
    let plain = RestoreRWKVProtocol.score(
      of: prediction, against: reference, height: height, width: width, dataRange: pair.span)
    #expect(agree(plain.psnr, pair.psnrSpan))
    #expect(agree(plain.rmse, pair.mse.squareRoot()))
    #expect(agree(plain.ssim, try #require(pair.ssimZeroPadded)))

    // The same images moved below 0 and above 20 must give what their clipped copies give.
    for (modality, shift) in [(RestoreRWKVProtocol.Modality.pet, 100), (.ct, 250), (.mri, 40)] {
      let moved = (prediction.map { $0 - Float(shift) }, reference.map { $0 - Float(shift) })
      let range = modality.clippingRange
      let clip = { (value: Float) in min(max(value, range.lowerBound), range.upperBound) }
      let clipped = (moved.0.map(clip), moved.1.map(clip))
      let score = RestoreRWKVProtocol(modality: modality).score(
        of: moved.0, against: moved.1, height: height, width: width)
      let span = Fidelity(of: clipped.0, against: clipped.1).referenceSpan
      let expected = RestoreRWKVProtocol.score(
        of: clipped.0, against: clipped.1, height: height, width: width, dataRange: span)
      #expect(score == expected)
      #expect(clipped.1 != moved.1, "\(modality) clips nothing")
    }
  }

  private func plainUniform7(_ a: [Float], _ b: [Float], _ shape: [Int]) -> Double {
    let full = [Int](repeating: 1, count: 3 - shape.count) + shape
    let depth = shape.count == 3 ? 7 : 1
    let (c1, c2) = (0.0001, 0.0009)
    var indices: [Double] = []
    for z in 0...full[0] - depth {
      for y in 0...full[1] - 7 {
        for x in 0...full[2] - 7 {
          var left: [Double] = []
          var right: [Double] = []
          for k in 0..<depth {
            for j in 0..<7 {
              for i in 0..<7 {
                let at = ((z + k) * full[1] + y + j) * full[2] + x + i
                left.append(Double(a[at]))
                right.append(Double(b[at]))
              }
            }
          }
          let n = Double(left.count)
          let mx = left.reduce(0, +) / n
          let my = right.reduce(0, +) / n
          let vx = left.reduce(0) { $0 + ($1 - mx) * ($1 - mx) } / (n - 1)
          let vy = right.reduce(0) { $0 + ($1 - my) * ($1 - my) } / (n - 1)
          let vxy = zip(left, right).reduce(0) { $0 + ($1.0 - mx) * ($1.1 - my) } / (n - 1)
          indices.append(
            (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2)))
        }
      }
    }
    return indices.reduce(0, +) / Double(indices.count)
  }
}
