// The weight gradient aᵀ·b: register tiles as in gemm_impl.h, with the sum running over rows.
#include "include/gemm.h"

K_IMPLEMENTS(gemm_tn);

enum {
  // Rows per block: a strip of b that all tiles of a block read stays in the first-level cache.
  GEMM_TN_BLOCK = VL == 16 ? 128 : 256,
  GEMM_TN_AHEAD = 12,  // rows that are fetched in advance
  GEMM_TN_VECTORS = GEMM_PANELS * GEMM_VECTORS_PER_PANEL,  // of a full strip
};

// One tile over a block of rows: `height` rows of c by `vectors` vectors, of which the last may be
// short. `whole` says that the last vector of b can be read as a whole nevertheless.
K_INLINE void gemm_tn_tile(float *c, size_t c_stride, const float *a, size_t a_stride,
                           const float *b, size_t b_stride, bool accumulate, bool whole,
                           size_t rows, size_t columns, size_t height, size_t vectors) {
  vf sum[GEMM_ROWS][GEMM_VECTORS];
  const size_t tail = columns - (vectors - 1) * VL;  // lanes of the last vector
#pragma unroll
  for (size_t i = 0; i < height; i++) {
#pragma unroll
    for (size_t j = 0; j < vectors; j++) sum[i][j] = (vf){0};
  }
#define GEMM_TN_ROWS(load_last)                                                  \
  for (size_t r = 0; r < rows; r++) {                                            \
    __builtin_prefetch(a + (r + GEMM_TN_AHEAD) * a_stride);                      \
    _Pragma("unroll") for (size_t j = 0; j < vectors; j += GEMM_LINE / VL) {     \
      __builtin_prefetch(b + (r + GEMM_TN_AHEAD) * b_stride + j * VL);           \
    }                                                                            \
    vf right[GEMM_VECTORS];                                                      \
    _Pragma("unroll") for (size_t j = 0; j + 1 < vectors; j++) {                 \
      right[j] = v_load(b + r * b_stride + j * VL);                              \
    }                                                                            \
    const float *last = b + r * b_stride + (vectors - 1) * VL;                   \
    right[vectors - 1] = load_last;                                              \
    _Pragma("unroll") for (size_t i = 0; i < height; i++) {                      \
      const vf left = v_set1(a[r * a_stride + i]);                               \
      _Pragma("unroll") for (size_t j = 0; j < vectors; j++) {                   \
        sum[i][j] = sum[i][j] + left * right[j];                                 \
      }                                                                          \
    }                                                                            \
  }
  if (whole) {
    GEMM_TN_ROWS(v_load(last))
  } else {
    GEMM_TN_ROWS(v_load_tail(last, tail))
  }
#undef GEMM_TN_ROWS
#pragma unroll
  for (size_t i = 0; i < height; i++) {
#pragma unroll
    for (size_t j = 0; j < vectors; j++) {
      float *out = c + i * c_stride + j * VL;
      const size_t left = columns - j * VL;
      v_store_n(out, accumulate ? v_load_n(out, left) + sum[i][j] : sum[i][j], left);
    }
  }
}

// All rows of c against one strip of b.
#define GEMM_TN_STRIP(vectors)                                                                    \
  static __attribute__((noinline)) void K_FN(gemm_tn_strip_##vectors)(                            \
    float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,  \
    bool accumulate, bool whole, size_t rows, size_t columns, size_t n) {                         \
    size_t i = 0;                                                                                 \
    if (vectors <= GEMM_TN_VECTORS) GEMM_TN_HEIGHT(GEMM_ROWS, vectors)                            \
    if (GEMM_ROWS > 4) GEMM_TN_HEIGHT(4, vectors)                                                 \
    if (GEMM_ROWS > 2) GEMM_TN_HEIGHT(2, vectors)                                                 \
    GEMM_TN_HEIGHT(1, vectors)                                                                    \
  }
#define GEMM_TN_HEIGHT(height, vectors)                                                           \
  for (; i + (height) <= n; i += (height)) {                                                      \
    gemm_tn_tile(c + i * c_stride, c_stride, a + i, a_stride, b, b_stride, accumulate, whole,     \
                 rows, columns, height, vectors);                                                 \
  }
GEMM_TN_STRIP(1)
GEMM_TN_STRIP(2)
GEMM_TN_STRIP(3)
#if K_LEVEL == 0
GEMM_TN_STRIP(4)
#endif
#undef GEMM_TN_STRIP
#undef GEMM_TN_HEIGHT

void K_FN(gemm_tn)(float *c, const float *a, size_t a_stride, const float *b, size_t b_stride,
                   bool accumulate, size_t rows, size_t n, size_t k) {
  typedef void strip(float *, size_t, const float *, size_t, const float *, size_t, bool, bool,
                     size_t, size_t, size_t);
  static strip *const strips[GEMM_VECTORS] = {
    K_FN(gemm_tn_strip_1), K_FN(gemm_tn_strip_2), K_FN(gemm_tn_strip_3),
#if K_LEVEL == 0
    K_FN(gemm_tn_strip_4),
#endif
  };
  float packed[GEMM_TN_BLOCK * GEMM_VECTORS * VL] __attribute__((aligned(64)));
  // A strip whose rows fall on the same few cache sets is copied, if enough tiles read it.
  const bool pack = n > 3 * GEMM_ROWS && b_stride > GEMM_TN_VECTORS * VL && b_stride % (8 * VL) == 0;
  if (rows == 0 && !accumulate) memset(c, 0, n * k * sizeof(float));
  for (size_t row = 0; row < rows; row += GEMM_TN_BLOCK) {
    const size_t count = rows - row < GEMM_TN_BLOCK ? rows - row : GEMM_TN_BLOCK;
    const bool add = accumulate || row > 0;
    const float *left = a + row * a_stride;
    for (size_t column = 0, width; column < k; column += width) {
      const size_t rest = k - column;
      // Where tiles may be wider than a full strip, no lone vector is left.
      width = rest <= GEMM_VECTORS * VL ? rest : GEMM_TN_VECTORS * VL;
      const size_t vectors = (width + VL - 1) / VL;
      const float *right = b + row * b_stride + column;
      size_t stride = b_stride;
      if (pack) {
        for (size_t r = 0; r < count; r++) {
          for (size_t j = 0; j < width; j += GEMM_LINE) {
            __builtin_prefetch(right + (r + GEMM_TN_AHEAD) * b_stride + j);
          }
          for (size_t j = 0; j < width; j += VL) {
            v_store(packed + (r * vectors * VL) + j, v_load_n(right + r * b_stride + j, width - j));
          }
        }
        right = packed;
        stride = vectors * VL;
      }
      strips[vectors - 1](c + column, k, left, a_stride, right, stride, add,
                          pack || width % VL == 0, count, width, n);
    }
  }
}
