// The register tile of gemm_impl.h with a pair of products in each lane: 24 accumulators, 3 words
// of weights and a broadcast word of activations.
#include "gemm_bf16_internal.h"

enum {
  GEMM_ROWS = 8,
  GEMM_PANELS = 3,
  GEMM_VECTORS = GEMM_PANELS,
  GEMM_LINE = 16,  // words in a cache line
};

#include "gemm_epilogue_impl.h"

void bf16_round_avx512bf16(uint32_t *y, const float *x, const float *gate, size_t x_stride,
                           size_t rows, size_t k) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t i = 0; i < k; i += VL) {
      vf v = v_load_n(x + i, k - i);
      if (gate != NULL) v = v * v_load_n(gate + i, k - i);
      const __m256i halves = (__m256i)_mm512_cvtneps_pbh((__m512)v);
      const size_t left = k - i;
      if (left >= VL) {
        _mm256_storeu_si256((__m256i *)(y + i / 2), halves);
      } else {
        _mm256_mask_storeu_epi32(y + i / 2, (__mmask8)((1u << k_bf16_words(left)) - 1), halves);
      }
    }
    x += x_stride;
    y += k_bf16_words(k);
    if (gate != NULL) gate += x_stride;
  }
}

K_INLINE void gemm_bf16_tile(float *y, size_t y_stride, uint32_t *y_words, size_t words_stride,
                             const uint32_t *x, const uint32_t *packed, size_t words,
                             const k_epilogue *e, size_t row, size_t column, size_t columns,
                             size_t rows, size_t panels) {
  vf sum[GEMM_ROWS][GEMM_VECTORS];
  const size_t vectors = panels, panel_stride = words * K_GEMM_PANEL;
  gemm_fetch(y_words == NULL ? y : NULL, y_stride, e, row, column, rows, panels);
  GEMM_EACH sum[i][j] = (vf){0};
  for (size_t p = 0; p < words; p++) {
    __m512bh b[GEMM_VECTORS];
#pragma unroll
    for (size_t j = 0; j < vectors; j++) {
      b[j] = (__m512bh)_mm512_loadu_si512(packed + p * K_GEMM_PANEL + j * panel_stride);
    }
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
      const __m512bh a = (__m512bh)_mm512_set1_epi32((int)x[i * words + p]);
#pragma unroll
      for (size_t j = 0; j < vectors; j++) {
        sum[i][j] = (vf)_mm512_dpbf16_ps((__m512)sum[i][j], a, b[j]);
      }
    }
  }
  const bool whole = columns == panels * K_GEMM_PANEL;
  if (y_words == NULL) {
    if (whole) gemm_finish(y, y_stride, sum, e, row, column, columns, rows, vectors, true);
    else gemm_finish(y, y_stride, sum, e, row, column, columns, rows, vectors, false);
    return;
  }
  gemm_complete(sum, NULL, 0, e, row, column, columns, rows, vectors, false);
  GEMM_EACH {
    const __m256i halves = (__m256i)_mm512_cvtneps_pbh((__m512)sum[i][j]);
    uint32_t *to = y_words + i * words_stride + j * (K_GEMM_PANEL / 2);
    const size_t left = columns > j * VL ? columns - j * VL : 0;
    if (left >= VL) {
      _mm256_storeu_si256((__m256i *)to, halves);
    } else {
      _mm256_mask_storeu_epi32(to, (__mmask8)((1u << k_bf16_words(left)) - 1), halves);
    }
  }
}

// All rows against `panels` panels.
#define GEMM_BF16_ROWS(count, panels)                                                          \
  for (; i + (count) <= rows; i += (count)) {                                                  \
    gemm_bf16_tile(y == NULL ? NULL : y + i * y_stride, y_stride,                              \
                   y_words == NULL ? NULL : y_words + i * words_stride, words_stride,          \
                   x + i * words, packed, words, e, row + i, column, columns, count, panels);  \
  }
#define GEMM_BF16_COLUMN(panels)                                                               \
  static __attribute__((noinline)) void gemm_bf16_column_##panels(                             \
    float *y, size_t y_stride, uint32_t *y_words, size_t words_stride, const uint32_t *x,      \
    const uint32_t *packed, size_t words, const k_epilogue *e, size_t row, size_t column,      \
    size_t columns, size_t rows) {                                                             \
    size_t i = 0;                                                                              \
    GEMM_BF16_ROWS(GEMM_ROWS, panels)                                                          \
    GEMM_BF16_ROWS(4, panels)                                                                  \
    GEMM_BF16_ROWS(1, panels)                                                                  \
  }
GEMM_BF16_COLUMN(1)
GEMM_BF16_COLUMN(2)
GEMM_BF16_COLUMN(3)

void gemm_bf16_avx512bf16(float *y, size_t y_stride, uint32_t *y_words, const uint32_t *x,
                          const uint32_t *packed, const k_epilogue *epilogue, size_t rows, size_t n,
                          size_t k) {
  // Rows whose activations stay in the first or second cache level while all panels pass.
  enum { BLOCK = 96 };
  const size_t words = k_bf16_words(k), words_stride = k_bf16_words(n);
  const size_t panel_count = (n + K_GEMM_PANEL - 1) / K_GEMM_PANEL;
  for (size_t row = 0; row < rows; row += BLOCK) {
    const size_t count = rows - row < BLOCK ? rows - row : BLOCK;
    for (size_t panel = 0; panel < panel_count;) {
      size_t width = panel_count - panel;
      // Four panels that are left go as two pairs rather than as three and a lone one.
      if (width > GEMM_PANELS) width = width == GEMM_PANELS + 1 ? 2 : GEMM_PANELS;
      const size_t column = panel * K_GEMM_PANEL;
      const size_t end = column + width * K_GEMM_PANEL;
      const size_t columns = (end < n ? end : n) - column;
      const uint32_t *panels = packed + column * words;
      float *out = y == NULL ? NULL : y + row * y_stride + column;
      uint32_t *out_words = y_words == NULL ? NULL : y_words + row * words_stride + column / 2;
      const uint32_t *in = x + row * words;
      switch (width) {
        case 3:
          gemm_bf16_column_3(out, y_stride, out_words, words_stride, in, panels, words, epilogue,
                             row, column, columns, count);
          break;
        case 2:
          gemm_bf16_column_2(out, y_stride, out_words, words_stride, in, panels, words, epilogue,
                             row, column, columns, count);
          break;
        default:
          gemm_bf16_column_1(out, y_stride, out_words, words_stride, in, panels, words, epilogue,
                             row, column, columns, count);
      }
      panel += width;
    }
  }
}
