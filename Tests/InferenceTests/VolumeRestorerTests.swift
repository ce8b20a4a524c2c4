import Foundation
import Imaging
import Inference
import Layers
import Models
import Randomness
import TensorCore
import Testing

@Suite("Volume restoration")
struct VolumeRestorerTests {
  private func model() throws -> RestoreRWKV {
    var configuration = RestoreRWKVConfiguration()
    configuration.channels = 4
    configuration.blocks = [1, 1, 1, 1]
    configuration.refinementBlocks = 1
    var generator = SeededGenerator(seed: 3)
    let model = try RestoreRWKV(configuration, using: &generator)
    model.setRequiresGradient(false)
    return model
  }

  private func volume(times: Int = 1) -> Volume {
    var generator = SeededGenerator(seed: 9)
    let size = GridSize(x: 18, y: 13, z: 5)
    // Axes permuted and flipped against RAS, so that slices are not memory order.
    let affine = Affine(
      i: SIMD3(0, 0, -2), j: SIMD3(-1.5, 0, 0), k: SIMD3(0, 3, 0), origin: SIMD3(5, -4, 7))
    let voxels = (0..<size.count * times).map { _ in 100 * generator.nextUniform() }
    return Volume(
      voxels: voxels, geometry: Geometry(size: size, affine: affine), volumeCount: times)
  }

  @Test("keeps the grid and changes the intensities")
  func grid() throws {
    let input = volume(times: 2)
    let result = try VolumeRestorer(model(), normalization: .window(low: 0, high: 100))
      .restore(input)
    #expect(result.volume.geometry == input.geometry)
    #expect(result.volume.volumeCount == 2)
    #expect(result.volume.voxels != input.voxels)
    #expect(!result.isConstant)
  }

  @Test(
    "a slice is restored as the network restores its image", arguments: AnatomicalPlane.allCases)
  func slices(_ plane: AnatomicalPlane) throws {
    let (input, model) = (volume(), try model())
    var options = RestorationOptions()
    options.plane = plane
    let result = try VolumeRestorer(model, normalization: .window(low: 0, high: 100))
      .restore(input, options: options)
    let (slice, restored) = (input.slices(in: plane)[2], result.volume.slices(in: plane)[2])
    let x = Tensor([1, slice.height, slice.width, 1], slice.pixels.map { $0 / 100 })
    for (found, expected) in zip(restored.pixels, model(x).values) {
      #expect(abs(found - 100 * expected) < 1e-3)
    }
  }

  @Test("a network that is bound to one size restores it, and refuses others and tiles")
  func boundSize() throws {
    var configuration = UNetConfiguration()
    configuration.channels = [4, 6]
    configuration.convolution = ConvolutionChoice(.tvconv)
    configuration.convolution.fallback = .plain
    configuration.convolution.imageSize = [16, 12]
    configuration.convolution.interChannels = 4
    var generator = SeededGenerator(seed: 3)
    let model = try UNet(configuration, using: &generator)
    #expect(model.convolutionCounts[.tvconv] == 3)
    model.setRequiresGradient(false)
    let restorer = VolumeRestorer(model, normalization: .window(low: 0, high: 100))
    func volume(_ x: Int, _ y: Int) -> Volume {
      let size = GridSize(x: x, y: y, z: 2)
      let affine = Affine(
        i: SIMD3(1, 0, 0), j: SIMD3(0, 1, 0), k: SIMD3(0, 0, 5), origin: SIMD3(0, 0, 0))
      return Volume(
        voxels: (0..<size.count).map { Float($0 % 97) },
        geometry: Geometry(size: size, affine: affine), volumeCount: 1)
    }
    let fits = [volume(12, 16), volume(16, 12)].filter { input in
      let slice = input.slices(in: input.geometry.acquisitionPlane)[0]
      return (slice.height, slice.width) == (16, 12)
    }
    #expect(fits.count == 1)
    let input = try #require(fits.first)
    #expect(restorer.memoryEstimate(for: input, RestorationOptions()) > 0)
    #expect(try restorer.restore(input).volume.voxels != input.voxels)
    let other = volume(14, 14)
    #expect(restorer.memoryEstimate(for: other, RestorationOptions()) > 0)
    #expect(throws: InferenceError.self) { try restorer.restore(other) }
    var tiles = RestorationOptions()
    tiles.tiling = Tiling(height: 16, width: 12, overlap: 0)
    #expect(throws: InferenceError.self) { try restorer.restore(input, options: tiles) }
  }

