import Foundation
import Imaging
import Randomness
import Testing

@Suite("MRI degradations and phantoms")
struct MRIDegradationTests {
  private func wave(_ cycles: Double, _ height: Int, _ width: Int, _ offset: Float) -> [Float] {
    (0..<height * width).map { index in
      offset + Float(cos(2 * .pi * cycles * Double(index % width) / Double(width)))
    }
  }

  @Test("frequencies below the limit stay, those above vanish, one at it is halved")
  func truncation() {
    var generator = SeededGenerator(seed: 1)
    let truncation = KSpaceTruncation(factor: 2)
    for (cycles, gain) in [(3.0, Float(1)), (8, 0.5), (9, 0), (12, 0)] {
      let image = wave(cycles, 24, 32, 4)
      let result = truncation.applied(to: image, height: 24, width: 32, using: &generator)
      for index in image.indices {
        let expected = 4 + gain * (image[index] - 4)
        #expect(abs(result[index] - expected) < 1e-5, "\(cycles) cycles, pixel \(index)")
      }
    }
    #expect(generator == SeededGenerator(seed: 1), "no noise, no numbers")
  }

  @Test("a factor of 1 changes nothing; noise of the small image has the stated deviation")
  func noise() {
    var generator = SeededGenerator(seed: 2)
    let image = (0..<64 * 64).map { _ in 50 + generator.nextUniform() }
    let same = KSpaceTruncation(factor: 1).applied(
      to: image, height: 64, width: 64, using: &generator)
    #expect(zip(image, same).allSatisfy { abs($0 - $1) < 1e-4 })
    let flat = [Float](repeating: 100, count: 64 * 64)
    let noisy = KSpaceTruncation(factor: 2, noise: 2).applied(
      to: flat, height: 64, width: 64, using: &generator)
    // On the large grid the noise of a small pixel is interpolated: the same deviation.
    let variance = noisy.reduce(0.0) { $0 + pow(Double($1) - 100, 2) } / Double(noisy.count)
    #expect(abs(variance.squareRoot() - 2) < 0.2)
  }

  @Test(
    "noise has the stated deviation where frequencies lie at the limit too",
    arguments: [(64, 2, 40), (16, 4, 400), (15, 4, 400)] as [(Int, Double, Int)])
  func noiseAtLimit(side: Int, factor: Double, slices: Int) {
    var generator = SeededGenerator(seed: 11)
    let flat = [Float](repeating: 10_000, count: side * side)
    let truncation = KSpaceTruncation(factor: factor, noise: 100)
    var sum = 0.0
    for _ in 0..<slices {
      let noisy = truncation.applied(to: flat, height: side, width: side, using: &generator)
      sum += noisy.reduce(0.0) { $0 + (Double($1) - 10_000) * (Double($1) - 10_000) }
    }
    let deviation = (sum / Double(slices * side * side)).squareRoot()
    #expect(abs(deviation - 100) < (side == 64 ? 1.2 : 4), "\(deviation)")
  }

  @Test("intensities may have any size: nothing overflows, nothing is lost")
  func intensities() throws {
    let (height, width) = (20, 24)
    var source = SeededGenerator(seed: 6)
    let image = (0..<height * width).map { _ in 20 + 30 * source.nextUniform() }
    func degraded(_ scale: Float) throws -> [[Float]] {
      var generator = SeededGenerator(seed: 7)
      let scaled = image.map { scale * $0 }
      let truncation = KSpaceTruncation(factor: 2, noise: 2 * Double(scale))
      let size = GridSize(x: width, y: height, z: 1)
      let pair = try FieldStrengthPair().applied(
        to: Volume(voxels: scaled, geometry: Geometry(size: size)), seed: 3, image: 0)
      return [
        truncation.applied(to: scaled, height: height, width: width, using: &generator),
        truncation.keeping(
          scaled, in: Array(scaled.reversed()), height: height, width: width),
        KSpaceFilling(parts: SIMD2(0.5, 0.7)).applied(to: scaled, height: height, width: width),
        GridReduction(part: 0.5).applied(to: scaled, height: height, width: width),
        pair.source.voxels, pair.target.voxels,
      ]
    }
    let expected = try degraded(1)
    for scale in [1e-30, 1e-22, 1e20, 1e30, 1e36] as [Float] {
      for (index, (found, wanted)) in zip(try degraded(scale), expected).enumerated() {
        let worst = zip(found, wanted).map { abs($0 / scale - $1) }.max() ?? .infinity
        #expect(worst < 1e-3, "result \(index) at \(scale)")
        #expect(found.allSatisfy { $0.isFinite })
      }
    }
  }

