import Fourier
import Testing

/// Rounding errors grow with the logarithm of the size; these bounds hold for some thousand points.
private func tolerance<Scalar: BinaryFloatingPoint>(_: Scalar.Type) -> Double {
  8 * Double(Scalar.ulpOfOne)
}

@Suite("FourierTransform")
struct FourierTransformTests {
  // MARK: - Definition

  @Test("fft and ifft equal the definition", arguments: Layout.table)
  func complexDefinition(layout: Layout) {
    func check<Scalar: FourierScalar>(_ type: Scalar.Type) {
      let values = noise(2 * layout.transform(type).signalCount, seed: 1)
      let forward = layout.transform(type).fft(values.map { Scalar($0) })
      #expect(error(forward, layout.naive(values, sign: -1)) < tolerance(type))
      let inverse = layout.transform(type).ifft(values.map { Scalar($0) })
      let expected = layout.naive(values, sign: 1).map { $0 / Double(layout.points) }
      #expect(error(inverse, expected) < tolerance(type))
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("rfft equals the first half of the definition", arguments: Layout.table)
  func realDefinition(layout: Layout) {
    func check<Scalar: FourierScalar>(_ type: Scalar.Type) {
      let transform = layout.transform(type)
      let values = noise(transform.signalCount, seed: 2)
      let spectrum = transform.rfft(values.map { Scalar($0) })
      #expect(spectrum.count == 2 * transform.halfSpectrumCount)
      let whole = layout.naive(values.flatMap { [$0, 0] }, sign: -1)
      #expect(error(spectrum, layout.half(whole)) < tolerance(type))
    }
    check(Float.self)
    check(Double.self)
  }

  @Test("values of numpy: rfft, irfft and fft of short series")
  func knownValues() {
    #expect(FourierTransform<Float>(axes: [4]).rfft([1, 2, 3, 4]) == [10, 0, -2, 2, -2, 0])
    #expect(
      FourierTransform<Double>(axes: [2, 2]).rfft([1, 2, 3, 5]) == [11, 0, -3, 0, -5, 0, 1, 0])
    #expect(FourierTransform<Double>(axes: [2]).fft([1, 1, 2, -1]) == [3, 0, -1, 2])
    // The imaginary parts of the first and the last entry have no effect.
    #expect(FourierTransform<Float>(axes: [4]).irfft([10, 5, -2, 2, -2, 7]) == [1, 2, 3, 4])
  }

  // MARK: - Round trips

  @Test("inverse undoes forward in every normalisation", arguments: Layout.table)
  func roundTrip(layout: Layout) {
    func check<Scalar: FourierScalar>(
      _ type: Scalar.Type, _ normalization: FourierNormalization
    ) {
      let transform = layout.transform(type, normalization)
      let complex = noise(2 * transform.signalCount, seed: 3)
      let returned = transform.ifft(transform.fft(complex.map { Scalar($0) }))
      #expect(error(returned, complex) < tolerance(type), "\(normalization)")
      let real = noise(transform.signalCount, seed: 4)
      let signal = transform.irfft(transform.rfft(real.map { Scalar($0) }))
      #expect(error(signal, real) < tolerance(type), "\(normalization)")
    }
    for normalization in [FourierNormalization.backward, .ortho, .forward] {
      check(Float.self, normalization)
      check(Double.self, normalization)
    }
  }

  @Test("irfft equals ifft of the spectrum completed by symmetry", arguments: Layout.table)
  func realInverse(layout: Layout) {
    let transform = layout.transform(Double.self)
    let values = noise(transform.signalCount, seed: 5)
    let whole = transform.fft(values.flatMap { [$0, 0] })
    let signal = transform.irfft(layout.half(whole))
    let complex = transform.ifft(whole)
    let real = stride(from: 0, to: complex.count, by: 2).map { complex[$0] }
    #expect(error(signal, real) < tolerance(Double.self))
  }

  // MARK: - Properties

  @Test("ortho keeps the energy (Parseval), backward multiplies it", arguments: Layout.table)
  func parseval(layout: Layout) {
    let values = noise(2 * layout.transform(Double.self).signalCount, seed: 6)
    let energy = values.reduce(0) { $0 + $1 * $1 }
    let unitary = layout.transform(Double.self, .ortho).fft(values).reduce(0) { $0 + $1 * $1 }
    #expect(abs(unitary / energy - 1) < 1e-13)
    let unscaled = layout.transform(Double.self).fft(values).reduce(0) { $0 + $1 * $1 }
    #expect(abs(unscaled / energy / Double(layout.points) - 1) < 1e-13)
  }

  @Test("channels and batch entries do not mix", arguments: Layout.table)
  func separateSlices(layout: Layout) {
    let transform = layout.transform(Double.self)
    let values = noise(transform.signalCount, seed: 7)
    let spectrum = transform.rfft(values)
    let alone = Layout(axes: layout.axes).transform(Double.self)
    for b in 0..<layout.batch {
      for c in 0..<layout.channels {
        let slice = (0..<layout.points).map {
          values[(b * layout.points + $0) * layout.channels + c]
        }
        let expected = alone.rfft(slice)
        let found = (0..<alone.halfSpectrumCount).flatMap { i in
          let at = 2 * ((b * alone.halfSpectrumCount + i) * layout.channels + c)
          return [spectrum[at], spectrum[at + 1]]
        }
        #expect(error(found, expected) < tolerance(Double.self), "batch \(b), channel \(c)")
      }
    }
  }

  @Test("sizes of half spectra follow numpy")
  func halfSpectrumSizes() {
    let transform = FourierTransform<Float>(batch: 2, axes: [5, 7, 8], channels: 3)
    #expect(transform.halfSpectrumAxes == [5, 7, 5])
    #expect(transform.halfSpectrumCount == 2 * 5 * 7 * 5 * 3)
    #expect(transform.signalCount == 2 * 5 * 7 * 8 * 3)
    #expect(FourierTransform<Float>(axes: [9]).halfSpectrumAxes == [5])
  }

  // MARK: - Buffers

  @Test("input is kept, in place and unaligned buffers give the same transform")
  func buffers() {
    let layout = Layout(batch: 2, axes: [12, 10], channels: 3)
    let transform = layout.transform(Float.self)
    let values = noise(2 * transform.signalCount, seed: 8).map { Float($0) }
    let expected = layout.naive(values.map { Double($0) }, sign: -1)

    let kept = values
    #expect(error(transform.fft(kept), expected) < tolerance(Float.self))
    #expect(kept == values)
    let real = Array(values.prefix(transform.signalCount))
    var spectrum = [Float](repeating: 0, count: 2 * transform.halfSpectrumCount)
    transform.rfft(real, into: &spectrum)
    #expect(real == Array(values.prefix(transform.signalCount)))

    var inPlace = values
    inPlace.withUnsafeMutableBufferPointer { buffer in
      if let base = buffer.baseAddress { transform.fft(base, into: base) }
    }
    #expect(error(inPlace, expected) < tolerance(Float.self))

    // Array storage starts at a multiple of 16 bytes: one element further is unaligned.
    for offset in 1..<4 {
      var input = [Float](repeating: .nan, count: offset) + values
      var output = [Float](repeating: 0, count: offset + values.count)
      input.withUnsafeMutableBufferPointer { input in
        output.withUnsafeMutableBufferPointer { output in
          guard let from = input.baseAddress, let to = output.baseAddress else { return }
          transform.fft(from + offset, into: to + offset)
        }
      }
      #expect(error(Array(output.dropFirst(offset)), expected) < tolerance(Float.self))
      #expect(output.prefix(offset).allSatisfy { $0 == 0 })
    }
  }

  // MARK: - Many tasks

  @Test("many tasks at once, with more layouts than the cache keeps, get the serial bits")
  func concurrency() async {
    // Sizes 1 to 320 overflow the cache of 256 plans, so plans are made, evicted and destroyed
    // while others run.
    let sizes = Array(1...320)
    @Sendable func spectrum(_ size: Int) -> [Float] {
      let transform = FourierTransform<Float>(axes: [size], channels: 2)
      return transform.rfft(noise(transform.signalCount, seed: UInt64(size)).map { Float($0) })
    }
    let serial = sizes.map(spectrum)
    let equal = await withTaskGroup(of: Bool.self) { group in
      for worker in 0..<8 {
        group.addTask {
          for step in sizes.indices {
            let i = (step * 7 + worker * 41) % sizes.count
            if spectrum(sizes[i]) != serial[i] { return false }
          }
          return true
        }
      }
      return await group.reduce(true) { $0 && $1 }
    }
    #expect(equal)
  }

  @Test("the same input gives the same bits")
  func repeatability() {
    let transform = FourierTransform<Float>(axes: [48, 40], channels: 6)
    let values = noise(transform.signalCount, seed: 9).map { Float($0) }
    let first = transform.rfft(values)
    for _ in 0..<4 { #expect(transform.rfft(values) == first) }
  }
}
