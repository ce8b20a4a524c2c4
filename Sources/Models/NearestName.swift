/// The known name that is most like a mistyped one, nil if none is alike.
///
/// Alike means that at most a third of the letters (but always one, and of four letters or more always two, as
/// two that changed places) must be inserted, deleted or replaced.
package func nearestName(to name: String, among known: some Sequence<String>) -> String? {
  let limit = max(name.count < 4 ? 1 : 2, name.count / 3)
  return known.map { ($0, editDistance(name, $0)) }
    .filter { $0.1 <= limit }
    .min { ($0.1, $0.0) < ($1.1, $1.0) }?.0
}

/// Levenshtein's distance.
private func editDistance(_ a: String, _ b: String) -> Int {
  let b = Array(b)
  var row = Array(0...b.count)
  for (i, letter) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let replaced = diagonal + (letter == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
    }
  }
  return row[b.count]
}
