import Randomness

/// A map from intensities of a magnetic resonance scan to Hounsfield units, drawn from a seed.
///
/// Neither an MR image with these intensities nor its map is anatomy as CT shows it. What counts is its
/// texture: edges, vessels and folds of a real body, with the contrasts of soft tissue or of lungs, for networks
/// that would otherwise learn what ellipses look like (``BodyPhantom``).
public struct CTLikeContrast: Sendable, Equatable {
  /// Ascending normalised intensities and their HU; linear between them, constant beyond.
  public let knots: [Knot]

  /// One point of the map.
  public struct Knot: Sendable, Equatable {
    /// Normalised intensity.
    public let intensity: Float
    /// HU.
    public let hounsfield: Float
  }

  /// A contrast.
  ///
  /// Even seeds give soft tissue between fat and calcified bone, odd ones lung with vessels.
  ///
  /// - Parameter seed: Decides the contrast.
  public init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed, stream: 5)
    func uniform(_ low: Float, _ high: Float) -> Float {
      low + (high - low) * generator.nextUniform()
    }
    let isSoft = seed.isMultiple(of: 2)
    let hounsfield: [Float] =
      isSoft
      ? [
        uniform(-120, -80), uniform(-20, 30), uniform(30, 70), uniform(70, 140), uniform(200, 700),
      ]
      : [
        uniform(-930, -860), uniform(-860, -760), uniform(-600, -300), uniform(-50, 60),
        uniform(60, 300),
      ]
    knots =
      [Knot(intensity: 0, hounsfield: -1000)]
      + zip([0.12, 0.35, 0.6, 0.85, 1.2] as [Float], hounsfield).map {
        Knot(intensity: $0.0 * uniform(0.9, 1.1), hounsfield: $0.1)
      }
  }

  /// The HU of one normalised intensity.
  func hounsfield(of intensity: Float) -> Float {
    guard let after = knots.firstIndex(where: { $0.intensity > intensity }) else {
      return knots[knots.count - 1].hounsfield
    }
    guard after > 0 else { return knots[0].hounsfield }
    let (low, high) = (knots[after - 1], knots[after])
    let part = (intensity - low.intensity) / (high.intensity - low.intensity)
    return low.hounsfield + part * (high.hounsfield - low.hounsfield)
  }

  /// Maps a scan; intensity 1 is the 99.5th percentile of the voxels above zero.
  ///
  /// - Parameter volume: Magnitudes.
  /// - Returns: HU on the same grid; air where nothing is above zero.
  public func applied(to volume: Volume) -> Volume {
    let scale = OrderStatistics(of: volume.voxels, selection: .positive).percentile(99.5) ?? 1
    var result = volume
    result.voxels = volume.voxels.map { hounsfield(of: $0 / Float(scale)) }
    return result
  }
}
