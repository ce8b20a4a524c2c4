// The gated delta rule, see gated_delta.h. Strips of the state stay in the first-level cache; the
// chunked form is products of small matrices, all of which go through one register-tiled loop.
#include "include/gated_delta.h"
#include "include/move.h"

K_IMPLEMENTS(gated_delta_recurrent);
K_IMPLEMENTS(gated_delta_prepare);
K_IMPLEMENTS(gated_delta_scan);
K_IMPLEMENTS(gated_delta_backward);
K_IMPLEMENTS(transpose);

enum {
  GD_CHUNK = K_GATED_DELTA_CHUNK,
  GD_ROWS = 4,                                 // rows of a register tile
  GD_VECTORS = VL == 16 ? 4 : 2,               // vectors of a register tile
  GD_STRIP = VL == 16 ? 2 : 4,                 // vectors of a recurrent strip
  GD_LOCAL_KEYS = 128,                         // rows of a strip that are kept side by side
};

// `vectors` vectors of columns, the last with `tail` lanes; rows of the state are `stride` apart.
K_INLINE void gd_recurrent_strip(float *y, float *state, size_t stride, float *u, float *states, const float *q,
                                 const float *k, const float *v, const float *alpha,
                                 const float *beta, const k_gated_delta_sizes *sizes,
                                 size_t vectors, size_t tail) {
  const size_t key = sizes->key_dim, value = sizes->value_dim;
#define GD_EACH _Pragma("unroll") for (size_t j = 0; j < vectors; j++)
#define GD_LANES(j) (j + 1 == vectors ? tail : VL)
  for (size_t t = 0; t < sizes->tokens; t++) {
    if (states != NULL && t % GD_CHUNK == 0) {
      float *to = states + t / GD_CHUNK * key * value;
      for (size_t i = 0; i < key; i++) {
        GD_EACH v_store_n(to + i * value + j * VL, v_load_n(state + i * stride + j * VL, GD_LANES(j)),
                          GD_LANES(j));
      }
    }
    const vf a = v_set1(alpha[t]), b = v_set1(beta[t]);
    vf seen[GD_STRIP], written[GD_STRIP], read[GD_STRIP];
    GD_EACH seen[j] = (vf){0};
    for (size_t i = 0; i < key; i++) {
      const vf ki = v_set1(k[t * key + i]);
      GD_EACH seen[j] = seen[j] + ki * v_load_n(state + i * stride + j * VL, GD_LANES(j));
    }
    GD_EACH {
      written[j] = b * (v_load_n(v + t * value + j * VL, GD_LANES(j)) - a * seen[j]);
      if (u != NULL) v_store_n(u + t * value + j * VL, written[j], GD_LANES(j));
      read[j] = (vf){0};
    }
    for (size_t i = 0; i < key; i++) {
      const vf ki = v_set1(k[t * key + i]), qi = v_set1(q[t * key + i]);
      GD_EACH {
        float *cell = state + i * stride + j * VL;
        const vf s = a * v_load_n(cell, GD_LANES(j)) + ki * written[j];
        v_store_n(cell, s, GD_LANES(j));
        read[j] = read[j] + qi * s;
      }
    }
    GD_EACH v_store_n(y + t * value + j * VL, read[j], GD_LANES(j));
  }
#undef GD_LANES
#undef GD_EACH
}

// One strip of a state with any number of rows. Rows of the state may lie a multiple of some KiB
// apart, where they would push each other out of the cache: a copy does not.
K_INLINE void gd_recurrent_copied(float *y, float *state, float *u, float *states, const float *q,
                                  const float *k, const float *v, const float *alpha,
                                  const float *beta, const k_gated_delta_sizes *sizes,
                                  size_t vectors, size_t tail) {
  const size_t key = sizes->key_dim, value = sizes->value_dim;
  const size_t bytes = ((vectors - 1) * VL + tail) * sizeof(float), width = vectors * VL;
  if (key > GD_LOCAL_KEYS) {
    gd_recurrent_strip(y, state, value, u, states, q, k, v, alpha, beta, sizes, vectors, tail);
    return;
  }
  float strip[GD_LOCAL_KEYS * GD_STRIP * VL] __attribute__((aligned(64)));
  for (size_t i = 0; i < key; i++) memcpy(strip + i * width, state + i * value, bytes);
  gd_recurrent_strip(y, strip, width, u, states, q, k, v, alpha, beta, sizes, vectors, tail);
  for (size_t i = 0; i < key; i++) memcpy(state + i * value, strip + i * width, bytes);
}

