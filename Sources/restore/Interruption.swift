import Foundation
import Imaging
import Synchronization

/// SIGINT and SIGTERM: the first asks for a clean stop after the current step, the second ends the
/// program at once.
enum Interruption {
  private static let received = Atomic<Int32>(0)

  /// The signal that asked for a stop, or nil.
  static var signal: Int32? {
    let number = received.load(ordering: .acquiring)
    return number == 0 ? nil : number
  }

  /// Begins to listen.
  static func install() {
    // A reader that went away must not end the program between two files.
    Foundation.signal(SIGPIPE, SIG_IGN)
    // A limit on the size of files is an error of writing like any other.
    Foundation.signal(SIGXFSZ, SIG_IGN)
    // A parent whose thread blocks signals passes that on to its children.
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    for number in [SIGINT, SIGTERM] {
      Foundation.signal(number) { number in
        // Only async-signal-safe work here.
        if Interruption.received.exchange(number, ordering: .acquiringAndReleasing) != 0 {
          _exit(128 + number)
        }
      }
    }
  }

  /// The failure that ends a command after a clean stop.
  static func failure(_ hint: String) -> CommandFailure {
    let number = signal ?? SIGINT
    return CommandFailure(
      code: 128 + number, kind: "interrupted", what: "interrupted",
      cause: number == SIGTERM ? "SIGTERM was received" : "SIGINT was received", advice: hint)
  }
}
