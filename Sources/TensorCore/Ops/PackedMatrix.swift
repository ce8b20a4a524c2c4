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

  /// Fills any of the three forms from the plain weight; on the engine thread.
  func pack(
    _ preparation: Preparation, from source: UnsafePointer<Float>,
    into destination: UnsafeMutablePointer<Float>
  ) {
    var destination = destination
    if preparation.key != backward.key {
      Self.pack(source, into: destination, k: inputs, n: out, strides: (1, inputs))
      destination += forwardCount
    }
    if preparation.key != forward.key {
      Self.pack(source, into: destination, k: out, n: inputs, strides: (inputs, 1))
    }
  }

  /// Training packs all weights anew after each step, so the panels are shared by the workers.
  private static func pack(
    _ source: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>, k: Int, n: Int,
    strides: (k: Int, n: Int)
  ) {
    let panel = Int(K_GEMM_PANEL)
    let columns = max(1, ElementChunks.elements / max(1, k * panel)) * panel
    Engine.shared.workers.run(count: n, grain: columns) { range in
      k_gemm_pack(
        destination + range.lowerBound * k, source + range.lowerBound * strides.n, k, range.count,
        strides.k, strides.n)
    }
  }
}
