import Kernels

/// The packed forms of an `[out, in]` weight, for the products `x · Wᵀ` and `dy · W`.
struct PackedMatrix {
  let out: Int
  let inputs: Int

  init(_ weight: Shape) {
    out = weight[0]
    inputs = weight[1]
  }

  /// Floats of the panels for `x · Wᵀ`.
  var forwardCount: Int { k_gemm_packed_count(inputs, out) }
  /// Floats of the panels for `dy · W`.
  var backwardCount: Int { k_gemm_packed_count(out, inputs) }

  /// Panels for `x · Wᵀ` alone.
  var forward: Preparation {
    Preparation(
      key: PreparationKey("gemm.forward", [out, inputs]), count: forwardCount, replacesValues: true)
  }
  /// Panels for `dy · W` alone.
  var backward: Preparation {
    Preparation(key: PreparationKey("gemm.backward", [out, inputs]), count: backwardCount)
  }
  /// Panels for `x · Wᵀ`, followed by those for `dy · W`: for a backward that recomputes forward.
  var both: Preparation {
    Preparation(
      key: PreparationKey("gemm.both", [out, inputs]), count: forwardCount + backwardCount)
  }

  /// Fills any of the three forms from the plain weight.
  func pack(
    _ preparation: Preparation, from source: UnsafePointer<Float>,
    into destination: UnsafeMutablePointer<Float>
  ) {
    var destination = destination
    if preparation.key != backward.key {
      k_gemm_pack(destination, source, inputs, out, 1, inputs)
      destination += forwardCount
    }
    if preparation.key != forward.key {
      k_gemm_pack(destination, source, out, inputs, inputs, 1)
    }
  }
}
