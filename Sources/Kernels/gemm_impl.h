// Matrix products: a register tile of GEMM_ROWS rows by up to GEMM_PANELS panels of 16 columns.
//
// The tile sizes fit the registers of each level: 24 accumulators, 3 weights and a broadcast of 32
// for AVX-512; 12, 2 and 1 of 16 for AVX2, which takes a panel and a half as 4 rows of 3 vectors: half
// a panel alone has too few sums for the latency of its multiply-adds. Accumulators must never reach
// memory inside the k loop.
#include "include/gemm.h"

K_IMPLEMENTS(gemm);

#if K_LEVEL == 512
enum { GEMM_ROWS = 8, GEMM_PANELS = 3 };
#elif K_LEVEL == 256
enum { GEMM_ROWS = 6, GEMM_PANELS = 1 };
#elif defined(__aarch64__)
enum { GEMM_ROWS = 6, GEMM_PANELS = 1 };
#else
enum { GEMM_ROWS = 2, GEMM_PANELS = 1 };
#endif
enum {
  GEMM_VECTORS_PER_PANEL = K_GEMM_PANEL / VL,
  GEMM_VECTORS = K_LEVEL == 256 ? 3 : GEMM_PANELS * GEMM_VECTORS_PER_PANEL,
  // Rows whose activations should stay in the second-level cache while all panels pass.
  GEMM_BLOCK_FLOATS = 96 * 1024,
  GEMM_BLOCK_ROWS_MAX = 96,
  GEMM_LINE = 16,  // floats in a cache line
};

#include "gemm_epilogue_impl.h"

#if K_LEVEL == 512
// Half a vector of columns, which costs half on CPUs that split vectors of this length.
typedef float gemm_half __attribute__((vector_size(VL * 2)));
typedef float gemm_half_unaligned __attribute__((vector_size(VL * 2), aligned(4), may_alias));
#define GEMM_EACH_ROW _Pragma("unroll") for (size_t i = 0; i < rows; i++)

// The products of a tile whose last panel has at most eight columns.
K_INLINE void gemm_half_products(vf sum[GEMM_ROWS][GEMM_VECTORS], const float *x, size_t x_stride,
                                 const float *packed, size_t k, size_t rows, size_t panels) {
  gemm_half last[GEMM_ROWS];
  const size_t vectors = panels - 1, panel_stride = k * K_GEMM_PANEL;
  GEMM_EACH sum[i][j] = (vf){0};
  GEMM_EACH_ROW last[i] = (gemm_half){0};
  for (size_t p = 0; p < k; p++) {
    if (p % GEMM_LINE == 0) GEMM_EACH_ROW __builtin_prefetch(x + (rows + i) * x_stride + p);
    const float *weights = packed + p * K_GEMM_PANEL;
    vf b[GEMM_VECTORS];
#pragma unroll
    for (size_t j = 0; j < vectors; j++) b[j] = v_load(weights + j * panel_stride);
    const gemm_half c = *(const gemm_half_unaligned *)(weights + vectors * panel_stride);
    GEMM_EACH_ROW {
      vf a = v_set1(x[i * x_stride + p]);
      // Or else the compiler broadcasts twice.
      __asm__("" : "+v"(a));
#pragma unroll
      for (size_t j = 0; j < vectors; j++) sum[i][j] = sum[i][j] + a * b[j];
      last[i] = last[i] + __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7) * c;
    }
  }
  GEMM_EACH_ROW {
    sum[i][vectors] = __builtin_shufflevector(last[i], (gemm_half){0}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
                                              10, 11, 12, 13, 14, 15);
  }
}
#endif

// One tile: `rows`, `panels` and `half` (the last panel has at most eight columns) are constants at
// each call.
K_INLINE void gemm_tile(float *y, size_t y_stride, const float *x, size_t x_stride,
                        const float *packed, size_t k, const k_epilogue *e, size_t row,
                        size_t column, size_t columns, size_t rows, size_t panels, bool half) {
  vf sum[GEMM_ROWS][GEMM_VECTORS];
  const size_t vectors =
    panels * GEMM_VECTORS_PER_PANEL - (half ? GEMM_VECTORS_PER_PANEL / 2 : 0);
  const size_t panel_stride = k * K_GEMM_PANEL;
  gemm_fetch(y, y_stride, e, row, column, rows, panels);
#if K_LEVEL == 512
  if (half) {
    gemm_half_products(sum, x, x_stride, packed, k, rows, panels);
    gemm_finish(y, y_stride, sum, e, row, column, columns, rows, vectors, false);
    return;
  }
#endif
  GEMM_EACH sum[i][j] = (vf){0};
  for (size_t begin = 0; begin < k; begin += GEMM_LINE) {
    // So are the rows of the next tile, one cache line each at a time.
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
      __builtin_prefetch(x + (rows + i) * x_stride + begin);
    }
    const size_t end = k - begin < GEMM_LINE ? k : begin + GEMM_LINE;
    for (size_t p = begin; p < end; p++) {
      vf b[GEMM_VECTORS];
#pragma unroll
      for (size_t j = 0; j < vectors; j++) {
        b[j] = v_load(packed + p * K_GEMM_PANEL + j / GEMM_VECTORS_PER_PANEL * panel_stride +
                      j % GEMM_VECTORS_PER_PANEL * VL);
      }
#pragma unroll
      for (size_t i = 0; i < rows; i++) {
        const vf a = v_set1(x[i * x_stride + p]);
#pragma unroll
        for (size_t j = 0; j < vectors; j++) sum[i][j] = sum[i][j] + a * b[j];
      }
    }
  }
  if (columns == vectors * VL) {
    gemm_finish(y, y_stride, sum, e, row, column, columns, rows, vectors, true);
  } else {
    gemm_finish(y, y_stride, sum, e, row, column, columns, rows, vectors, false);
  }
}

