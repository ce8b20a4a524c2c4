import Layers

/// A golden file: a case in one mode, which says itself what to build and what to compare.
struct ParityFile {
  /// What gradients are gradients of.
  enum Loss: String, CaseIterable {
    /// There are no gradients.
    case none
    /// The sum over all outputs of `output · upstream`.
    case upstream
    /// The mean of `|y − target|`.
    case l1
    /// `y` itself.
    case own = "self"
  }

  /// The kinds of tensors, by the beginnings of their names.
  enum Kind: String, CaseIterable {
    case parameter = "param."
    case input = "input."
    case upstream = "upstream."
    case output = "output."
    case inputGradient = "grad.input."
    case parameterGradient = "grad.param."
    case gradientSample = "gradsample.param."
    case gradientStride = "gradstride."
    case gradientSum = "gradsum."
    case gradientNorm = "gradl2."
    case after = "after."
    case expectation = "expect."
    case information = "info."
    case target

    /// Whether tensors of this kind are results to compare with.
    var isCompared: Bool {
      switch self {
      case .output, .inputGradient, .parameterGradient, .gradientSample, .gradientSum,
        .gradientNorm, .after, .expectation:
        true
      case .parameter, .input, .upstream, .gradientStride, .information, .target: false
      }
    }
  }

  /// One tensor of the file.
  struct Item {
    let kind: Kind
    /// The name after the kind.
    let name: String
    let entry: Safetensors.Entry
  }

  static let format = "parity-1"

  let tensors: Safetensors
  let items: [Item]
  let subject: String
  let isTraining: Bool
  let loss: Loss
  let tolerance: ParityTolerance
  let configuration: String

  /// Reads what the file says about itself.
  init(_ tensors: Safetensors) throws(ParityError) {
    func text(_ key: String) throws(ParityError) -> String {
      guard let text = tensors.metadata[key] else { throw .missingMetadata(key) }
      return text
    }
    let format = try text("format")
    guard format == Self.format else { throw .unknownFormat(format) }
    subject = try text("subject")
    configuration = try text("config")
    tolerance = try ParityTolerance(parsing: try text("tolerance"))
    switch try text("mode") {
    case "train": isTraining = true
    case "eval": isTraining = false
    case let mode:
      throw .invalidMetadata(key: "mode", reason: "\"\(mode)\" is neither train nor eval")
    }
    let lossName = try text("loss")
    guard let loss = Loss(rawValue: lossName) else {
      throw .invalidMetadata(key: "loss", reason: "\"\(lossName)\" is not understood")
    }
    self.loss = loss
    self.tensors = tensors
    var items: [Item] = []
    for entry in tensors.entries {
      guard let item = Item(entry) else { throw .unknownTensor(entry.name) }
      items.append(item)
    }
    self.items = items
  }

  /// The tensors of one kind.
  func items(_ kind: Kind) -> [Item] { items.filter { $0.kind == kind } }
}

extension ParityFile.Item {
  /// A tensor of a known kind, nil if its name begins with none.
  fileprivate init?(_ entry: Safetensors.Entry) {
    for kind in ParityFile.Kind.allCases {
      let isMatch =
        kind == .target ? entry.name == kind.rawValue : entry.name.hasPrefix(kind.rawValue)
      guard isMatch else { continue }
      self.kind = kind
      name = String(entry.name.dropFirst(kind.rawValue.count))
      self.entry = entry
      return
    }
    return nil
  }
}
