import Foundation

/// How the intensities of an image are brought to the range that a network was trained on.
///
/// Part of a model bundle (`normalization` in `model.json`):
///
/// ```json
/// {"kind": "window", "low": 0, "high": 4095, "clip": true}
/// {"kind": "percentile", "low": 0, "high": 99.5, "voxels": "positive", "clip": false}
/// {"kind": "z-score", "voxels": "all"}
/// ```
///
/// `voxels` defaults to `all` and `clip` to `false`. A percentile range may have `from`, a number that its lower end
/// does not exceed: with 0, intensities that begin above 0 keep their distance from it. Where `low` is 0 and
/// `voxels` is `positive`, the lower end is 0, which all of them are above.
public enum IntensityNormalization: Sendable, Equatable {
  /// A fixed range of intensities, in their units, becomes 0 ... 1.
  case window(low: Double, high: Double, clips: Bool = false)
  /// The range between two percentiles of the image becomes 0 ... 1; its lower end is at most `from`.
  case percentile(
    low: Double, high: Double, of: OrderStatistics.Selection = .all, clips: Bool = false,
    from: Double? = nil)
  /// The mean of the image becomes 0, the (population) standard deviation 1.
  case zScore(of: OrderStatistics.Selection = .all)

  /// The map for one image.
  ///
  /// Where the selected voxels have no spread (a label map's positive voxels, say) or there are none,
  /// all finite voxels are used, and instead of coinciding percentiles their minimum and maximum. Only
  /// a constant image then has the scale 0.
  ///
  /// - Parameters:
  ///   - voxels: The intensities of one volume, any shape.
  ///   - file: What errors call the image.
  /// - Returns: The map.
  /// - Throws: ``ImagingError/noFiniteVoxel(file:)`` unless the range is fixed;
  ///   ``ImagingError/invalidParameter(name:value:reason:)`` for a range without extent.
  public func map(for voxels: [Float], file: String = "image") throws(ImagingError) -> IntensityMap
  {
    if let problem { throw problem }
    switch self {
    case .window(let low, let high, let clips):
      return IntensityMap(shift: low, scale: high - low, clips: clips)
    case .percentile(let low, let high, let selection, let clips, let from):
      let selected = OrderStatistics(of: voxels, selection: selection)
      let all = selection == .all ? selected : OrderStatistics(of: voxels)
      guard let lowest = all.percentile(0), let highest = all.percentile(100) else {
        throw .noFiniteVoxel(file: file)
      }
      guard lowest < highest else { return IntensityMap(shift: lowest, scale: 0, clips: clips) }
      let floor = from ?? (selection == .positive && low == 0 ? 0 : .infinity)
      for (statistics, first, last) in [(selected, low, high), (all, low, high), (all, 0, 100)] {
        guard let a = statistics.percentile(first), let b = statistics.percentile(last) else {
          continue
        }
        // An upper end may lie at or below the floor, in an image whose positive voxels are none.
        let start = b > min(a, floor) ? min(a, floor) : a
        if start < b { return IntensityMap(shift: start, scale: b - start, clips: clips) }
      }
      return IntensityMap(shift: lowest, scale: highest - lowest, clips: clips)
    case .zScore(let selection):
      for selection in [selection, .all] {
        if let (mean, deviation) = Self.moments(of: voxels, selection), deviation > 0 {
          return IntensityMap(shift: mean, scale: deviation)
        }
      }
      guard let constant = voxels.first(where: \.isFinite) else {
        throw .noFiniteVoxel(file: file)
      }
      return IntensityMap(shift: Double(constant), scale: 0)
    }
  }

  /// What is wrong with the parameters, if anything.
  private var problem: ImagingError? {
    switch self {
    case .window(let low, let high, _):
      guard low.isFinite, high.isFinite, low < high else {
        return .invalidParameter(
          name: "intensity window", value: "\(low) ... \(high)",
          reason: "both ends must be finite and the lower below the upper")
      }
    case .percentile(let low, let high, _, _, let from):
      guard from?.isFinite != false else {
        return .invalidParameter(
          name: "percentile range", value: "from \(from ?? 0)", reason: "it must be finite")
      }
      guard low >= 0, high <= 100, low < high else {
        return .invalidParameter(
          name: "percentile range", value: "\(low) ... \(high)",
          reason: "percentiles lie in 0 ... 100, the lower below the upper")
      }
    case .zScore: break
    }
    return nil
  }

