import Foundation

/// Progress over slices: redrawn on a terminal, elsewhere a line every 10 % or 30 s.
struct ProgressLine {
  private let total: Int
  private let unit: String
  private let start = Date()
  private var lastShown = Date.distantPast
  private var lastTenth = -1

  init(total: Int, unit: String = "slice") {
    self.total = total
    self.unit = unit
  }

  /// Shows how much is done, if it is time to.
  mutating func show(_ done: Int) {
    let now = Date()
    let tenth = 10 * done / max(1, total)
    let isDue =
      Console.shared.isTerminal
      ? now.timeIntervalSince(lastShown) >= 0.1 || done == total
      : tenth > lastTenth || now.timeIntervalSince(lastShown) >= 30
    guard isDue else { return }
    lastShown = now
    lastTenth = tenth
    let seconds = now.timeIntervalSince(start)
    let rate = seconds > 0 ? Double(done) / seconds : 0
    let left = rate > 0 ? Int((Double(total - done) / rate).rounded()) : 0
    let percent = String(format: "%3d", 100 * done / max(1, total))
    let line =
      "[\(percent)%] \(unit) \(done)/\(total)  \(String(format: "%.1f", rate)) \(unit)/s  "
      + "ETA \(left / 60):\(String(format: "%02d", left % 60))  RSS \(Memory.text(Memory.resident))"
    Console.shared.progress(line, done: done, total: total)
  }
}

/// The memory of this process.
enum Memory {
  /// Bytes in use now.
  static var resident: UInt64 { field("VmRSS:") }
  /// The most bytes that were in use at once.
  static var peak: UInt64 { field("VmHWM:") }

  /// A number of bytes as people read it, as in `1.3G`; megabytes are rounded up.
  static func text(_ bytes: UInt64) -> String {
    if bytes >= 1 << 30 { return String(format: "%.1fG", Double(bytes) / Double(1 << 30)) }
    return "\((bytes + (1 << 20) - 1) >> 20)M"
  }

  private static func field(_ name: String) -> UInt64 {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
      let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
      let kilobytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first
        .flatMap({ UInt64($0) })
    else { return 0 }
    return kilobytes << 10
  }
}
