import Layers
import Models
import Parity
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Stroke networks")
struct StrokeTests {
  @Test(
    "the golden files of this family pass",
    arguments: [
      ("model.stroke_2d__dts_eval", 8), ("model.stroke_2d__dts_train", 4),
      ("model.stroke_3d__combine", 4), ("geometry.nine_path__small", 15),
      ("loss.soft_dice__dts", 2), ("metric.segmentation__ellipses", 5),
      ("metric.overlap__eps1e-4", 4),
    ])
  func goldens(name: String, comparisons: Int) throws {
    let result = ParityRunner.run(try Golden.path(name))
    #expect(result.outcome == .passed, "\(result.lines.joined(separator: "\n"))")
    #expect(result.comparisons.count == comparisons)
  }

  @Test("the networks have the published numbers of parameters")
  func counts() throws {
    var generator = SeededGenerator(seed: 1)
    let path = try StrokePathNetwork(.full, using: &generator)
    #expect(path.parameterCount(.trained) == 324_672)
    #expect(StrokeCombiner(using: &generator).parameterCount(.trained) == 35_721)
  }

  @Test("slices put back are the volume, in every plane", arguments: StrokePlane.allCases)
  func planes(plane: StrokePlane) {
    var generator = SeededGenerator(seed: 2)
    let volume = Tensor([3, 4, 5, 2]) { generator.fillNormal($0) }
    let slices = plane.slices(of: volume)
    #expect(slices.shape[0] == volume.shape[plane.sliceAxis])
    #expect(plane.volume(of: slices).values == volume.values)
  }

  @Test("the second channel is the mirrored first one, where a slice shows both sides")
  func mirror() {
    let volume = Tensor([2, 2, 3, 1], (0..<12).map(Float.init))
    func second(_ plane: StrokePlane) -> Tensor {
      StrokePath.slices(of: volume, in: plane, second: .mirror).sliced(axis: 3, 1..<2)
    }
    #expect(second(.xy).values == [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9])
    #expect(second(.zy).values == [2, 1, 0, 8, 7, 6, 5, 4, 3, 11, 10, 9])
    #expect(second(.zx).values == StrokePlane.zx.slices(of: volume).values)
  }

  @Test("a constant slice is normalised to exactly 0, others to mean 0 and deviation 1")
  func normalization() {
    // 0.1 is no float32: a mean that rounds would leave a remainder.
    let slices = Tensor([3, 2, 2, 1], [0.1, 0.1, 0.1, 0.1, 1, 2, 3, 6, 4, 0, 4, 0])
    let inPlane = StrokeNormalization.inPlane.normalized(slices).values
    #expect(Array(inPlane[..<4]) == [0, 0, 0, 0])
    let second = Array(inPlane[4..<8])
    let (sum, squares) = (second.reduce(0, +), second.reduce(0) { $0 + $1 * $1 })
    #expect(abs(sum) < 1e-6)
    #expect(abs(squares - 4) < 1e-5)
    let through = StrokeNormalization.throughPlane.normalized(slices).values
    #expect(abs(through[0] + through[4] + through[8]) < 1e-6)
    let both = StrokeNormalization.both.normalized(slices)
    let steps = StrokeNormalization.inPlane.normalized(
      StrokeNormalization.throughPlane.normalized(slices))
    #expect(both.values == steps.values)
  }

  @Test("dropout silences whole channels in training and nothing in evaluation")
  func dropout() {
    var generator = SeededGenerator(seed: 3)
    let layer = Dropout(probability: 0.5, dropsChannels: true, using: &generator)
    let x = Tensor([2, 3, 4, 16], repeating: 1)
    #expect(layer(x).values == x.values)
    layer.setTraining(true)
    let y = layer(x)
    let kept = y.sum(axes: [1, 2]).values
    #expect(kept.allSatisfy { $0 == 0 || $0 == 24 })
    #expect(Set(kept).count == 2)
  }

  @Test("all five fusion blocks take part only if they are separate")
  func separateFusion() throws {
    for (isSeparate, count) in [(false, 1), (true, 5)] {
      var configuration = StrokeConfiguration.small
      configuration.channels = 4
      configuration.separateFusion = isSeparate
      var generator = SeededGenerator(seed: 4)
      let network = try StrokePathNetwork(configuration, using: &generator)
      let x = Tensor([1, 16, 16, 2]) { generator.fillNormal($0) }
      let gradients = network.forward(x).squared().mean().gradients()
      let used = network.parameters.filter { name, parameter in
        name.hasPrefix("fuse.") && name.hasSuffix("conv.weight")
          && parameter.gradient(in: gradients) != nil
      }
      #expect(used.count == count)
    }
  }
}
