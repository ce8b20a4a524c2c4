import Foundation

/// What `Fixtures/metrics/make_reference.py` wrote, and the images that it wrote it for.
struct MetricReference: Decodable {
  struct Pair: Decodable {
    let shape: [Int]
    let seed: UInt32
    let span: Double
    let mse: Double
    let mae: Double
    let nmse: Double
    let nrmseEuclidean: Double
    let nrmseMinMax: Double
    let nrmseMean: Double
    let psnrSpan: Double
    let psnr255: Double
    let ssimGaussian: Double
    let ssimUniform7: Double
    let ssimZeroPadded: Double?
    let ssimSlices: Double?
  }

  struct Percentiles: Decodable {
    let count: Int
    let seed: UInt32
    let percents: [Double]
    let all: [Double]
    let positive: [Double]
  }

  struct Foreground: Decodable {
    let shape: [Int]
    let seed: UInt32
    let scale: Double
    let raw: [Int]
    let closed: [Int]
    let filled: [Int]
    let axes: [String: [[Double]]]
  }

  let pairs: [Pair]
  let percentiles: [Percentiles]
  let foregrounds: [Foreground]

  /// The reference values.
  static func load() throws -> MetricReference {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Self.self, from: PNGFixture.data("metrics/reference.json"))
  }

  /// The linear congruential sequence of the script.
  static func noise(_ seed: UInt32, _ count: Int) -> [Double] {
    var state = seed
    return (0..<count).map { _ in
      state = 1_664_525 &* state &+ 1_013_904_223
      return Double(state >> 16) / 256
    }
  }

  /// Index triples of a shape in memory order.
  static func indices(_ shape: [Int]) -> [(z: Int, y: Int, x: Int)] {
    let full = [Int](repeating: 1, count: 3 - shape.count) + shape
    return (0..<full[0] * full[1] * full[2]).map {
      ($0 / (full[1] * full[2]), $0 / full[2] % full[1], $0 % full[2])
    }
  }
}

extension MetricReference.Pair {
  /// The two images.
  var images: (prediction: [Float], reference: [Float]) {
    let count = shape.reduce(1, *)
    let ramps = MetricReference.indices(shape).map {
      Double((7 * $0.z + 5 * $0.y + 3 * $0.x) % 97) * 2
    }
    let first = MetricReference.noise(seed, count)
    let second = MetricReference.noise(seed + 1, count)
    let reference = zip(ramps, first).map { $0 + $1 / 8 }
    let prediction = zip(reference, second).map { $0 + $1 / 16 - 8 }
    return (prediction.map(Float.init), reference.map(Float.init))
  }
}

extension MetricReference.Foreground {
  /// The clean image and one to compare with it.
  var images: (clean: [Float], other: [Float]) {
    let indices = MetricReference.indices(shape)
    let draws = MetricReference.noise(seed, 40)
    var values = MetricReference.noise(seed + 1, indices.count).map { $0 / 256 }
    for blob in 0..<5 {
      let centre = (0..<3).map { draws[5 * blob + $0] / 256 * Double(shape[$0]) }
      let radius = 3 + draws[5 * blob + 3] / 80
      for (place, index) in indices.enumerated() {
        let (dz, dy, dx) = (
          Double(index.z) - centre[0], Double(index.y) - centre[1], Double(index.x) - centre[2]
        )
        let square = dz * dz + dy * dy + dx * dx
        if square <= radius * radius, square >= (radius - 1.5) * (radius - 1.5) {
          values[place] += 100
        }
      }
    }
    for (place, draw) in MetricReference.noise(seed + 2, indices.count).enumerated()
    where draw > 250 {
      values[place] += 90
    }
    let other = zip(values, MetricReference.noise(seed + 3, indices.count)).map { $0 + $1 / 16 - 8 }
    return (values.map(Float.init), other.map(Float.init))
  }
}

/// The fingerprint of a set of voxels that the script makes too.
func fingerprint(_ voxels: [Bool]) -> [Int] {
  var hash: UInt32 = 0
  for place in voxels.indices where voxels[place] {
    hash &+= UInt32(truncatingIfNeeded: place &* 2_654_435_761)
  }
  return [voxels.count { $0 }, Int(hash)]
}

/// Whether two numbers agree to a relative tolerance.
func agree(_ value: Double, _ expected: Double, within tolerance: Double = 1e-6) -> Bool {
  abs(value - expected) <= tolerance * abs(expected)
}
