import Foundation

/// How many threads a process may use.
public enum ThreadCount {
  /// The number of processors that this process is allowed to use.
  ///
  /// The least of its affinity mask, its cgroup's quota and `SLURM_CPUS_PER_TASK`; at least 1. Never
  /// simply the host's cores.
  public static var allowed: Int {
    var count = affinity ?? ProcessInfo.processInfo.activeProcessorCount
    if let quota = cgroupQuota { count = min(count, quota) }
    if let slurm = ProcessInfo.processInfo.environment["SLURM_CPUS_PER_TASK"].flatMap(Int.init) {
      count = min(count, slurm)
    }
    return max(1, count)
  }

  private static var affinity: Int? {
    #if os(Linux)
      guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
        let line = status.split(separator: "\n").first(where: {
          $0.hasPrefix("Cpus_allowed_list:")
        })
      else { return nil }
      return count(inCPUList: line.dropFirst("Cpus_allowed_list:".count))
    #else
      return nil
    #endif
  }

  /// The number of processors in a kernel list such as `0-3,8`; nil if it is malformed.
  package static func count(inCPUList list: some StringProtocol) -> Int? {
    var total = 0
    for part in list.split(separator: ",") {
      let bounds = part.split(separator: "-").map {
        Int($0.trimmingCharacters(in: .whitespaces))
      }
      guard let first = bounds.first, let low = first, let last = bounds.last, let high = last,
        high >= low, bounds.count <= 2
      else { return nil }
      total += high - low + 1
    }
    return total > 0 ? total : nil
  }

  private static var cgroupQuota: Int? {
    if let text = try? String(contentsOfFile: "/sys/fs/cgroup/cpu.max", encoding: .utf8) {
      return quota(cpuMax: text)
    }
    let folder = "/sys/fs/cgroup/cpu/"
    guard
      let quota = try? String(contentsOfFile: folder + "cpu.cfs_quota_us", encoding: .utf8),
      let period = try? String(contentsOfFile: folder + "cpu.cfs_period_us", encoding: .utf8)
    else { return nil }
    return self.quota(cpuMax: quota.trimmingCharacters(in: .whitespacesAndNewlines) + " " + period)
  }

  /// Whole processors in a cgroup's `quota period` line, at least 1; nil without a limit.
  package static func quota(cpuMax text: String) -> Int? {
    let fields = text.split(whereSeparator: \.isWhitespace)
    guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]),
      quota > 0, period > 0
    else { return nil }
    return max(1, Int((quota / period).rounded(.down)))
  }
}