// All rows of a block against `panels` panels.
#define GEMM_COLUMN(panels)                                                                       \
  static __attribute__((noinline)) void K_FN(gemm_column_##panels)(                               \
    float *y, size_t y_stride, const float *x, size_t x_stride, const float *packed, size_t k,    \
    const k_epilogue *e, size_t row, size_t column, size_t columns, size_t rows) {                \
    size_t i = 0;                                                                                 \
    if (columns + K_GEMM_PANEL / 2 <= (panels) * K_GEMM_PANEL) {                                  \
      GEMM_ROWS_OF(GEMM_ROWS, panels, true)                                                       \
      GEMM_ROWS_OF(1, panels, true)                                                               \
      return;                                                                                     \
    }                                                                                             \
    GEMM_ROWS_OF(GEMM_ROWS, panels, false)                                                        \
    if (GEMM_ROWS > 4) GEMM_ROWS_OF(4, panels, false)                                             \
    if (GEMM_ROWS > 2) GEMM_ROWS_OF(2, panels, false)                                             \
    GEMM_ROWS_OF(1, panels, false)                                                                \
  }
#define GEMM_ROWS_OF(count, panels, half)                                                         \
  for (; i + (count) <= rows; i += (count)) {                                                     \
    gemm_tile(y + i * y_stride, y_stride, x + i * x_stride, x_stride, packed, k, e, row + i,      \
              column, columns, count, panels, half);                                              \
  }
GEMM_COLUMN(1)
#if K_LEVEL == 512
GEMM_COLUMN(2)
GEMM_COLUMN(3)
#elif K_LEVEL == 256
// A panel and at most half of the next.
static __attribute__((noinline)) void K_FN(gemm_column_half)(
  float *y, size_t y_stride, const float *x, size_t x_stride, const float *packed, size_t k,
  const k_epilogue *e, size_t row, size_t column, size_t columns, size_t rows) {
  size_t i = 0;
  GEMM_ROWS_OF(4, 2, true)
  GEMM_ROWS_OF(1, 2, true)
}
#endif

void K_FN(gemm)(float *y, size_t y_stride, const float *x, size_t x_stride, const float *packed,
                const k_epilogue *epilogue, size_t rows, size_t n, size_t k) {
  const size_t panel_count = (n + K_GEMM_PANEL - 1) / K_GEMM_PANEL;
  size_t block = GEMM_BLOCK_FLOATS / (k + 1) / GEMM_ROWS * GEMM_ROWS;
  if (block < GEMM_ROWS) block = GEMM_ROWS;
  if (block > GEMM_BLOCK_ROWS_MAX) block = GEMM_BLOCK_ROWS_MAX;
  for (size_t row = 0; row < rows; row += block) {
    const size_t count = rows - row < block ? rows - row : block;
    for (size_t panel = 0; panel < panel_count;) {
      size_t width = panel_count - panel;
      // Four panels that are left go as two pairs rather than as three and a lone one.
      if (width > GEMM_PANELS) width = width == GEMM_PANELS + 1 ? 2 : GEMM_PANELS;
      if (width > GEMM_PANELS) width = GEMM_PANELS;
      const size_t column = panel * K_GEMM_PANEL;
#if K_LEVEL == 256
      if (n - column > K_GEMM_PANEL && n - column <= K_GEMM_PANEL * 3 / 2) {
        K_FN(gemm_column_half)(y + row * y_stride + column, y_stride, x + row * x_stride, x_stride,
                               packed + column * k, k, epilogue, row, column, n - column, count);
        break;
      }
#endif
      const size_t end = column + width * K_GEMM_PANEL;
      const size_t columns = (end < n ? end : n) - column;
      const float *panels = packed + column * k;
      float *out = y + row * y_stride + column;
      const float *in = x + row * x_stride;
      switch (width) {
#if K_LEVEL == 512
        case 3:
          K_FN(gemm_column_3)(out, y_stride, in, x_stride, panels, k, epilogue, row, column,
                              columns, count);
          break;
        case 2:
          K_FN(gemm_column_2)(out, y_stride, in, x_stride, panels, k, epilogue, row, column,
                              columns, count);
          break;
#endif
        default:
          K_FN(gemm_column_1)(out, y_stride, in, x_stride, panels, k, epilogue, row, column,
                              columns, count);
      }
      panel += width;
    }
  }
}
