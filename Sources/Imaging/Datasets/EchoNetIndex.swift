import Foundation

/// The tables of EchoNet-Dynamic: which videos there are, how they are split, and the outlines of the
/// left ventricle traced in two frames of each.
///
/// `FileList.csv` (one row per video) and `VolumeTracings.csv` (one row per chord: the first of a frame
/// is the long axis, the others cross it). The videos themselves are not read.
///
/// Source: Ouyang et al., *Video-Based AI for Beat-to-Beat Assessment of Cardiac Function*, Nature 580,
/// 2020.
public struct EchoNetIndex: Sendable, Equatable {
  /// One video.
  public struct Video: Sendable, Equatable {
    /// The name without an ending.
    public let name: String
    /// Percent, by the readers.
    public let ejectionFraction: Double
    /// `TRAIN`, `VAL` or `TEST`.
    public let split: String
    /// The number of frames.
    public let frameCount: Int
    /// The outlines by frame.
    public let tracings: [Int: Tracing]

    /// The frame with the larger outline and the other one; nil unless there are two outlines.
    public var phases: (endDiastole: Int, endSystole: Int)? {
      guard tracings.count == 2 else { return nil }
      let ordered = tracings.sorted { ($0.value.area, $1.key) > ($1.value.area, $0.key) }
      return (ordered[0].key, ordered[1].key)
    }

    /// The frames that the authors of GDKVM take: from end-diastole to end-systole, evenly spaced,
    /// around the end of the video if need be.
    public func sampledFrames(_ wanted: Int = 10) -> [Int]? {
      guard let phases, frameCount > 0 else { return nil }
      let distance =
        ((phases.endSystole - phases.endDiastole) % frameCount + frameCount) % frameCount
      return CAMUSFolder.sampledFrames(of: distance + 1, wanted: wanted)
        .map { (phases.endDiastole + $0) % frameCount }
    }
  }

  /// An outline as chords, in pixels.
  public struct Tracing: Sendable, Equatable {
    /// Both ends of each chord; the first is the long axis.
    public let chords: [(x1: Double, y1: Double, x2: Double, y2: Double)]

    /// Compares all chords.
    public static func == (a: Tracing, b: Tracing) -> Bool {
      a.chords.elementsEqual(b.chords) { $0 == $1 }
    }

    /// The corners: down one side, up the other, without the long axis, rounded to pixels.
    public var polygon: [(x: Int, y: Int)] {
      func rounded(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }
      let crossing = chords.dropFirst()
      var corners: [(x: Int, y: Int)] = []
      for chord in crossing { corners.append((rounded(chord.x1), rounded(chord.y1))) }
      for chord in crossing.reversed() { corners.append((rounded(chord.x2), rounded(chord.y2))) }
      return corners
    }

    /// Twice the polygon's area.
    var area: Int {
      let corners = polygon
      return abs(
        corners.indices.reduce(0) { sum, index in
          let (a, b) = (corners[index], corners[(index + 1) % corners.count])
          return sum + a.x * b.y - b.x * a.y
        })
    }

    /// The polygon filled, its border included, row by row.
    public func mask(height: Int, width: Int) -> [Bool] {
      let corners = polygon
      var mask = [Bool](repeating: false, count: height * width)
      for y in 0..<height {
        for x in 0..<width where Self.contains(corners, x, y) { mask[y * width + x] = true }
      }
      return mask
    }

    /// Whether a pixel's centre lies in a polygon or on its border, in whole numbers.
    private static func contains(_ corners: [(x: Int, y: Int)], _ x: Int, _ y: Int) -> Bool {
      var isInside = false
      for index in corners.indices {
        let (a, b) = (corners[index], corners[(index + 1) % corners.count])
        let cross = (b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x)
        if cross == 0, min(a.x, b.x) <= x, x <= max(a.x, b.x), min(a.y, b.y) <= y,
          y <= max(a.y, b.y)
        {
          return true
        }
        // The ray to the right crosses the edge: the sign of the cross product tells the side.
        if (a.y > y) != (b.y > y), (cross > 0) == (b.y > a.y) { isInside.toggle() }
      }
      return isInside
    }
  }

  /// All videos, in the order of `FileList.csv`.
  public let videos: [Video]

  /// Reads the two tables of a folder.
  ///
  /// - Throws: ``ImagingError/noSuchFile(file:reason:)``, or
  ///   ``ImagingError/unsupportedFormat(file:reason:)`` naming the line that is not right.
  public init(folder: String) throws(ImagingError) {
    let tracings = try Self.table(
      folder + "/VolumeTracings.csv", ["FileName", "X1", "Y1", "X2", "Y2", "Frame"])
    var chords: [String: [Int: [(x1: Double, y1: Double, x2: Double, y2: Double)]]] = [:]
    for row in tracings.rows {
      let numbers = row.values.dropFirst().compactMap { Double($0) }
      // Corners are whole pixels.
      guard numbers.count == 5, numbers.allSatisfy({ $0.magnitude < 1e6 }),
        let frame = Int(exactly: numbers[4])
      else {
        throw tracings.invalid(row.line)
      }
      chords[Self.name(row.values[0]), default: [:]][frame, default: []].append(
        (numbers[0], numbers[1], numbers[2], numbers[3]))
    }
    let list = try Self.table(
      folder + "/FileList.csv", ["FileName", "EF", "Split", "NumberOfFrames"])
    var videos: [Video] = []
    for row in list.rows {
      guard let ejection = Double(row.values[1]), let frames = Int(row.values[3]) else {
        throw list.invalid(row.line)
      }
      let name = Self.name(row.values[0])
      videos.append(
        Video(
          name: name, ejectionFraction: ejection, split: row.values[2], frameCount: frames,
          tracings: (chords[name] ?? [:]).mapValues { Tracing(chords: $0) }))
    }
    self.videos = videos
  }

  private static func name(_ file: String) -> String {
    file.hasSuffix(".avi") ? String(file.dropLast(4)) : file
  }

  /// Some columns of a table, row by row with line numbers from 1.
  private struct Table {
    let file: String
    var rows: [(line: Int, values: [String])] = []

    func invalid(_ line: Int) -> ImagingError {
      .unsupportedFormat(file: file, reason: "line \(line) has a value that is not a number")
    }
  }

  private static func table(
    _ file: String, _ columns: [String]
  ) throws(ImagingError) -> Table {
    guard let data = FileManager.default.contents(atPath: file),
      let text = String(data: data, encoding: .utf8)
    else { throw .noSuchFile(file: file, reason: nil) }
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    let header = lines.first.map { $0.split(separator: ",").map(String.init) } ?? []
    var positions: [Int] = []
    for column in columns {
      guard let position = header.firstIndex(of: column) else {
        throw .unsupportedFormat(file: file, reason: "it has no column \(column)")
      }
      positions.append(position)
    }
    var table = Table(file: file)
    for (index, line) in lines.enumerated().dropFirst() where !line.isEmpty {
      let fields = line.split(separator: ",", omittingEmptySubsequences: false)
      guard fields.count == header.count else {
        throw .unsupportedFormat(
          file: file,
          reason: "line \(index + 1) has \(fields.count) fields, the header \(header.count)")
      }
      table.rows.append((index + 1, positions.map { String(fields[$0]) }))
    }
    return table
  }
}
