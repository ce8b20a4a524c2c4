/// Stops the program with a message unless a condition holds.
///
/// Takes the place of the standard function of this name in this package: that one says nothing in a
/// release build, and whoever mixes up two shapes would see only that the program crashed.
///
/// - Parameters:
///   - condition: What must hold.
///   - message: Names the operation and the shapes; evaluated only if the condition does not hold.
///   - file: Of the caller.
///   - line: Of the caller.
package func precondition(
  _ condition: @autoclosure () -> Bool,
  _ message: @autoclosure () -> String = "a programmer's error", file: StaticString = #fileID,
  line: UInt = #line
) {
  if !condition() { fatalError(message(), file: file, line: line) }
}

/// Stops the program with a message, in release builds too.
///
/// - Parameters:
///   - message: Says what cannot be.
///   - file: Of the caller.
///   - line: Of the caller.
package func preconditionFailure(
  _ message: @autoclosure () -> String = "a programmer's error", file: StaticString = #fileID,
  line: UInt = #line
) -> Never {
  fatalError(message(), file: file, line: line)
}
