import Models
import Randomness
import TensorCore

/// Cases in memory, in the plane of one path, from which slices are drawn.
struct StrokeSampler {
  private struct Slices {
    let stack: StrokeStack
    /// 1 in lesions, `[L, a, b]`.
    let truth: [UInt8]
    /// The pixels of lesions, `slice · a · b + pixel`.
    let lesionPixels: [Int]
    /// Slices that show a lesion.
    let lesionSlices: [Int]
  }

  private let path: StrokePath
  private let cases: [Slices]
  private let withLesion: [Int]

  /// Cases as slices of a path.
  init(_ cases: [StrokeCase], path: StrokePath, second: StrokeSecondChannel) {
    self.path = path
    let slices = cases.map { item in
      let stack = StrokeStack(of: item.volume, in: path.plane, second: second)
      let truth = stack.slices(of: item.truth)
      let pixels = truth.indices.filter { truth[$0] == 1 }
      let area = stack.height * stack.width
      var shown: [Int] = []
      for pixel in pixels where shown.last != pixel / area { shown.append(pixel / area) }
      return Slices(stack: stack, truth: truth, lesionPixels: pixels, lesionSlices: shown)
    }
    self.cases = slices
    withLesion = slices.indices.filter { !slices[$0].lesionPixels.isEmpty }
  }

  /// Whether any case has a lesion.
  var hasLesions: Bool { !withLesion.isEmpty }

  /// Draws normalised slices, or parts of them, with one-hot truth.
  ///
  /// - Parameters:
  ///   - section: How many, how large, how varied.
  ///   - lesionsOnly: Whether each shows a lesion.
  ///   - generator: Decides everything.
  /// - Returns: `[N, a, b, 2]` and `[N, a, b, 2]`.
  func batch(
    _ section: StrokeTrainingConfiguration.StageSection, lesionsOnly: Bool,
    using generator: inout SeededGenerator
  ) -> (slices: Tensor, truth: Tensor) {
    var (images, labels): ([Tensor], [Tensor]) = ([], [])
    for _ in 0..<section.batch {
      let sample = sample(section, lesionsOnly: lesionsOnly, using: &generator)
      images.append(sample.slice)
      labels.append(sample.truth)
    }
    return (.concatenate(images, axis: 0), .concatenate(labels, axis: 0))
  }

  private func sample(
    _ section: StrokeTrainingConfiguration.StageSection, lesionsOnly: Bool,
    using generator: inout SeededGenerator
  ) -> (slice: Tensor, truth: Tensor) {
    let item =
      lesionsOnly
      ? cases[withLesion[generator.nextInt(below: withLesion.count)]]
      : cases[generator.nextInt(below: cases.count)]
    let stack = item.stack
    let area = stack.height * stack.width
    // Whole slices: each lesion slice alike. Parts: around any pixel of a lesion alike.
    var slice = generator.nextInt(below: stack.count)
    var pixel: Int?
    if lesionsOnly, section.patch == 0 {
      slice = item.lesionSlices[generator.nextInt(below: item.lesionSlices.count)]
    } else if lesionsOnly {
      let found = item.lesionPixels[generator.nextInt(below: item.lesionPixels.count)]
      (slice, pixel) = (found / area, found % area)
    }
    func range(_ size: Int, around place: Int?) -> Range<Int> {
      guard section.patch > 0, section.patch < size else { return 0..<size }
      guard let place else {
        let first = generator.nextInt(below: size - section.patch + 1)
        return first..<first + section.patch
      }
      let lowest = max(0, place - section.patch + 1)
      let highest = min(size - section.patch, place)
      let first = lowest + generator.nextInt(below: highest - lowest + 1)
      return first..<first + section.patch
    }
    let rows = range(stack.height, around: pixel.map { $0 / stack.width })
    let columns = range(stack.width, around: pixel.map { $0 % stack.width })
    var image = stack.normalized([slice], rows: rows, columns: columns, by: path.normalization)
    var truth = Tensor([1, rows.count, columns.count, 2]) { target in
      var at = 0
      for row in rows {
        for column in columns {
          let label = item.truth[slice * area + row * stack.width + column]
          target[at] = label == 1 ? 0 : 1
          target[at + 1] = label == 1 ? 1 : 0
          at += 2
        }
      }
    }
    if section.mirrors, stack.showsBothSides, generator.nextUniform() < 0.5 {
      let reversed = Array((0..<columns.count).reversed())
      image = image.gathered(reversed, axis: 2)
      truth = truth.gathered(reversed, axis: 2)
    }
    if section.jitter > 0 {
      func draw() -> Float { Float(section.jitter) * (2 * generator.nextUniform() - 1) }
      let scale = Tensor([2], [1 + draw(), 1 + draw()])
      let shift = Tensor([2], [draw(), draw()])
      image = image * scale + shift
    }
    return (image, truth)
  }
}
