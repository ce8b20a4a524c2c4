/// Matrix products with weights packed once, and the fused feed-forward built on them.
///
/// All matrices are row-major float32; strides count floats between rows. No argument may alias
/// another unless it says so. Callers split work over threads by row ranges.
#ifndef RESTORE_KERNELS_GEMM_H
#define RESTORE_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/// Columns per panel of packed weights, the same at every instruction-set level.
enum { K_GEMM_PANEL = 16 };

typedef enum {
  K_ACT_NONE = 0,
  K_ACT_RELU,
  K_ACT_RELU_SQUARED,  // max(x, 0)²
  K_ACT_SIGMOID,
} k_activation;

/// What happens to a product before it is stored:
/// `y = activation(x·B + bias) · multiply · scale + residual`, plus the old `y` if `accumulate`.
typedef struct {
  const float *bias;  // [N] or NULL
  k_activation activation;
  float *kept;  // [rows, N] or NULL: gets what is multiplied, for a backward pass
  size_t kept_stride;
  const float *multiply;  // [rows, N] or NULL
  size_t multiply_stride;
  const float *scale;     // [N] or NULL
  const float *residual;  // [rows, N] or NULL; may be y itself
  size_t residual_stride;
  bool accumulate;
} k_epilogue;

/// Floats that the packed form of a `[k, n]` matrix takes: `ceil(n / 16) · k · 16`.
size_t k_gemm_packed_count(size_t k, size_t n);

/// Packs `b`, element `(i, j)` at `b[i·stride_k + j·stride_n]`, into panels
/// `packed: [ceil(n / 16)][k][16]`, zeros in the columns beyond n. The form does not depend on the
/// level. For a checkpoint's `[out, in]` weight: `k = in`, `n = out`, `stride_k = 1`,
/// `stride_n = in`.
void k_gemm_pack(float *packed, const float *b, size_t k, size_t n, size_t stride_k,
                 size_t stride_n);

/// Writes `y: [rows, n] = epilogue(x: [rows, k] · B)`; `packed` from `k_gemm_pack(k, n)`. The
/// epilogue may be NULL (plain product). A row's result does not depend on the other rows of the
/// call.
void k_gemm(float *y, size_t y_stride, const float *x, size_t x_stride, const float *packed,
            const k_epilogue *epilogue, size_t rows, size_t n, size_t k);

/// `c: [n, k] = aᵀ · b`, the gradient of a `[n, k]` weight over a range of rows:
/// `c[i][j] = Σ_r a[r][i] · b[r][j]` for `a: [rows, n]`, `b: [rows, k]`; added to `c` if
/// `accumulate`. Sums rows in order, so chunks of fixed size give fixed bits.
void k_gemm_tn(float *c, const float *a, size_t a_stride, const float *b, size_t b_stride,
               bool accumulate, size_t rows, size_t n, size_t k);

/// Floats of scratch that `k_feed_forward` needs.
size_t k_feed_forward_scratch_count(size_t c, size_t hidden);

/// The channel mixing of RWKV-like blocks without its hidden tensor ever leaving the cache:
/// `y = residual + scale · σ(gate_x·Wr) · (max(x·Wk, 0)² · Wv)`, `x, gate_x: [rows, c]` contiguous,
/// rows of `y` `y_stride` floats apart.
///
/// `gate_x` may be `x`. `scale: [c]` or NULL; `residual: [rows, c]` or NULL, may be a contiguous
/// `y`. `packed_key` is a `[c, hidden]` matrix, `packed_receptance` `[c, c]`, `packed_value`
/// `[hidden, c]`. `scratch` holds `k_feed_forward_scratch_count` floats and belongs to this call
/// alone.
void k_feed_forward(float *y, size_t y_stride, const float *x, const float *gate_x,
                    const float *residual, const float *scale, const float *packed_key,
                    const float *packed_receptance, const float *packed_value, float *scratch,
                    size_t rows, size_t c, size_t hidden);

/// As `k_feed_forward`, and leaves σ(gate_x·Wr) in `gate: [rows, c]` and `max(x·Wk, 0)² · Wv` in
/// `product: [rows, c]` for the backward pass. `y`, contiguous, has the same bits.
void k_feed_forward_keeping(float *y, float *gate, float *product, const float *x,
                            const float *gate_x, const float *residual, const float *scale,
                            const float *packed_key, const float *packed_receptance,
                            const float *packed_value, float *scratch, size_t rows, size_t c,
                            size_t hidden);

#endif