void K_FN(gated_delta_recurrent)(float *y, float *state, float *u, float *states, const float *q,
                                 const float *k, const float *v, const float *alpha,
                                 const float *beta, const k_gated_delta_sizes *sizes, size_t first,
                                 size_t columns) {
  const size_t end = first + columns;
#define GD_STRIP_OF(vectors, tail)                                              \
  gd_recurrent_copied(y + first, state + first, u == NULL ? NULL : u + first,   \
                      states == NULL ? NULL : states + first, q, k, v + first,  \
                      alpha, beta, sizes, vectors, tail)
  for (; first + GD_STRIP * VL <= end; first += GD_STRIP * VL) GD_STRIP_OF(GD_STRIP, VL);
  for (; first + VL <= end; first += VL) GD_STRIP_OF(1, VL);
  if (first < end) GD_STRIP_OF(1, end - first);
#undef GD_STRIP_OF
}

// One tile of gd_product: `rows` and `vectors` are constants at each call.
K_INLINE void gd_tile(float *c, size_t c_stride, const float *a, size_t a_row, size_t a_column,
                      const float *b, size_t b_stride, float old, size_t inner, size_t rows,
                      size_t vectors, size_t tail) {
  vf sum[GD_ROWS][GD_VECTORS];
#define GD_EACH                                       \
  _Pragma("unroll") for (size_t i = 0; i < rows; i++) \
    _Pragma("unroll") for (size_t j = 0; j < vectors; j++)
#define GD_LANES(j) (j + 1 == vectors ? tail : VL)
  GD_EACH sum[i][j] = (vf){0};
  for (size_t p = 0; p < inner; p++) {
    vf right[GD_VECTORS];
#pragma unroll
    for (size_t j = 0; j < vectors; j++) right[j] = v_load_n(b + p * b_stride + j * VL, GD_LANES(j));
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
      const vf left = v_set1(a[i * a_row + p * a_column]);
#pragma unroll
      for (size_t j = 0; j < vectors; j++) sum[i][j] = sum[i][j] + left * right[j];
    }
  }
  if (old != 0) {
    const vf scale = v_set1(old);
    GD_EACH sum[i][j] = sum[i][j] + scale * v_load_n(c + i * c_stride + j * VL, GD_LANES(j));
  }
  GD_EACH v_store_n(c + i * c_stride + j * VL, sum[i][j], GD_LANES(j));
#undef GD_LANES
#undef GD_EACH
}

// `c = old·c + a·b` for `c: [rows, columns]`, `b: [inner, columns]` and a with any spacing, so that
// its transpose costs nothing. With old = 0, c is not read.
static void K_FN(gd_product)(float *c, size_t c_stride, const float *a, size_t a_row,
                             size_t a_column, const float *b, size_t b_stride, float old,
                             size_t rows, size_t inner, size_t columns) {
  for (size_t j = 0; j < columns;) {
    const size_t left = columns - j;
    const size_t vectors = left >= GD_VECTORS * VL ? GD_VECTORS : left >= 2 * VL ? 2 : 1;
    const size_t lanes = left < VL ? left : VL;
    size_t i = 0;
#define GD_TILES(count, width, lanes)                                                        \
  for (; i + count <= rows; i += count) {                                                    \
    gd_tile(c + i * c_stride + j, c_stride, a + i * a_row, a_row, a_column, b + j, b_stride, \
            old, inner, count, width, lanes);                                                \
  }
    if (vectors == GD_VECTORS) {
      GD_TILES(GD_ROWS, GD_VECTORS, VL) GD_TILES(1, GD_VECTORS, VL)
    } else if (vectors == 2) {
      GD_TILES(GD_ROWS, 2, VL) GD_TILES(1, 2, VL)
    } else if (lanes == VL) {
      GD_TILES(GD_ROWS, 1, VL) GD_TILES(1, 1, VL)
    } else {
      GD_TILES(GD_ROWS, 1, lanes) GD_TILES(1, 1, lanes)
    }
#undef GD_TILES
    j += vectors * VL;
  }
}