  @Test("each volume of a series is restored as it would be alone")
  func series() throws {
    let input = volume(times: 2)
    let restorer = VolumeRestorer(try model(), normalization: .percentile(low: 0, high: 99))
    let both = try restorer.restore(input).volume
    let second = try restorer.restore(input.volume(at: 1)).volume
    #expect(Array(both.voxels[both.range(ofVolume: 1)]) == second.voxels)
  }

  @Test("padding stays, and the rest is restored as if it were not there")
  func padding() throws {
    var air = volume()
    air.voxels = air.voxels.indices.map { $0 % 7 == 0 ? -1024 : air.voxels[$0] }
    var padded = air
    padded.voxels = air.voxels.indices.map { $0 % 7 == 0 ? -3024 : air.voxels[$0] }
    let restorer = VolumeRestorer(
      try model(), normalization: .percentile(low: 0, high: 99.5), paddingBelow: -1024)
    #expect(restorer.paddingCount(of: air) == 0)
    #expect(restorer.paddingCount(of: padded) == (air.voxels.count + 6) / 7)
    #expect(
      restorer.memoryEstimate(for: padded, RestorationOptions())
        == restorer.memoryEstimate(for: air, RestorationOptions()) + 4 * air.voxels.count)
    let (expected, found) = (try restorer.restore(air).volume, try restorer.restore(padded).volume)
    for index in air.voxels.indices {
      #expect(found.voxels[index] == (index % 7 == 0 ? -3024 : expected.voxels[index]))
    }
  }

  @Test("a constant image comes back as it was")
  func constant() throws {
    var input = volume()
    input.voxels = [Float](repeating: 7, count: input.voxels.count)
    let result = try VolumeRestorer(model(), normalization: .zScore()).restore(input)
    #expect(result.isConstant)
    #expect(result.volume == input)
  }

  @Test("range, mask and stop are kept")
  func options() throws {
    let input = volume()
    let restorer = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    var options = RestorationOptions()
    options.clipsToInputRange = true
    options.mask = input.voxels.indices.map { $0 % 3 == 0 }
    let result = try restorer.restore(input, options: options).volume
    #expect((result.voxels.min() ?? 0) >= (input.voxels.min() ?? 0))
    #expect((result.voxels.max() ?? 0) <= (input.voxels.max() ?? 0))
    for index in result.voxels.indices where index % 3 != 0 {
      #expect(result.voxels[index] == input.voxels[index])
    }
    #expect(throws: InferenceError.cancelled) {
      try restorer.restore(input) { $0 < 2 }
    }
  }

  @Test("the flips' mean is symmetric under a flip")
  func flips() throws {
    let input = volume()
    let restorer = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    var options = RestorationOptions()
    options.symmetries = .flips
    options.plane = .axial
    var flipped = input
    for index in 0..<input.slices(in: .axial).count {
      var slice = input.slices(in: .axial)[index]
      let width = slice.width
      slice.pixels = slice.pixels.indices.map {
        slice.pixels[$0 / width * width + width - 1 - $0 % width]
      }
      flipped.replaceSlice(at: index, in: .axial, with: slice)
    }
    let a = try restorer.restore(input, options: options).volume.slices(in: .axial)[1]
    let b = try restorer.restore(flipped, options: options).volume.slices(in: .axial)[1]
    for index in a.pixels.indices {
      let mirror = index / a.width * a.width + a.width - 1 - index % a.width
      #expect(abs(a.pixels[index] - b.pixels[mirror]) < 1e-3)
    }
  }

  @Test("the mean over all symmetries is that of the slice with rows and columns exchanged")
  func symmetries() throws {
    let input = volume()
    let restorer = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    var options = RestorationOptions()
    options.plane = .axial
    options.symmetries = .flips
    let flips = try restorer.restore(input, options: options).volume.slices(in: .axial)[1]
    let plainMemory = restorer.memoryEstimate(for: input, options)
    options.symmetries = .square
    let found = try restorer.restore(input, options: options).volume.slices(in: .axial)[1]
    #expect(found != flips)
    #expect(found.height != found.width)
    #expect(restorer.memoryEstimate(for: input, options) > plainMemory)
    // By hand: the network on the transposed slice, flipped.
    let slice = input.slices(in: .axial)[1]
    let (height, width) = (slice.height, slice.width)
    var turned = [Float](repeating: 0, count: height * width)
    for flip in 0..<4 {
      func source(_ row: Int, _ column: Int) -> Int {
        (flip & 1 != 0 ? height - 1 - row : row) * width
          + (flip & 2 != 0 ? width - 1 - column : column)
      }
      let pixels = (0..<width).flatMap { column in
        (0..<height).map { row in slice.pixels[source(row, column)] / 100 }
      }
      let restored = try model()(Tensor([1, width, height, 1], pixels)).values
      for column in 0..<width {
        for row in 0..<height {
          turned[source(row, column)] += 100 * restored[column * height + row] / 4
        }
      }
    }
    for index in turned.indices {
      #expect(abs(found.pixels[index] - (flips.pixels[index] + turned[index]) / 2) < 1e-3)
    }
  }

  @Test(
    "a bundle may ask for all symmetries in super-resolution; what is asked for here counts more")
  func symmetriesByDefault() throws {
    let restorer = VolumeRestorer(
      try model(), normalization: .window(low: 0, high: 100), averagesSymmetries: true)
    var options = RestorationOptions()
    #expect(restorer.symmetries(options) == .identity)
    options.kSpaceFactor = 2
    #expect(restorer.symmetries(options) == .square)
    options.symmetries = .identity
    #expect(restorer.symmetries(options) == .identity)
    let plain = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    options.symmetries = nil
    #expect(plain.symmetries(options) == .identity)
  }

  @Test("frequencies that were measured are kept where the user says that there are such")
  func measuredFrequencies() throws {
    let input = volume()
    let restorer = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    var options = RestorationOptions()
    options.plane = .axial
    let plain = try restorer.restore(input, options: options).volume
    options.kSpaceFactor = 1
    #expect(try restorer.restore(input, options: options).volume.voxels == plain.voxels)
    options.kSpaceFactor = 2
    let kept = try restorer.restore(input, options: options).volume
    #expect(kept.voxels != plain.voxels)
    let truncation = KSpaceTruncation(factor: 2)
    let slices = zip(input.slices(in: .axial), plain.slices(in: .axial))
    for ((measured, restored), found) in zip(slices, kept.slices(in: .axial)) {
      let expected = truncation.keeping(
        measured.pixels, in: restored.pixels, height: measured.height, width: measured.width)
      #expect(found.pixels == expected)
    }
  }

  @Test("the mean over planes is the mean of what each plane gives, in every volume")
  func planes() throws {
    let input = volume()
    let restorer = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    var options = RestorationOptions()
    var expected = [Float](repeating: 0, count: input.voxels.count)
    for plane in AnatomicalPlane.allCases {
      options.plane = plane
      let voxels = try restorer.restore(input, options: options).volume.voxels
      for index in voxels.indices { expected[index] += voxels[index] / 3 }
    }
    options.plane = nil
    options.averagesPlanes = true
    var calls: [Int] = []
    let found = try restorer.restore(input, options: options) {
      calls.append($0)
      return true
    }
    #expect(calls == Array(1...restorer.sliceCount(of: input, options)))
    #expect(restorer.execution(of: input, options) == .planned)
    for (a, b) in zip(found.volume.voxels, expected) { #expect(abs(a - b) < 1e-3) }
    let whole = restorer.memoryEstimate(for: input, options)
    options.averagesPlanes = false
    #expect(whole > restorer.memoryEstimate(for: input, options))
  }

  @Test("a model that is meant for it sees large volumes of isotropic voxels from three sides")
  func planesByDefault() throws {
    let restorer = VolumeRestorer(
      try model(), normalization: .window(low: 0, high: 100), averagesPlanes: true)
    func planes(
      _ size: GridSize, _ spacing: SIMD3<Double>,
      _ change: (inout RestorationOptions) -> Void = { _ in }
    ) -> Int {
      let volume = Volume(
        voxels: [Float](repeating: 1, count: size.count),
        geometry: Geometry(size: size, spacing: spacing))
      var options = RestorationOptions()
      change(&options)
      return restorer.planes(volume, options).count
    }
    let cube = GridSize(x: 33, y: 32, z: 34)
    #expect(planes(cube, SIMD3(1, 1.2, 1)) == 3)
    #expect(planes(cube, SIMD3(1, 1.4, 1)) == 1)
    #expect(planes(GridSize(x: 33, y: 32, z: 31), SIMD3(1, 1, 1)) == 1)
    #expect(planes(cube, SIMD3(1, 1, 1)) { $0.averagesPlanes = false } == 1)
    #expect(planes(cube, SIMD3(1, 1, 1)) { $0.plane = .axial } == 1)
    #expect(planes(cube, SIMD3(1, 1, 1)) { $0.kSpaceFactor = 2 } == 1)
    #expect(planes(cube, SIMD3(1, 1, 9)) { $0.averagesPlanes = true } == 3)
    let plain = VolumeRestorer(try model(), normalization: .window(low: 0, high: 100))
    let volume = Volume(
      voxels: [Float](repeating: 1, count: cube.count), geometry: Geometry(size: cube))
    #expect(plain.planes(volume, RestorationOptions()).count == 1)
  }

  @Test("tiles of the shipped model have no seams: a real scan comes out as without them")
  func tiles() throws {
    let data = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("data")
    let scan = try ScanFile.read(data.appendingPathComponent("scans/ants_r30.png").path).volume
    // A part of the brain is enough, and quick.
    let (rows, columns) = (100, 120)
    let voxels = (60..<60 + rows).flatMap { row in
      scan.voxels[row * scan.size.x + 50..<row * scan.size.x + 50 + columns]
    }
    let part = Volume(
      voxels: voxels, geometry: Geometry(size: GridSize(x: columns, y: rows, z: 1)))
    let restorer = try VolumeRestorer(
      ModelBundle(path: data.appendingPathComponent("models/mri-denoise").path))
    var options = RestorationOptions()
    options.plane = .axial
    let whole = try restorer.restore(part, options: options).volume.voxels
    let range = (voxels.max() ?? 0) - (voxels.min() ?? 0)
    for side in [16, 40, 64] {
      options.tiling = Tiling(height: side, width: side)
      let tiled = try restorer.restore(part, options: options).volume.voxels
      let worst = zip(tiled, whole).map { abs($0 - $1) }.max() ?? 0
      // The goal is 1e-3; nothing but rounding differs.
      #expect(worst < 1e-5 * range, "tiles of \(side): \(worst / range) of the range")
    }
  }

  @Test("the memory estimate grows with the slice")
  func memory() throws {
    let restorer = VolumeRestorer(try model(), normalization: .zScore())
    let small = Volume(
      voxels: [Float](repeating: 0, count: 64 * 64),
      geometry: Geometry(size: GridSize(x: 64, y: 64, z: 1)))
    let large = Volume(
      voxels: [Float](repeating: 0, count: 256 * 256),
      geometry: Geometry(size: GridSize(x: 256, y: 256, z: 1)))
    let options = RestorationOptions()
    let ratio =
      Double(restorer.memoryEstimate(for: large, options))
      / Double(restorer.memoryEstimate(for: small, options))
    #expect(ratio > 8 && ratio < 17)
  }

  @Test("a network for stacks sees a slice's neighbours, at the ends the last slice again")
  func stacks() throws {
    var configuration = RestoreRWKVConfiguration()
    configuration.channels = 4
    configuration.blocks = [1, 1, 1, 1]
    configuration.refinementBlocks = 1
    configuration.inChannels = 5
    var generator = SeededGenerator(seed: 3)
    let model = try RestoreRWKV(configuration, using: &generator)
    model.setRequiresGradient(false)
    let input = volume()
    var options = RestorationOptions()
    options.plane = .axial
    let restorer = VolumeRestorer(model, normalization: .window(low: 0, high: 100))
    let result = try restorer.restore(input, options: options).volume.slices(in: .axial)
    let slices = input.slices(in: .axial)
    for place in [0, 3, slices.count - 1] {
      let stack = (place - 2...place + 2).map {
        slices[min(max($0, 0), slices.count - 1)].pixels
      }
      let pixels = stack[0].indices.flatMap { pixel in stack.map { $0[pixel] / 100 } }
      let x = Tensor([1, slices[0].height, slices[0].width, 5], pixels)
      for (found, expected) in zip(result[place].pixels, model(x).values) {
        #expect(abs(found - 100 * expected) < 1e-3)
      }
    }
    // Flips and tiles keep channels together.
    options.symmetries = .flips
    let flipped = try restorer.restore(input, options: options).volume.slices(in: .axial)[3].pixels
    let plain = result[3].pixels
    #expect(zip(flipped, plain).contains { abs($0 - $1) > 1e-3 })
    let (low, high) = (plain.min() ?? 0, plain.max() ?? 0)
    #expect(flipped.allSatisfy { $0 > low - (high - low) && $0 < high + (high - low) })
  }
}