  @Test("a scan that fills part of k-space keeps what lies inside, rolled off, along each axis")
  func filling() {
    let filling = KSpaceFilling(parts: SIMD2(1, 0.5), rollOff: 0.8)
    for cycles in [3.0, 8, 9, 16] {
      let image = wave(cycles, 24, 32, 4)
      let result = filling.applied(to: image, height: 24, width: 32)
      // Columns end at 16 cycles, of which half are kept.
      let gain = cycles > 8 ? 0 : Float(exp(-0.8 * cycles * cycles / 256))
      for index in image.indices {
        #expect(abs(result[index] - 4 - gain * (image[index] - 4)) < 1e-5, "\(cycles) cycles")
      }
      // Along rows nothing is cut.
      let turned = KSpaceFilling(parts: SIMD2(0.5, 1)).applied(to: image, height: 24, width: 32)
      for index in image.indices { #expect(abs(turned[index] - image[index]) < 1e-5) }
    }
    var generator = SeededGenerator(seed: 4)
    let image = (0..<20 * 24).map { _ in 50 + generator.nextUniform() }
    let same = KSpaceFilling(parts: SIMD2(1, 1)).applied(to: image, height: 20, width: 24)
    #expect(zip(image, same).allSatisfy { abs($0 - $1) < 1e-4 })
  }

  @Test("a coarser grid shows the same waves over the same field, those that it can show")
  func reduction() {
    for (part, height, width) in [(0.5, 12, 16), (0.75, 18, 24), (0.66, 16, 21), (1, 24, 32)] {
      let reduction = GridReduction(part: part)
      #expect((reduction.reduced(24), reduction.reduced(32)) == (height, width))
      for cycles in [0.0, 3, 5, 14] {
        let result = reduction.applied(to: wave(cycles, 24, 32, 4), height: 24, width: 32)
        #expect(result.count == height * width)
        // The first pixels of both grids lie on one another, and so do their fields of view.
        let expected =
          2 * cycles < Double(width) - 0.5 || part == 1
          ? wave(cycles, height, width, 4) : result.map { _ in 4 }
        for index in result.indices { #expect(abs(result[index] - expected[index]) < 1e-5) }
      }
    }
  }

  @Test("an odd number of pixels has no frequency at the limit; all those below it stay")
  func odd() {
    var generator = SeededGenerator(seed: 1)
    for (cycles, isKept) in [(1.0, true), (6, true), (7, false), (13, false)] {
      let image = wave(cycles, 21, 27, 4)
      let flat = image.map { _ in Float(4) }
      // 27 / 4 lies between 6 and 7 cycles.
      let truncation = KSpaceTruncation(factor: 2)
      let truncated = truncation.applied(to: image, height: 21, width: 27, using: &generator)
      let filled = KSpaceFilling(parts: SIMD2(1, 0.5)).applied(to: image, height: 21, width: 27)
      // Of a flat restoration the measured waves come back, of a full one of flat data the others.
      let kept = truncation.keeping(image, in: flat, height: 21, width: 27)
      let added = truncation.keeping(flat, in: image, height: 21, width: 27)
      for index in image.indices {
        let expected = isKept ? image[index] : 4
        #expect(abs(truncated[index] - expected) < 1e-5)
        #expect(abs(filled[index] - expected) < 1e-5)
        #expect(abs(kept[index] - expected) < 1e-5)
        #expect(abs(added[index] - (isKept ? 4 : image[index])) < 1e-5)
      }
    }
  }

  @Test("energy falls by that of the frequencies taken away (Parseval)")
  func parseval() {
    var generator = SeededGenerator(seed: 3)
    let side = 32
    let image = (0..<side * side).map { _ in 10 + generator.nextNormal() }
    let result = KSpaceTruncation(factor: 4).applied(
      to: image, height: side, width: side, using: &generator)
    // The energy of each frequency, by the sums that define it.
    func transformed(_ lines: [[SIMD2<Double>]]) -> [[SIMD2<Double>]] {
      (0..<side).map { k in
        (0..<side).map { line in
          lines[line].enumerated().reduce(SIMD2()) { sum, item in
            let angle = -2 * .pi * Double(k * item.offset) / Double(side)
            let (z, c, s) = (item.element, cos(angle), sin(angle))
            return sum + SIMD2(z.x * c - z.y * s, z.x * s + z.y * c)
          }
        }
      }
    }
    let rows = (0..<side).map { y in
      (0..<side).map { SIMD2(Double(image[y * side + $0]), 0) }
    }
    let spectrum = transformed(transformed(rows))
    // Below 4 cycles all stays, at 4 half of the amplitude.
    func weight(_ k: Int) -> Double { min(k, side - k) < 4 ? 1 : min(k, side - k) == 4 ? 0.5 : 0 }
    var expected = 0.0
    for (k, line) in spectrum.enumerated() {
      for (l, z) in line.enumerated() {
        expected += pow(weight(k) * weight(l), 2) * (z * z).sum() / Double(side * side)
      }
    }
    let energy = result.reduce(0) { $0 + Double($1) * Double($1) }
    #expect(abs(energy / expected - 1) < 1e-5)
    let mean = result.reduce(0) { $0 + Double($1) } / Double(result.count)
    let variation = energy - mean * mean * Double(result.count)
    let constant = (spectrum[0][0] * spectrum[0][0]).sum() / Double(side * side)
    #expect(abs(variation / (expected - constant) - 1) < 1e-3)
  }

  @Test("thick slices are means of their parts; in-plane structure and linear ramps stay")
  func thick() {
    let size = GridSize(x: 3, y: 2, z: 9)
    let voxels = (0..<size.count).map { (index: Int) -> Float in
      Float(index % 6) + 10 * Float(index / 6)
    }
    let volume = Volume(voxels: voxels, geometry: Geometry(size: size, spacing: SIMD3(1, 1, 2)))
    let result = ThickSlices(count: 3).applied(to: volume)
    for index in voxels.indices {
      let slice = index / 6
      // Between the outer centres a ramp is kept; beyond them it is flat.
      let expected = Float(index % 6) + 10 * Float(min(max(slice, 1), 7))
      #expect(abs(result.voxels[index] - expected) < 1e-4)
    }
    #expect(ThickSlices(count: 1).applied(to: volume) == volume)
  }

  @Test("a bias field is smooth, positive and within its strength")
  func bias() {
    let size = GridSize(x: 40, y: 30, z: 20)
    var generator = SeededGenerator(seed: 8)
    let field = BiasField(strength: 0.4).field(size: size, using: &generator)
    let (low, high) = (field.min() ?? 0, field.max() ?? 0)
    #expect(abs(Double(low) - exp(-0.4)) < 1e-4 && abs(Double(high) - exp(0.4)) < 1e-4)
    let steps = zip(field, field.dropFirst()).enumerated().filter { $0.offset % 40 != 39 }
    #expect(steps.allSatisfy { abs($0.element.0 - $0.element.1) < 0.06 })
    let volume = Volume(
      voxels: [Float](repeating: 2, count: size.count), geometry: Geometry(size: size))
    let shaded = BiasField(strength: 0.4).applied(to: volume, seed: 1, image: 0)
    #expect(shaded == BiasField(strength: 0.4).applied(to: volume, seed: 1, image: 0))
    #expect(BiasField(strength: 0).applied(to: volume, seed: 1, image: 0) == volume)
  }

  @Test("a field-strength pair has other contrast and a smoother, noisier source")
  func fieldStrength() throws {
    let phantom = BrainPhantom(.generated(spacing: 6)).image(.t1, subject: 1)
    let pair = try FieldStrengthPair().applied(to: phantom, seed: 4, image: 0)
    #expect(pair.source.geometry == phantom.geometry && pair.target.geometry == phantom.geometry)
    #expect(pair.source != pair.target)
    // The target has no noise: outside the head it is exactly 0, the source is not.
    #expect(pair.target.voxels[0] == 0 && pair.source.voxels[0] > 0)
    let empty = Volume(voxels: [0, 0], geometry: Geometry(size: GridSize(x: 2, y: 1, z: 1)))
    #expect(throws: ImagingError.noForeground(file: "image")) {
      try FieldStrengthPair().applied(to: empty, seed: 1, image: 0)
    }
  }

  @Test("a subject's contrasts share its anatomy; subjects differ; tissue has its order")
  func brain() {
    let tissue = BrainTissue.generated(spacing: 4)
    let phantom = BrainPhantom(tissue)
    let (t1, t2) = (phantom.image(.t1, subject: 5), phantom.image(.t2, subject: 5))
    let fdg = phantom.image(.fdg, subject: 5)
    #expect(phantom.image(.t1, subject: 5) == t1)
    #expect(phantom.image(.t1, subject: 6) != t1)
    let support = t1.voxels.map { $0 > 0 }
    #expect(t2.voxels.map { $0 > 0 } == support && fdg.voxels.map { $0 > 0 } == support)
    let covered = support.filter { $0 }.count
    #expect(covered > t1.voxels.count / 8)
    // White matter is bright in T1 and dark in FDG: the two are opposed inside the brain.
    let inside = support.indices.filter { t1.voxels[$0] > 70 }
    let white = inside.reduce(0) { $0 + fdg.voxels[$1] } / Float(inside.count)
    #expect(inside.count > 200 && white > 15 && white < 40)
    #expect((fdg.voxels.max() ?? 0) > 60)
    let sums = tissue.grey.indices.map { tissue.grey[$0] + tissue.white[$0] + tissue.fluid[$0] }
    #expect(sums.allSatisfy { $0 >= 0 && $0 < 1.2 })
  }

  @Test("maps give tissue on their grid; averaging keeps the amount and the place")
  func maps() throws {
    let size = GridSize(x: 8, y: 8, z: 8)
    let affine = Affine(
      i: SIMD3(1, 0, 0), j: SIMD3(0, 1, 0), k: SIMD3(0, 0, 1), origin: SIMD3(-10, 5, 0))
    let geometry = Geometry(size: size, affine: affine)
    func ball(_ low: Double, _ high: Double) -> Volume {
      Volume(
        voxels: (0..<512).map { index in
          let p = SIMD3(Double(index % 8), Double(index / 8 % 8), Double(index / 64)) - 3.5
          let r = (p * p).sum().squareRoot()
          return r >= low && r < high ? 255 : 0
        }, geometry: geometry)
    }
    let tissue = try BrainTissue(greyMatter: ball(2, 3.4), whiteMatter: ball(1, 2))
    #expect(tissue.fluid[3 * 64 + 3 * 8 + 3] == 1, "a hole inside the brain is fluid")
    let coarse = try tissue.averaged(by: 2)
    #expect(coarse.geometry.spacing == SIMD3(2, 2, 2))
    #expect(coarse.geometry.affine.origin == SIMD3(-9.5, 5.5, 0.5))
    let (few, many): (Float, Float) = (coarse.grey.reduce(0, +), tissue.grey.reduce(0, +))
    #expect(abs(8 * few - many) < 1e-2)
    let other = Volume(voxels: [1], geometry: Geometry(size: GridSize(x: 1, y: 1, z: 1)))
    #expect(throws: ImagingError.self) {
      try BrainTissue(greyMatter: ball(0, 2), whiteMatter: other)
    }
  }

