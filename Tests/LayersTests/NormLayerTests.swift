import Layers
import Randomness
import TensorCore
import TestSupport
import Testing

@Suite("Normalising and dropout layers")
struct NormLayerTests {
  @Test("batch norm follows the batches' statistics, the variance divided by n − 1")
  func runningStatistics() {
    let layer = BatchNorm(channels: 2, eps: 0, momentum: 0.25)
    layer.setTraining(true)
    let x = Tensor([1, 4, 2], [1, 10, 2, 10, 3, 20, 6, 20])
    let y = layer(x)
    // Channel 0: mean 3, squares 4 + 1 + 0 + 9 = 14; channel 1: mean 15, squares 4 · 25 = 100.
    #expect(Mismatch(layer.runningMean.tensor.values, [0.75, 3.75], relative: 1e-6) == nil)
    let variances: [Float] = [0.75 + 0.25 * 14 / 3, 0.75 + 0.25 * 100 / 3]
    #expect(Mismatch(layer.runningVariance.tensor.values, variances, relative: 1e-6) == nil)
    #expect(layer.batchCount.tensor.values == [1])
    let scale = 1 / Float(3.5).squareRoot()
    let expected: [Float] = [-2 * scale, -1, -scale, -1, 0, 1, 3 * scale, 1]
    #expect(Mismatch(y.values, expected, relative: 1e-5) == nil)
    _ = layer(x)
    #expect(layer.batchCount.tensor.values == [2])
  }

  @Test("batch norm in evaluation uses and keeps the running statistics")
  func evaluation() {
    let layer = BatchNorm(channels: 3, eps: 1e-3)
    layer.weight.load(Tensor([3], [1, 2, -1]))
    layer.bias.load(Tensor([3], [0, 1, 2]))
    layer.runningMean.load(Tensor([3], [1, -1, 0.5]))
    layer.runningVariance.load(Tensor([3], [4, 0.25, 1]))
    let x = Tensor.random([2, 3, 2, 3], seed: 4)
    let expected = x.normalized(
      mean: layer.runningMean.tensor, variance: layer.runningVariance.tensor,
      weight: layer.weight.tensor, bias: layer.bias.tensor, eps: 1e-3)
    #expect(Mismatch(layer(x), expected, relative: 1e-5) == nil)
    layer.setTraining(true)
    layer.setTraining(false)
    #expect(Mismatch(layer(x), expected, relative: 1e-5) == nil)
    #expect(layer.batchCount.tensor.values == [0])
    #expect(layer.deployedCount == 6)
  }

  @Test("norm layers have the names of the reference's state dictionaries")
  func names() {
    #expect(
      BatchNorm(channels: 2).state.map(\.name)
        == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"])
    #expect(BatchNorm(channels: 2).parameters.map(\.name) == ["weight", "bias"])
    #expect(GroupNorm(channels: 4, groups: 2).state.map(\.name) == ["weight", "bias"])
    #expect(InstanceNorm(channels: 4).state.isEmpty)
    #expect(InstanceNorm(channels: 4, isAffine: true).state.map(\.name) == ["weight", "bias"])
  }

  @Test("instance norm is group norm with one channel per group")
  func instances() {
    let x = Tensor.random([2, 5, 4], seed: 2)
    let expected = GroupNorm(channels: 4, groups: 4)(x)
    #expect(Mismatch(InstanceNorm(channels: 4)(x), expected, relative: 1e-6) == nil)
    #expect(Mismatch(GroupNorm(channels: 4, groups: 1)(x), expected, relative: 1e-2) != nil)
  }

  @Test("dropout masks the given part in training, differently each time, and nothing otherwise")
  func dropout() {
    var generator = SeededGenerator(seed: 1)
    let layer = Dropout(probability: 0.25, using: &generator)
    let x = Tensor.ones([100, 100])
    #expect(layer(x).values == x.values)
    layer.setTraining(true)
    let first = layer(x).values
    let zeros = first.count { $0 == 0 }
    #expect((2300...2700).contains(zeros))
    #expect(first.allSatisfy { $0 == 0 || $0 == 1 / Float(0.75) })
    #expect(layer(x).values != first)
    var again = SeededGenerator(seed: 1)
    let copy = Dropout(probability: 0.25, using: &again)
    copy.setTraining(true)
    #expect(copy(x).values == first)
  }
}