  /// Mean and population standard deviation by two passes; exactly 0 for equal values.
  private static func moments(
    of voxels: [Float], _ selection: OrderStatistics.Selection
  ) -> (mean: Double, deviation: Double)? {
    var sum = 0.0
    var count = 0.0
    var lowest = Float.infinity
    var highest = -Float.infinity
    for voxel in voxels where selection.includes(voxel) {
      sum += Double(voxel)
      count += 1
      lowest = min(lowest, voxel)
      highest = max(highest, voxel)
    }
    guard count > 0 else { return nil }
    guard lowest < highest else { return (Double(lowest), 0) }
    let mean = sum / count
    var squares = 0.0
    for voxel in voxels where selection.includes(voxel) {
      squares += (Double(voxel) - mean) * (Double(voxel) - mean)
    }
    return (mean, (squares / count).squareRoot())
  }
}

// MARK: - Codable

extension IntensityNormalization: Codable {
  private enum Kind: String, Codable {
    case window
    case percentile
    case zScore = "z-score"
  }

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case kind
    case low
    case high
    case voxels
    case clip
    case from
  }

  /// Any key, to see those that do not belong.
  private struct AnyKey: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// Reads a normalisation; a key that its kind does not have is an error, as is an empty range.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let allowed: Set<CodingKeys>
    switch try container.decode(Kind.self, forKey: .kind) {
    case .window:
      allowed = [.kind, .low, .high, .clip]
      self = .window(
        low: try container.decode(Double.self, forKey: .low),
        high: try container.decode(Double.self, forKey: .high),
        clips: try container.decodeIfPresent(Bool.self, forKey: .clip) ?? false)
    case .percentile:
      allowed = [.kind, .low, .high, .voxels, .clip, .from]
      self = .percentile(
        low: try container.decode(Double.self, forKey: .low),
        high: try container.decode(Double.self, forKey: .high),
        of: try container.decodeIfPresent(OrderStatistics.Selection.self, forKey: .voxels) ?? .all,
        clips: try container.decodeIfPresent(Bool.self, forKey: .clip) ?? false,
        from: try container.decodeIfPresent(Double.self, forKey: .from))
    case .zScore:
      allowed = [.kind, .voxels]
      self = .zScore(
        of: try container.decodeIfPresent(OrderStatistics.Selection.self, forKey: .voxels) ?? .all)
    }
    let keys = try decoder.container(keyedBy: AnyKey.self).allKeys.map(\.stringValue)
    if let surplus = keys.sorted().first(where: { key in
      !allowed.contains { $0.rawValue == key }
    }) {
      throw DecodingError.dataCorruptedError(
        forKey: .kind, in: container, debugDescription: "normalization has no key \"\(surplus)\"")
    }
    if let problem {
      throw DecodingError.dataCorruptedError(
        forKey: .low, in: container, debugDescription: "\(problem)")
    }
  }

  /// Writes all keys of the kind.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .window(let low, let high, let clips):
      try container.encode(Kind.window, forKey: .kind)
      try container.encode(low, forKey: .low)
      try container.encode(high, forKey: .high)
      try container.encode(clips, forKey: .clip)
    case .percentile(let low, let high, let selection, let clips, let from):
      try container.encode(Kind.percentile, forKey: .kind)
      try container.encode(low, forKey: .low)
      try container.encode(high, forKey: .high)
      try container.encode(selection, forKey: .voxels)
      try container.encode(clips, forKey: .clip)
      try container.encodeIfPresent(from, forKey: .from)
    case .zScore(let selection):
      try container.encode(Kind.zScore, forKey: .kind)
      try container.encode(selection, forKey: .voxels)
    }
  }
}
