/// The rules of the safetensors format, by the words with which an error names them.
///
/// Stricter than the reference reader: a name may occur only once, and a tensor's entry holds its
/// three keys and nothing else. All rules are checked before memory of any declared size is taken.
public enum WeightsRule: String, CaseIterable, Sendable {
  /// The length of the header takes 8 bytes.
  case fileLength = "file is shorter than 8 bytes"
  /// A header of more than 100 000 000 bytes is refused.
  case headerLength = "header is longer than 100000000 bytes"
  /// The header must lie inside the file.
  case headerEnd = "header ends past the end of the file"
  /// The header is UTF-8.
  case encoding = "header is not UTF-8"
  /// The header's first byte is `{`.
  case openingBrace = "header does not start with {"
  /// The header is one JSON object, and nothing but white space follows it.
  case syntax = "header is not JSON"
  /// No object has a key twice.
  case duplicateKey = "duplicate key"
  /// `__metadata__` maps text to text.
  case metadata = "metadata is not text"
  /// A tensor has `dtype`, `shape` and `data_offsets`, of the right kinds.
  case tensorEntry = "malformed tensor entry"
  /// There are at most 1 000 000 tensors.
  case tensorCount = "more than 1000000 tensors"
  /// The type is one that this reader knows.
  case dataType = "unsupported data type"
  /// Sizes are not negative.
  case negativeSize = "negative size in a shape"
  /// A tensor's size in bytes fits into 64 bits.
  case sizeOverflow = "shape overflows"
  /// A tensor's interval lies inside the file, with its begin not after its end.
  case interval = "data interval outside the file"
  /// A tensor's interval is as long as its shape and type say.
  case byteCount = "data interval does not match shape and type"
  /// No two tensors share bytes.
  case overlap = "tensors overlap"
  /// Every byte after the header belongs to a tensor.
  case hole = "bytes that belong to no tensor"
}