// Solves (I + A)·X = B (or, transposed, (I + A)ᵀ·X = B) in place for A strictly lower triangular
// with rows of GD_CHUNK, `x: [count, columns]`.
static void K_FN(gd_solve)(float *x, size_t stride, const float *a, int transposed, size_t count,
                           size_t columns) {
  for (size_t step = 1; step < count; step++) {
    const size_t i = transposed ? count - 1 - step : step;
    const size_t begin = transposed ? i + 1 : 0, end = transposed ? count : i;
    for (size_t j = 0; j < columns; j += VL) {
      const size_t lanes = columns - j;
      vf sum = v_load_n(x + i * stride + j, lanes);
      for (size_t p = begin; p < end; p++) {
        const float factor = transposed ? a[p * GD_CHUNK + i] : a[i * GD_CHUNK + p];
        sum = sum - v_set1(factor) * v_load_n(x + p * stride + j, lanes);
      }
      v_store_n(x + i * stride + j, sum, lanes);
    }
  }
}

// The sums of ln α; what is 0 in float32 counts as the smallest normal number.
K_INLINE void gd_log_decay(float *c, const float *alpha, size_t count) {
  float sum = 0;
  for (size_t i = 0; i < count; i++) {
    sum += logf(alpha[i] < 1.17549435e-38f ? 1.17549435e-38f : alpha[i]);
    c[i] = sum;
  }
}

// `gamma[i][j] = exp(c_i − c_j)` for j ≤ i, 0 above; the diagonal is exactly 1.
static void K_FN(gd_gamma)(float *gamma, const float *c, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float *row = gamma + i * GD_CHUNK;
    for (size_t j = 0; j < GD_CHUNK; j += VL) {
      vf difference = (vf){0};
      for (size_t l = 0; l < VL; l++) difference[l] = j + l <= i ? c[i] - c[j + l] : -100.0f;
      v_store(row + j, v_exp_full(difference));
    }
    for (size_t j = i + 1; j < GD_CHUNK; j++) row[j] = 0;
  }
}

// What both directions need of a chunk: `score = Q·Kᵀ ⊙ Γ`, `match = K·Kᵀ ⊙ Γ` (below the diagonal),
// `transposed: [key, GD_CHUNK]` of k.
static void K_FN(gd_scores)(float *score, float *match, float *transposed, const float *gamma,
                            const float *q, const float *k, size_t count, size_t key) {
  K_FN(transpose)(transposed, GD_CHUNK, k, key, count, key);
  K_FN(gd_product)(score, GD_CHUNK, q, key, 1, transposed, GD_CHUNK, 0, count, key, count);
  K_FN(gd_product)(match, GD_CHUNK, k, key, 1, transposed, GD_CHUNK, 0, count, key, count);
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < count; j++) {
      const float g = gamma[i * GD_CHUNK + j];
      score[i * GD_CHUNK + j] *= g;
      match[i * GD_CHUNK + j] = j < i ? match[i * GD_CHUNK + j] * g : 0;
    }
  }
}

