public import TensorCore

extension Module {
  /// Loads a state dictionary by name; nothing changes unless all of it fits.
  ///
  /// - Parameter tensors: A tensor for every parameter and buffer. Derived entries and batch counters
  ///   (`num_batches_tracked`) may be absent; derived entries are not used.
  /// - Throws: ``LayerError/stateMismatch(missing:surplus:misshapen:)`` with all differences at once.
  public func load(_ tensors: [String: Tensor]) throws(LayerError) {
    try load(shapes: tensors.mapValues(\.shape)) { name, destination in
      tensors[name]?.withValues { _ = destination.initialize(from: $0) }
    }
  }

  /// Loads a state dictionary from a file by name; nothing changes unless all of it fits.
  ///
  /// - Parameters:
  ///   - file: Holds a tensor for every parameter and buffer. Derived entries and batch counters
  ///     (`num_batches_tracked`) may be absent; derived entries are not used.
  ///   - prefix: Stands before every name in the file; tensors whose names begin otherwise are left
  ///     alone.
  /// - Throws: ``LayerError/stateMismatch(missing:surplus:misshapen:)`` with all differences at once,
  ///   by names without the prefix.
  public func load(_ file: Safetensors, prefix: String = "") throws(LayerError) {
    let entries = Dictionary(
      uniqueKeysWithValues: file.entries.filter { $0.name.hasPrefix(prefix) }
        .map { (String($0.name.dropFirst(prefix.count)), $0) })
    try load(shapes: entries.mapValues(\.shape)) { name, destination in
      if let entry = entries[name] { file.copy(entry, into: destination) }
    }
  }

  /// Compares the names and shapes of a PyTorch checkpoint with this module's; no tensor is read.
  public func compare(with checkpoint: TorchCheckpoint) -> StateComparison {
    StateComparison(of: checkpoint.shapes, with: state)
  }

  /// Loads a PyTorch checkpoint by name; nothing is read or changed unless all of it fits.
  ///
  /// - Parameters:
  ///   - checkpoint: Holds a tensor for every parameter and buffer. Derived entries and batch counters
  ///     (`num_batches_tracked`) may be absent; derived entries are not used.
  ///   - allowsMissing: Whether other entries may be absent too; they keep their values.
  /// - Throws: ``LayerError/stateMismatch(missing:surplus:misshapen:)`` with all differences at once.
  public func load(
    _ checkpoint: TorchCheckpoint, allowsMissing: Bool = false
  ) throws(LayerError) {
    try load(shapes: checkpoint.shapes, allowsMissing: allowsMissing) { name, destination in
      checkpoint.copy(name, into: destination)
    }
  }

  private func load(
    shapes: [String: Shape], allowsMissing: Bool = false,
    copy: (String, UnsafeMutableBufferPointer<Float>) -> Void
  ) throws(LayerError) {
    let state = self.state
    let comparison = StateComparison(of: shapes, with: state)
    let missing = allowsMissing ? [] : comparison.missing
    guard missing.isEmpty, comparison.surplus.isEmpty, comparison.misshapen.isEmpty else {
      throw .stateMismatch(
        missing: missing, surplus: comparison.surplus, misshapen: comparison.misshapen)
    }
    try checkScalars(of: state, shapes: shapes, copy: copy)
    for entry in state where shapes[entry.name] != nil {
      switch entry.content {
      case .parameter(let parameter), .buffer(let parameter):
        parameter.update { copy(entry.name, $0) }
      case .derived: break
      }
    }
  }
}

extension Module {
  /// Makes sure that derived scalars, which repeat sizes of the module, say what the module says.
  private func checkScalars(
    of state: [StateEntry], shapes: [String: Shape],
    copy: (String, UnsafeMutableBufferPointer<Float>) -> Void
  ) throws(LayerError) {
    for entry in state where shapes[entry.name] == .scalar {
      guard case .derived(let compute) = entry.content else { continue }
      let stored = Tensor(.scalar) { copy(entry.name, $0) }.scalar
      let own = compute().scalar
      guard stored == own else {
        throw .invalidLayer(
          layer: entry.name, rule: "the weights say \(stored), the model has \(own)")
      }
    }
  }
}
