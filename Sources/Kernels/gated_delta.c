#include "gated_delta.h"

#include "dispatch_internal.h"

K_DISPATCHED(gated_delta_recurrent)
K_DISPATCHED(gated_delta_prepare)
K_DISPATCHED(gated_delta_scan)
K_DISPATCHED(gated_delta_backward)

// Decays (exp(c) and exp(c_C − c)), W, (Q·Kᵀ)⊙Γ.
size_t k_gated_delta_prepared_count(size_t key_dim) {
  return K_GATED_DELTA_CHUNK * (2 + key_dim + K_GATED_DELTA_CHUNK);
}

// See the layout at the head of `gated_delta_backward`.
size_t k_gated_delta_scratch_count(const k_gated_delta_sizes *sizes) {
  const size_t k = sizes->key_dim, v = sizes->value_dim, c = K_GATED_DELTA_CHUNK;
  return 2 * k * v + 5 * c * k + 2 * c * v;
}

void k_gated_delta_recurrent(float *y, float *state, float *u, float *states, const float *q,
                             const float *k, const float *v, const float *alpha,
                             const float *beta, const k_gated_delta_sizes *sizes, size_t first,
                             size_t columns) {
  K_CALL(gated_delta_recurrent)(y, state, u, states, q, k, v, alpha, beta, sizes, first, columns);
}

void k_gated_delta_prepare(float *u, float *prepared, const float *q, const float *k,
                           const float *v, const float *alpha, const float *beta,
                           const k_gated_delta_sizes *sizes, size_t chunk) {
  K_CALL(gated_delta_prepare)(u, prepared, q, k, v, alpha, beta, sizes, chunk);
}

void k_gated_delta_scan(float *y, float *state, float *u, float *states, const float *prepared,
                        const float *q, const float *k, const k_gated_delta_sizes *sizes,
                        size_t first, size_t columns) {
  K_CALL(gated_delta_scan)(y, state, u, states, prepared, q, k, sizes, first, columns);
}

void k_gated_delta_backward(float *dq, float *dk, float *dv, float *dalpha, float *dbeta,
                            float *dstate, float *scratch, const float *dy, const float *q,
                            const float *k, const float *v, const float *alpha,
                            const float *beta, const float *u, const float *states,
                            const k_gated_delta_sizes *sizes) {
  K_CALL(gated_delta_backward)
  (dq, dk, dv, dalpha, dbeta, dstate, scratch, dy, q, k, v, alpha, beta, u, states, sizes);
}
