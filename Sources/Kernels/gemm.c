#include "include/gemm.h"

#include <string.h>

#include "dispatch_internal.h"

K_DISPATCHED(gemm)
K_DISPATCHED(gemm_tn)

size_t k_gemm_packed_count(size_t k, size_t n) {
  return (n + K_GEMM_PANEL - 1) / K_GEMM_PANEL * K_GEMM_PANEL * k;
}

// One whole panel of a matrix whose columns are contiguous in memory (a transposed weight), in blocks
// that stay in the first-level cache.
static void pack_transposed(float *packed, const float *b, size_t k, size_t stride_n) {
  size_t i = 0;
  for (; i + K_GEMM_PANEL <= k; i += K_GEMM_PANEL) {
    for (size_t j = 0; j < K_GEMM_PANEL; j++) {
      const float *column = b + j * stride_n + i;
      float *out = packed + i * K_GEMM_PANEL + j;
      for (size_t p = 0; p < K_GEMM_PANEL; p++) out[p * K_GEMM_PANEL] = column[p];
    }
  }
  for (; i < k; i++) {
    for (size_t j = 0; j < K_GEMM_PANEL; j++) packed[i * K_GEMM_PANEL + j] = b[j * stride_n + i];
  }
}

void k_gemm_pack(float *packed, const float *b, size_t k, size_t n, size_t stride_k,
                 size_t stride_n) {
  for (size_t column = 0; column < n; column += K_GEMM_PANEL, packed += k * K_GEMM_PANEL) {
    const size_t width = n - column < K_GEMM_PANEL ? n - column : K_GEMM_PANEL;
    const float *first = b + column * stride_n;
    if (width == K_GEMM_PANEL && stride_k == 1) {
      pack_transposed(packed, first, k, stride_n);
      continue;
    }
    for (size_t i = 0; i < k; i++) {
      const float *row = first + i * stride_k;
      float *out = packed + i * K_GEMM_PANEL;
      if (width == K_GEMM_PANEL && stride_n == 1) {
        memcpy(out, row, K_GEMM_PANEL * sizeof(float));
        continue;
      }
      for (size_t j = 0; j < width; j++) out[j] = row[j * stride_n];
      for (size_t j = width; j < K_GEMM_PANEL; j++) out[j] = 0;
    }
  }
}

void k_gemm(float *y, size_t y_stride, const float *x, size_t x_stride, const float *packed,
            const k_epilogue *epilogue, size_t rows, size_t n, size_t k) {
  K_CALL(gemm)(y, y_stride, x, x_stride, packed, epilogue, rows, n, k);
}

void k_gemm_tn(float *c, const float *a, size_t a_stride, const float *b, size_t b_stride,
               bool accumulate, size_t rows, size_t n, size_t k) {
  K_CALL(gemm_tn)(c, a, a_stride, b, b_stride, accumulate, rows, n, k);
}

// Rows whose hidden activations and receptance are kept in scratch at a time.
enum { FEED_FORWARD_ROWS = 96 };

size_t k_feed_forward_scratch_count(size_t c, size_t hidden) {
  return FEED_FORWARD_ROWS * (c + hidden);
}

// `gate` and `product` are both NULL or both kept.
static void feed_forward(float *y, size_t y_stride, float *gate, float *product, const float *x,
                         const float *gate_x, const float *residual, const float *scale,
                         const float *packed_key, const float *packed_receptance,
                         const float *packed_value, float *scratch, size_t rows, size_t c,
                         size_t hidden) {
  for (size_t begin = 0; begin < rows; begin += FEED_FORWARD_ROWS) {
    const size_t count = rows - begin < FEED_FORWARD_ROWS ? rows - begin : FEED_FORWARD_ROWS;
    float *receptance = gate == NULL ? scratch : gate + begin * c;
    float *activations = scratch + FEED_FORWARD_ROWS * c;
    const k_epilogue key = {.activation = K_ACT_RELU_SQUARED};
    const k_epilogue sigmoid = {.activation = K_ACT_SIGMOID};
    const k_epilogue value = {
      .kept = product == NULL ? NULL : product + begin * c, .kept_stride = c,
      .multiply = receptance, .multiply_stride = c, .scale = scale,
      .residual = residual == NULL ? NULL : residual + begin * c, .residual_stride = c,
    };
    k_gemm(activations, hidden, x + begin * c, c, packed_key, &key, count, hidden, c);
    k_gemm(receptance, c, gate_x + begin * c, c, packed_receptance, &sigmoid, count, c, c);
    k_gemm(y + begin * y_stride, y_stride, activations, hidden, packed_value, &value, count, c,
           hidden);
  }
}

void k_feed_forward(float *y, size_t y_stride, const float *x, const float *gate_x,
                    const float *residual, const float *scale, const float *packed_key,
                    const float *packed_receptance, const float *packed_value, float *scratch,
                    size_t rows, size_t c, size_t hidden) {
  feed_forward(y, y_stride, NULL, NULL, x, gate_x, residual, scale, packed_key, packed_receptance,
               packed_value, scratch, rows, c, hidden);
}

void k_feed_forward_keeping(float *y, float *gate, float *product, const float *x,
                            const float *gate_x, const float *residual, const float *scale,
                            const float *packed_key, const float *packed_receptance,
                            const float *packed_value, float *scratch, size_t rows, size_t c,
                            size_t hidden) {
  feed_forward(y, c, gate, product, x, gate_x, residual, scale, packed_key, packed_receptance,
               packed_value, scratch, rows, c, hidden);
}
