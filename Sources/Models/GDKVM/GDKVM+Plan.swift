public import TensorCore

// Steps of a running clip as inference plans.
extension GDKVM {
  /// A plan of one step of a running clip.
  ///
  /// Its inputs are the frames `[B, H, W, C]` and the ``GDKVMState/tensors`` of the last step; its results
  /// the log-odds `[B, H, W, N + 1]` and the tensors of the new state.
  ///
  /// - Parameters:
  ///   - frames: The shape of the frames, H and W multiples of 16.
  ///   - state: A state of the shapes in question; its values do not matter.
  ///   - precision: Of the operations that have a choice.
  /// - Returns: A plan for every frame but the first.
  /// - Throws: ``PlanError`` if the network looks at values while it computes.
  public func stepPlan(
    frames: Shape, state: GDKVMState, precision: Precision = .float32
  ) throws(PlanError) -> InferencePlan {
    try InferencePlan(
      [frames] + state.tensors.map(\.shape), precision: precision, parameters: plannedParameters
    ) { inputs in
      let state = GDKVMState(tensors: Array(inputs.dropFirst()))
      let (frame, next) = self.step(self.encoded(inputs[0]), state: state)
      return [frame.logits] + next.tensors
    }
  }
}

extension GDKVMState {
  /// All that is carried: memory, sensory, summary, masks, pixel features.
  public var tensors: [Tensor] { [memory, sensory, summary, masks, pixels] }

  /// A state of five tensors in the order of ``tensors``.
  public init(tensors: [Tensor]) {
    precondition(tensors.count == 5, "gdkvm: a state of \(tensors.count) tensors, not 5")
    self.init(
      memory: tensors[0], sensory: tensors[1], summary: tensors[2], masks: tensors[3],
      pixels: tensors[4])
  }
}
