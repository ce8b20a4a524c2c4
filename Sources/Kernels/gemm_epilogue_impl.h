// What happens to a tile of a matrix product before it is stored; shared by all kinds of products.
// GEMM_ROWS and GEMM_VECTORS are the largest tile's sizes.

// The sigmoid needs more registers than a full tile leaves: on a copy of the tile in memory.
static __attribute__((noinline)) void K_FN(gemm_sigmoid)(float *tile, size_t count) {
  for (size_t i = 0; i < count; i += VL) v_store(tile + i, v_sigmoid(v_load(tile + i)));
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

// Everything that is asked of a finished tile, in registers. `row` and `column` are the tile's
// place in the matrices of the epilogue; y, if the old values are to be added, points to the tile
// itself.
K_INLINE void gemm_complete(vf sum[GEMM_ROWS][GEMM_VECTORS], const float *y, size_t y_stride,
                            const k_epilogue *e, size_t row, size_t column, size_t columns,
                            size_t rows, size_t vectors, bool whole) {
  if (e != NULL) {
    const vf zero = {0};
    if (e->bias != NULL) {
      const float *bias = e->bias + column;
      GEMM_EACH sum[i][j] = sum[i][j] + gemm_load(bias, j, whole, columns);
    }
    if (e->activation == K_ACT_SIGMOID) {
      float tile[GEMM_ROWS * GEMM_VECTORS * VL] __attribute__((aligned(64)));
      GEMM_EACH v_store(tile + (i * vectors + j) * VL, sum[i][j]);
      K_FN(gemm_sigmoid)(tile, rows * vectors * VL);
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
}

// The same, and the store.
K_INLINE void gemm_finish(float *y, size_t y_stride, vf sum[GEMM_ROWS][GEMM_VECTORS],
                          const k_epilogue *e, size_t row, size_t column, size_t columns,
                          size_t rows, size_t vectors, bool whole) {
  gemm_complete(sum, y, y_stride, e, row, column, columns, rows, vectors, whole);
  GEMM_EACH gemm_store(y + i * y_stride, sum[i][j], j, whole, columns);
}

// Fetches what the epilogue of a tile will read and where it will write, while its products are
// formed.
K_INLINE void gemm_fetch(const float *y, size_t y_stride, const k_epilogue *e, size_t row,
                         size_t column, size_t rows, size_t panels) {
  if (y != NULL) {
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
#pragma unroll
      for (size_t j = 0; j < panels; j++) {
        __builtin_prefetch(y + i * y_stride + j * K_GEMM_PANEL, 1);
      }
    }
  }
  if (e != NULL && e->residual != NULL) {
    const float *residual = e->residual + row * e->residual_stride + column;
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
#pragma unroll
      for (size_t j = 0; j < panels; j++) {
        __builtin_prefetch(residual + i * e->residual_stride + j * K_GEMM_PANEL, 0, 2);
      }
    }
  }
}
