// Matrix products: a register tile of GEMM_ROWS rows by up to GEMM_PANELS panels of 16 columns.
//
// The tile sizes fit the registers of each level: 24 accumulators, 3 weights and a broadcast of 32
// for AVX-512; 12, 2 and 1 of 16 for AVX2. Accumulators must never reach memory inside the k loop.
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
  GEMM_VECTORS = GEMM_PANELS * GEMM_VECTORS_PER_PANEL,
  // Rows whose activations should stay in the second-level cache while all panels pass.
  GEMM_BLOCK_FLOATS = 96 * 1024,
  GEMM_BLOCK_ROWS_MAX = 96,
  GEMM_LINE = 16,  // floats in a cache line
};

// The activations that need more registers than a full tile leaves: on a copy of the tile in
// memory.
static __attribute__((noinline)) void K_FN(gemm_activate)(float *tile, k_activation activation,
                                                          size_t count) {
  for (size_t i = 0; i < count; i += VL) {
    vf v = v_load(tile + i);
    switch (activation) {
      case K_ACT_SIGMOID: v = v_sigmoid(v); break;
      case K_ACT_SILU: v = v * v_sigmoid(v); break;
      case K_ACT_GELU: v = v * v_normal_cdf(v); break;
      default: break;
    }
    v_store(tile + i, v);
  }
}

// VL lanes at p, or the lanes of vector j of a tile that ends after `columns`.
K_INLINE vf gemm_load(const float *p, size_t j, bool whole, size_t columns) {
  if (whole) return v_load(p + j * VL);
  const size_t left = columns > j * VL ? columns - j * VL : 0;
  return v_load_tail(p + j * VL, left < VL ? left : VL);
}

K_INLINE void gemm_store(float *p, vf v, size_t j, bool whole, size_t columns) {
  if (whole) {
    v_store(p + j * VL, v);
  } else {
    const size_t left = columns > j * VL ? columns - j * VL : 0;
    v_store_tail(p + j * VL, v, left < VL ? left : VL);
  }
}

#define GEMM_EACH                                     \
  _Pragma("unroll") for (size_t i = 0; i < rows; i++) \
    _Pragma("unroll") for (size_t j = 0; j < vectors; j++)

// Everything that is asked of a finished tile, in registers, and the store. `row` and `column` are
// the tile's place in the matrices of the epilogue, y points to the tile itself.
K_INLINE void gemm_finish(float *y, size_t y_stride, vf sum[GEMM_ROWS][GEMM_VECTORS],
                          const k_epilogue *e, size_t row, size_t column, size_t columns,
                          size_t rows, size_t vectors, bool whole) {
  if (e != NULL) {
    const vf zero = {0};
    if (e->bias != NULL) {
      const float *bias = e->bias + column;
      GEMM_EACH sum[i][j] = sum[i][j] + gemm_load(bias, j, whole, columns);
    }
    if (e->activation >= K_ACT_SIGMOID) {
      float tile[GEMM_ROWS * GEMM_VECTORS * VL] __attribute__((aligned(64)));
      GEMM_EACH v_store(tile + (i * vectors + j) * VL, sum[i][j]);
      K_FN(gemm_activate)(tile, e->activation, rows * vectors * VL);
      GEMM_EACH sum[i][j] = v_load(tile + (i * vectors + j) * VL);
    } else if (e->activation != K_ACT_NONE) {
      GEMM_EACH sum[i][j] = v_select(sum[i][j] < zero, zero, sum[i][j]);
      if (e->activation == K_ACT_RELU_SQUARED) GEMM_EACH sum[i][j] = sum[i][j] * sum[i][j];
    }
    if (e->kept != NULL) {
      float *kept = e->kept + row * e->kept_stride + column;
      GEMM_EACH gemm_store(kept + i * e->kept_stride, sum[i][j], j, whole, columns);
    }
    if (e->multiply != NULL) {
      const float *multiply = e->multiply + row * e->multiply_stride + column;
      GEMM_EACH sum[i][j] =
        sum[i][j] * gemm_load(multiply + i * e->multiply_stride, j, whole, columns);
    }
    if (e->scale != NULL) {
      const float *scale = e->scale + column;
      GEMM_EACH sum[i][j] = sum[i][j] * gemm_load(scale, j, whole, columns);
    }
    if (e->residual != NULL) {
      const float *residual = e->residual + row * e->residual_stride + column;
      GEMM_EACH sum[i][j] =
        sum[i][j] + gemm_load(residual + i * e->residual_stride, j, whole, columns);
    }
    if (e->accumulate) {
      GEMM_EACH sum[i][j] = sum[i][j] + gemm_load(y + i * y_stride, j, whole, columns);
    }
  }
  GEMM_EACH gemm_store(y + i * y_stride, sum[i][j], j, whole, columns);
}

// One tile: `rows` and `panels` are constants at each call.
K_INLINE void gemm_tile(float *y, size_t y_stride, const float *x, size_t x_stride,
                        const float *packed, size_t k, const k_epilogue *e, size_t row,
                        size_t column, size_t columns, size_t rows, size_t panels) {
  vf sum[GEMM_ROWS][GEMM_VECTORS];
  const size_t vectors = panels * GEMM_VECTORS_PER_PANEL;
  const size_t panel_stride = k * K_GEMM_PANEL;
  // The output is fetched while the products are formed.
#pragma unroll
  for (size_t i = 0; i < rows; i++) {
#pragma unroll
    for (size_t j = 0; j < panels; j++) {
      __builtin_prefetch(y + i * y_stride + j * K_GEMM_PANEL, 1);
    }
  }
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
  if (columns == panels * K_GEMM_PANEL) {
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
    GEMM_ROWS_OF(GEMM_ROWS, panels)                                                               \
    if (GEMM_ROWS > 4) GEMM_ROWS_OF(4, panels)                                                    \
    if (GEMM_ROWS > 2) GEMM_ROWS_OF(2, panels)                                                    \
    GEMM_ROWS_OF(1, panels)                                                                       \
  }
#define GEMM_ROWS_OF(count, panels)                                                               \
  for (; i + (count) <= rows; i += (count)) {                                                     \
    gemm_tile(y + i * y_stride, y_stride, x + i * x_stride, x_stride, packed, k, e, row + i,      \
              column, columns, count, panels);                                                    \
  }
GEMM_COLUMN(1)
#if K_LEVEL == 512
GEMM_COLUMN(2)
GEMM_COLUMN(3)
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
