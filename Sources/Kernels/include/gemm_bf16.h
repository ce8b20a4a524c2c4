/// Matrix products of bfloat16 values, summed in float32.
///
/// Two values next to each other along K form one 32-bit word, the earlier one in the lower half: a
/// row of k values takes `k_bf16_words(k)` words, the last upper half zero where k is odd. Values
/// are rounded to nearest even. Only to be called where `k_has_bf16`, but for packing and sizes,
/// which any CPU can do. Aliasing and threads as in gemm.h.
#ifndef RESTORE_KERNELS_GEMM_BF16_H
#define RESTORE_KERNELS_GEMM_BF16_H

#include <stddef.h>
#include <stdint.h>

#include "gemm.h"

/// Words of a row of k values.
static inline size_t k_bf16_words(size_t k) { return (k + 1) / 2; }

/// Words that the packed form of a `[k, n]` matrix takes: `ceil(n / 16) · words(k) · 16`.
size_t k_gemm_bf16_packed_count(size_t k, size_t n);

/// Rounds and packs `b`, element `(i, j)` at `b[i·stride_k + j·stride_n]`, into panels
/// `packed: [ceil(n / 16)][words(k)][16]`, zeros in the columns beyond n.
void k_gemm_bf16_pack(uint32_t *packed, const float *b, size_t k, size_t n, size_t stride_k,
                      size_t stride_n);

/// Rounds rows: `y: [rows, words(k)]`, dense, from `x: [rows, k]`; times `gate`, of the same shape
/// and stride as x, if that is not NULL.
void k_bf16_round(uint32_t *y, const float *x, const float *gate, size_t x_stride, size_t rows,
                  size_t k);

/// Writes `y: [rows, n] = epilogue(x: [rows, words(k)] · B)`, x dense.
void k_gemm_bf16(float *y, size_t y_stride, const uint32_t *x, const uint32_t *packed,
                 const k_epilogue *epilogue, size_t rows, size_t n, size_t k);

/// Words of scratch that `k_feed_forward_bf16` needs.
size_t k_feed_forward_bf16_scratch_count(size_t c, size_t hidden);

/// `k_feed_forward` of gemm.h with all three products in bfloat16, the hidden values kept as such.
/// Weights from `k_gemm_bf16_pack`; the gate, the scale and the residual sum are float32.
void k_feed_forward_bf16(float *y, size_t y_stride, const float *x, const float *gate_x,
                         const float *residual, const float *scale, const uint32_t *packed_key,
                         const uint32_t *packed_receptance, const uint32_t *packed_value,
                         uint32_t *scratch, size_t rows, size_t c, size_t hidden);

#endif