void K_FN(gated_delta_prepare)(float *u, float *prepared, const float *q, const float *k,
                               const float *v, const float *alpha, const float *beta,
                               const k_gated_delta_sizes *sizes, size_t chunk) {
  const size_t key = sizes->key_dim, value = sizes->value_dim, first = chunk * GD_CHUNK;
  const size_t count = sizes->tokens - first < GD_CHUNK ? sizes->tokens - first : GD_CHUNK;
  float *decay = prepared, *rest = decay + GD_CHUNK, *w = rest + GD_CHUNK;
  float *score = w + GD_CHUNK * key;
  float c[GD_CHUNK], gamma[GD_CHUNK * GD_CHUNK], match[GD_CHUNK * GD_CHUNK];
  q += first * key, k += first * key, v += first * value, u += first * value;
  alpha += first, beta += first;
  gd_log_decay(c, alpha, count);
  K_FN(gd_gamma)(gamma, c, count);
  // W's place holds the transposed keys until W is formed.
  K_FN(gd_scores)(score, match, w, gamma, q, k, count, key);
  for (size_t i = 0; i < count; i++) {
    decay[i] = expf(c[i]);
    rest[i] = expf(c[count - 1] - c[i]);
    for (size_t j = 0; j < i; j++) match[i * GD_CHUNK + j] *= beta[i];
    for (size_t j = 0; j < value; j++) u[i * value + j] = beta[i] * v[i * value + j];
    // Negated, so that the scan adds.
    for (size_t j = 0; j < key; j++) w[i * key + j] = -beta[i] * decay[i] * k[i * key + j];
  }
  K_FN(gd_solve)(u, value, match, 0, count, value);
  K_FN(gd_solve)(w, key, match, 0, count, key);
}

void K_FN(gated_delta_scan)(float *y, float *state, float *u, float *states, const float *prepared,
                            const float *q, const float *k, const k_gated_delta_sizes *sizes,
                            size_t first, size_t columns) {
  const size_t key = sizes->key_dim, value = sizes->value_dim;
  const size_t block = GD_CHUNK * (2 + key + GD_CHUNK);
  for (size_t t = 0; t < sizes->tokens; t += GD_CHUNK, prepared += block, states += key * value) {
    const size_t count = sizes->tokens - t < GD_CHUNK ? sizes->tokens - t : GD_CHUNK;
    const float *decay = prepared, *rest = decay + GD_CHUNK, *w = rest + GD_CHUNK;
    const float *score = w + GD_CHUNK * key;
    float *rows = u + t * value + first, *out = y + t * value + first, *s = state + first;
    for (size_t i = 0; i < key; i++) {
      memcpy(states + i * value + first, s + i * value, columns * sizeof(float));
    }
    K_FN(gd_product)(rows, value, w, key, 1, s, value, 1, count, key, columns);
    K_FN(gd_product)(out, value, q + t * key, key, 1, s, value, 0, count, key, columns);
    for (size_t i = 0; i < count; i++) {
      for (size_t j = 0; j < columns; j++) out[i * value + j] *= decay[i];
    }
    // Above the diagonal the scores are 0, so a tile of rows may stop after its last row.
    for (size_t i = 0; i < count; i += GD_ROWS) {
      const size_t height = count - i < GD_ROWS ? count - i : GD_ROWS;
      K_FN(gd_product)(out + i * value, value, score + i * GD_CHUNK, GD_CHUNK, 1, rows, value, 1,
                       height, i + height, columns);
    }
    // The faded rows of k take part as the left factor, transposed.
    for (size_t i = 0; i < key; i += GD_ROWS) {
      const size_t height = key - i < GD_ROWS ? key - i : GD_ROWS;
      float faded[GD_CHUNK * GD_ROWS];
      for (size_t r = 0; r < count; r++) {
        for (size_t l = 0; l < height; l++) {
          faded[r * GD_ROWS + l] = rest[r] * k[(t + r) * key + i + l];
        }
      }
      K_FN(gd_product)(s + i * value, value, faded, 1, GD_ROWS, rows, value, decay[count - 1],
                       height, count, columns);
    }
    // A decay of 0 tells the product not to read the state, which is then just what was written.
  }
}

K_INLINE float gd_dot(const float *a, const float *b, size_t n) {
  vf sum = (vf){0};
  for (size_t i = 0; i < n; i += VL) sum = sum + v_load_n(a + i, n - i) * v_load_n(b + i, n - i);
  return v_sum(sum);
}

