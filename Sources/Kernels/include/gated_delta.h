/// The gated delta rule over tokens: a linear memory that forgets, erases and writes.
///
/// Per sequence (one batch item and head) with state `S: [key_dim, value_dim]`,
///
///     S̃ = α_t·S_{t−1};   u_t = β_t·(v_t − S̃ᵀk_t);   S_t = S̃ + k_t·u_tᵀ;   o_t = S_tᵀq_t
///
/// with α in (0, 1] and β in (0, 1). Two forms of the same numbers:
///
/// **Recurrent**, one token after another: for streams. Columns of the state are independent.
///
/// **Chunked**, `K_GATED_DELTA_CHUNK` tokens at a time as matrix products: for training. With rows
/// as tokens, c_i the sum of ln α up to token i of the chunk and Γ_ij = exp(c_i − c_j), j ≤ i,
///
///     A_ij = β_i·(k_i·k_j)·Γ_ij (j < i);   T = (I + A)⁻¹;   Ũ = T(β⊙V);   W = T(β⊙exp(c)⊙K)
///     U = Ũ − W·S;   O = exp(c)⊙(Q·S) + ((Q·Kᵀ)⊙Γ)·U;   S' = exp(c_C)·S + (exp(c_C − c)⊙K)ᵀ·U
///
/// All exponents are ≤ 0, so nothing overflows whatever the length.
///
/// Source: Yang, Kautz, Hatamizadeh, *Gated Delta Networks*, ICLR 2025, §3.3, here with the
/// transposed state.
///
/// Arrays are dense, row-major: `q, k: [tokens, key_dim]`, `v, y, u: [tokens, value_dim]`,
/// `alpha, beta: [tokens]`, `states: [chunks, key_dim, value_dim]` (the state before each of the
/// `ceil(tokens / K_GATED_DELTA_CHUNK)` chunks).
/// No argument may alias another. Sequences are independent; calls for different sequences or, where
/// a function takes a range of columns, for disjoint ranges may run on any thread.
#ifndef RESTORE_KERNELS_GATED_DELTA_H
#define RESTORE_KERNELS_GATED_DELTA_H

#include <stddef.h>

/// Tokens of a chunk, the same at every instruction-set level.
enum { K_GATED_DELTA_CHUNK = 32 };

/// Sizes of one sequence, all ≥ 1.
typedef struct {
  size_t tokens, key_dim, value_dim;
} k_gated_delta_sizes;

/// Token by token: writes columns `first ..< first + columns` of y and u, of the states before each
/// chunk, and of `state`, which holds the initial state before and the final one after. `u` and
/// `states` may be NULL.
void k_gated_delta_recurrent(float *y, float *state, float *u, float *states, const float *q,
                             const float *k, const float *v, const float *alpha,
                             const float *beta, const k_gated_delta_sizes *sizes, size_t first,
                             size_t columns);

/// Floats of what `k_gated_delta_prepare` leaves for `k_gated_delta_scan`, per chunk.
size_t k_gated_delta_prepared_count(size_t key_dim);

/// First pass of the chunked form, for one chunk alone: writes the chunk's rows of `u` (Ũ) and its
/// `prepared` block.
void k_gated_delta_prepare(float *u, float *prepared, const float *q, const float *k,
                           const float *v, const float *alpha, const float *beta,
                           const k_gated_delta_sizes *sizes, size_t chunk);

/// Second pass, over all chunks in order: turns the columns of `u` from Ũ into U, writes those of y
/// and `states` and advances those of `state`. `prepared` holds the blocks of all chunks.
void k_gated_delta_scan(float *y, float *state, float *u, float *states, const float *prepared,
                        const float *q, const float *k, const k_gated_delta_sizes *sizes,
                        size_t first, size_t columns);

/// Floats of scratch that `k_gated_delta_backward` needs.
size_t k_gated_delta_scratch_count(const k_gated_delta_sizes *sizes);

/// Gradients of either form, chunk by chunk from the end; `u` and `states` as forward left them.
///
/// Writes dq, dk, dv, dalpha and dbeta; `dstate` holds the gradient of the final state before and
/// that of the initial state after. `scratch` belongs to this call alone.
void k_gated_delta_backward(float *dq, float *dk, float *dv, float *dalpha, float *dbeta,
                            float *dstate, float *scratch, const float *dy, const float *q,
                            const float *k, const float *v, const float *alpha,
                            const float *beta, const float *u, const float *states,
                            const k_gated_delta_sizes *sizes);

#endif