  @Test("trunks have air around fat around soft tissue and bone, and differ by subject")
  func trunk() {
    let phantom = BodyPhantom(side: 64, slices: 3)
    let (a, b) = (phantom.image(subject: 1), phantom.image(subject: 2))
    #expect(a == phantom.image(subject: 1) && a != b)
    #expect(a.voxels[0] == -1000 && a.spacing.x == 360.0 / 64)
    #expect(a.voxels.contains { $0 > 200 } && a.voxels.contains { $0 > 0 && $0 < 80 })
    #expect(a.voxels.allSatisfy { (-1024...3071).contains($0) })
  }

  @Test("scans in the contrast of CT: ascending, air where there is nothing, soft tissue or lungs")
  func ctLike() {
    let size = GridSize(x: 12, y: 1, z: 1)
    let volume = Volume(
      voxels: (0..<12).map { 30 * Float($0) }, geometry: Geometry(size: size))
    var median: [Float] = []
    for seed in 0..<20 as Range<UInt64> {
      let contrast = CTLikeContrast(seed: seed)
      let like = contrast.applied(to: volume).voxels
      #expect(like[0] == -1000)
      #expect(zip(like, like.dropFirst()).allSatisfy { $0 < $1 }, "seed \(seed): \(like)")
      #expect((-50...700).contains(like[11]))
      // Knots are met, and between two of them the map is straight.
      let knots = contrast.curve.knots
      for (low, high) in zip(knots, knots.dropFirst()) {
        #expect(low.input < high.input && low.output < high.output)
        #expect(contrast.curve(low.input) == low.output)
        let middle = contrast.curve((low.input + high.input) / 2)
        #expect(abs(middle - (low.output + high.output) / 2) < 0.01)
      }
      median.append(like[4])
      #expect(contrast == CTLikeContrast(seed: seed) && contrast != CTLikeContrast(seed: seed + 2))
    }
    for seed in 0..<10 { #expect(median[2 * seed] > -50 && median[2 * seed + 1] < -200) }
    let dark = Volume(voxels: [-3, 0, 0], geometry: Geometry(size: GridSize(x: 3, y: 1, z: 1)))
    #expect(CTLikeContrast(seed: 1).applied(to: dark).voxels == [-1000, -1000, -1000])
  }

  @Test("drawn contrasts: nothing stays nothing, 1 is the brightest point, no two alike, some fall")
  func contrasts() {
    var falling = 0
    var seen: [IntensityCurve] = []
    for seed in 0..<20 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      let curve = IntensityCurve.contrast(using: &generator)
      #expect(curve(0) == 0 && curve(-1) == 0)
      let inner = curve.knots.dropFirst().dropLast()
      #expect(inner.map(\.output).max() == 1 && inner.allSatisfy { $0.output > 0 })
      let (last, end) = (inner[inner.endIndex - 1], curve.knots[curve.knots.count - 1])
      #expect(curve(last.input + 1) > last.output && curve(end.input + 9) == end.output)
      if zip(inner, inner.dropFirst()).contains(where: { $0.output > $1.output }) { falling += 1 }
      #expect(!seen.contains(curve))
      seen.append(curve)
    }
    #expect((10...20).contains(falling))
  }

  @Test("frequencies that were measured are put back, others are left to the restored image")
  func keepingFrequencies() {
    var generator = SeededGenerator(seed: 3)
    let (height, width) = (20, 32)
    let image = (0..<height * width).map { _ in 50 + generator.nextUniform() }
    let truncation = KSpaceTruncation(factor: 2)
    let measured = truncation.applied(
      to: image, height: height, width: width, using: &generator)
    // The image itself has all frequencies: nothing can be put back into it.
    let same = truncation.keeping(measured, in: image, height: height, width: width)
    #expect(zip(image, same).allSatisfy { abs($0 - $1) < 1e-4 })
    // Errors below the limit vanish, those above stay, one at the limit is halved.
    for (cycles, left) in [(3.0, Float(0)), (8, 0.5), (12, 1)] {
      let error = wave(cycles, height, width, 0)
      let kept = truncation.keeping(
        measured, in: zip(image, error).map { $0 + $1 }, height: height, width: width)
      for index in kept.indices {
        #expect(abs(kept[index] - image[index] - left * error[index]) < 1e-4, "\(cycles) cycles")
      }
    }
  }
}