// With G the gradient of the state behind the chunk and everything as in the forward pass:
//
//     dU = scoreᵀ·dO + (rest⊙K)·G;   dR = (I + A)⁻ᵀ·dU   (R = β⊙(V − decay⊙K·S));   dV = β⊙dR
//     X = dO·Sᵀ;   Y = dR·Sᵀ;   Z = U·Gᵀ;   P = dO·Uᵀ⊙Γ (j ≤ i);   B = −(dR·Uᵀ)⊙Γ (j < i)
//     dQ = decay⊙X + P·K
//     dK = rest⊙Z − β⊙decay⊙Y + Pᵀ·Q + (β⊙B)·K + (β⊙B)ᵀ·K
//     dβ_i = Σ_j B_ij·(k_i·k_j) + dR_i·v_i − decay_i·k_i·Y_i
//     G ← decay_C·G + (decay⊙Q)ᵀ·dO − (β⊙decay⊙K)ᵀ·dR
//
// ln α_t scales every term that leads from before t to t or later; only those are summed, because
// the difference of all terms at both ends would cancel where α is small.
void K_FN(gated_delta_backward)(float *dq, float *dk, float *dv, float *dalpha, float *dbeta,
                                float *dstate, float *scratch, const float *dy, const float *q,
                                const float *k, const float *v, const float *alpha,
                                const float *beta, const float *u, const float *states,
                                const k_gated_delta_sizes *sizes) {
  const size_t key = sizes->key_dim, value = sizes->value_dim;
  float *state_t = scratch, *gradient_t = state_t + key * value;      // [value, key] each
  float *key_t = gradient_t + key * value;                            // [key, GD_CHUNK]
  float *x = key_t + GD_CHUNK * key, *yy = x + GD_CHUNK * key;        // [GD_CHUNK, key] each
  float *z = yy + GD_CHUNK * key, *faded = z + GD_CHUNK * key;        // [GD_CHUNK, key] each
  float *u_t = faded + GD_CHUNK * key, *dr = u_t + GD_CHUNK * value;  // [value, GD_CHUNK], [.., value]
  float c[GD_CHUNK], decay[GD_CHUNK], rest[GD_CHUNK];
  float gamma[GD_CHUNK * GD_CHUNK], score[GD_CHUNK * GD_CHUNK], match[GD_CHUNK * GD_CHUNK];
  float a[GD_CHUNK * GD_CHUNK], p[GD_CHUNK * GD_CHUNK], b[GD_CHUNK * GD_CHUNK];
  const size_t chunks = (sizes->tokens + GD_CHUNK - 1) / GD_CHUNK;
  for (size_t chunk = chunks; chunk-- > 0;) {
    const size_t first = chunk * GD_CHUNK;
    const size_t count = sizes->tokens - first < GD_CHUNK ? sizes->tokens - first : GD_CHUNK;
    const float *qc = q + first * key, *kc = k + first * key, *vc = v + first * value;
    const float *uc = u + first * value, *dyc = dy + first * value;
    const float *bc = beta + first, *s = states + chunk * key * value;
    float *dqc = dq + first * key, *dkc = dk + first * key;
    gd_log_decay(c, alpha + first, count);
    K_FN(gd_gamma)(gamma, c, count);
    K_FN(gd_scores)(score, match, key_t, gamma, qc, kc, count, key);
    for (size_t i = 0; i < count; i++) {
      decay[i] = expf(c[i]);
      rest[i] = expf(c[count - 1] - c[i]);
      for (size_t j = 0; j < count; j++) {
        a[i * GD_CHUNK + j] = j < i ? bc[i] * match[i * GD_CHUNK + j] : 0;
      }
      for (size_t j = 0; j < key; j++) faded[i * key + j] = rest[i] * kc[i * key + j];
    }
    K_FN(transpose)(state_t, key, s, value, key, value);
    K_FN(transpose)(gradient_t, key, dstate, value, key, value);
    K_FN(transpose)(u_t, GD_CHUNK, uc, value, count, value);
    K_FN(gd_product)(dr, value, score, 1, GD_CHUNK, dyc, value, 0, count, count, value);
    K_FN(gd_product)(dr, value, faded, key, 1, dstate, value, 1, count, key, value);
    K_FN(gd_solve)(dr, value, a, 1, count, value);
    K_FN(gd_product)(x, key, dyc, value, 1, state_t, key, 0, count, value, key);
    K_FN(gd_product)(yy, key, dr, value, 1, state_t, key, 0, count, value, key);
    K_FN(gd_product)(z, key, uc, value, 1, gradient_t, key, 0, count, value, key);
    K_FN(gd_product)(p, GD_CHUNK, dyc, value, 1, u_t, GD_CHUNK, 0, count, value, count);
    K_FN(gd_product)(b, GD_CHUNK, dr, value, 1, u_t, GD_CHUNK, 0, count, value, count);

    // Terms that lead from token j (or the state before, or to the state behind) to token i.
    float across[GD_CHUNK + 1] = {0};
    float pairs[GD_CHUNK * GD_CHUNK];
    float from_state[GD_CHUNK], to_state[GD_CHUNK];
    for (size_t i = 0; i < count; i++) {
      const float *xi = x + i * key, *yi = yy + i * key, *zi = z + i * key;
      const float *ki = kc + i * key;
      const float q_x = gd_dot(qc + i * key, xi, key), k_y = gd_dot(ki, yi, key);
      float db = gd_dot(dr + i * value, vc + i * value, value) - decay[i] * k_y;
      from_state[i] = decay[i] * (q_x - bc[i] * k_y);
      to_state[i] = rest[i] * gd_dot(ki, zi, key);
      for (size_t j = 0; j < count; j++) {
        const size_t ij = i * GD_CHUNK + j;
        const float dp = j <= i ? p[ij] : 0, da = j < i ? -b[ij] : 0;
        db += da * match[ij];
        pairs[ij] = dp * score[ij] + da * a[ij];
        p[ij] = dp * gamma[ij];
        b[ij] = da * bc[i] * gamma[ij];
      }
      dbeta[first + i] = db;
      for (size_t j = 0; j < value; j++) dv[(first + i) * value + j] = bc[i] * dr[i * value + j];
      for (size_t j = 0; j < key; j++) {
        dqc[i * key + j] = decay[i] * xi[j];
        dkc[i * key + j] = rest[i] * zi[j] - bc[i] * decay[i] * yi[j];
      }
    }
    K_FN(gd_product)(dqc, key, p, GD_CHUNK, 1, kc, key, 1, count, count, key);
    K_FN(gd_product)(dkc, key, p, 1, GD_CHUNK, qc, key, 1, count, count, key);
    K_FN(gd_product)(dkc, key, b, GD_CHUNK, 1, kc, key, 1, count, count, key);
    K_FN(gd_product)(dkc, key, b, 1, GD_CHUNK, kc, key, 1, count, count, key);

    // across[t] = Σ pairs[i][j] over i ≥ t > j: columns summed upwards, then rows to the left.
    float through = 0;
    for (size_t i = 0; i < key; i++) through += gd_dot(dstate + i * value, s + i * value, value);
    through *= decay[count - 1];
    float behind = 0, before = 0;
    for (size_t i = count; i-- > 0;) {
      if (i + 1 < count) {
        for (size_t j = 0; j < count; j++) {
          pairs[i * GD_CHUNK + j] += pairs[(i + 1) * GD_CHUNK + j];
        }
      }
      float sum = 0;
      for (size_t j = 0; j < i; j++) sum += pairs[i * GD_CHUNK + j];
      behind += from_state[i];
      across[i] = sum + behind + through;
    }
    for (size_t i = 0; i < count; i++) {
      const float raw = alpha[first + i];
      dalpha[first + i] = (across[i] + before) / (raw < 1.17549435e-38f ? 1.17549435e-38f : raw);
      before += to_state[i];
    }

    // The gradient of the state before the chunk.
    for (size_t i = 0; i < count; i++) {
      for (size_t j = 0; j < key; j++) {
        x[i * key + j] = decay[i] * qc[i * key + j];
        yy[i * key + j] = -bc[i] * decay[i] * kc[i * key + j];
      }
    }
    K_FN(gd_product)(dstate, value, x, 1, key, dyc, value, decay[count - 1], key, count, value);
    K_FN(gd_product)(dstate, value, yy, 1, key, dr, value, 1, key, count, value);
  }
}
