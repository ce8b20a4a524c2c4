import Randomness

/// A map from intensities of a magnetic resonance scan to Hounsfield units, drawn from a seed.
///
/// Neither an MR image with these intensities nor its map is anatomy as CT shows it. What counts is its
/// texture: edges, vessels and folds of a real body, with the contrasts of soft tissue or of lungs, for networks
/// that would otherwise learn what ellipses look like (``BodyPhantom``).
public struct CTLikeContrast: Sendable, Equatable {
  /// HU of normalised intensities, ascending.
  public let curve: IntensityCurve

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
    curve = IntensityCurve(
      [.init(input: 0, output: -1000)]
        + zip([0.12, 0.35, 0.6, 0.85, 1.2] as [Float], hounsfield).map {
          .init(input: $0.0 * uniform(0.9, 1.1), output: $0.1)
        })
  }

  /// Maps a scan; intensity 1 is the 99.5th percentile of the voxels above zero.
  ///
  /// - Parameter volume: Magnitudes.
  /// - Returns: HU on the same grid; air where nothing is above zero.
  public func applied(to volume: Volume) -> Volume {
    let scale = OrderStatistics(of: volume.voxels, selection: .positive).percentile(99.5) ?? 1
    var result = volume
    result.voxels = volume.voxels.map { curve($0 / Float(scale)) }
    return result
  }
}
