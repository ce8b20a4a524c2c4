extension DecodingError {
  /// What is wrong and where, without the names of this program's types.
  package var reason: String {
    switch self {
    case .keyNotFound(let key, let context):
      "\(Self.place(context))`\(key.stringValue)` is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "\(Self.place(context))the value has the wrong type"
    case .dataCorrupted(let context):
      Self.place(context) + context.debugDescription
    @unknown default: "it cannot be decoded"
    }
  }

  private static func place(_ context: Context) -> String {
    let keys = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
    return keys.isEmpty ? "" : "in \(keys.joined(separator: ".")): "
  }
}
