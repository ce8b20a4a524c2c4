import Foundation
import TensorCore

/// The seconds of repeated runs.
public struct Timing: Sendable, Encodable {
  /// One number a run, in the order of the runs.
  public let seconds: [Double]
  /// Half of the runs were faster.
  public let median: Double
  /// A quarter of the runs were faster.
  public let firstQuartile: Double
  /// Three quarters of the runs were faster.
  public let thirdQuartile: Double

  /// The order statistics of runs; linear interpolation between neighbours.
  ///
  /// - Parameter seconds: At least one.
  public init(_ seconds: [Double]) {
    precondition(!seconds.isEmpty, "timing: no runs")
    let sorted = seconds.sorted()
    func quantile(_ part: Double) -> Double {
      let position = part * Double(sorted.count - 1)
      let low = Int(position)
      let high = min(low + 1, sorted.count - 1)
      return sorted[low] + (position - Double(low)) * (sorted[high] - sorted[low])
    }
    self.seconds = seconds
    median = quantile(0.5)
    firstQuartile = quantile(0.25)
    thirdQuartile = quantile(0.75)
  }
}

/// Something to be timed: what comes before each run is not counted.
struct Subject {
  /// Called before `run` and not timed.
  var prepare: () -> Void = {}
  /// Called and timed.
  let run: () -> Void

  /// Times several subjects by turns, so that whatever else happens on the machine meets all alike.
  ///
  /// Short ones are run several times in a row and divided. Each is run once before, not timed.
  ///
  /// - Parameters:
  ///   - subjects: What is compared.
  ///   - seconds: How long to go on, about; at least `rounds` rounds are done in any case.
  ///   - rounds: The least number of rounds.
  /// - Returns: The time of one run of each subject.
  static func times(
    of subjects: [Subject], seconds: Double = 0.25, rounds: Int = 7
  ) -> [Timing] {
    Engine.shared.perform {
      let first = subjects.map { subject in
        subject.prepare()
        subject.run()
        subject.prepare()
        return clocked(subject.run)
      }
      // A clock's tick and a call are nothing next to a millisecond.
      let repeats = first.map { max(1, Int((1e-3 / max($0, 1e-9)).rounded(.up))) }
      let round = zip(first, repeats).reduce(0) { $0 + $1.0 * Double($1.1) }
      let count = min(200, max(rounds, Int(seconds / max(round, 1e-9))))
      var samples = [[Double]](repeating: [], count: subjects.count)
      for _ in 0..<count {
        for (index, subject) in subjects.enumerated() {
          var total = 0.0
          for _ in 0..<repeats[index] {
            subject.prepare()
            total += clocked(subject.run)
          }
          samples[index].append(total / Double(repeats[index]))
        }
      }
      return samples.map(Timing.init)
    }
  }
}

/// The seconds that a call takes.
func clocked(_ body: () -> Void) -> Double {
  let start = ContinuousClock.now
  body()
  let time = start.duration(to: .now).components
  return Double(time.seconds) + Double(time.attoseconds) * 1e-18
}
