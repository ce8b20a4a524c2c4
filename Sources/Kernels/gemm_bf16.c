#include "include/gemm_bf16.h"

#include <stdbool.h>
#include <string.h>

#include "gemm_bf16_internal.h"

size_t k_gemm_bf16_packed_count(size_t k, size_t n) {
  return (n + K_GEMM_PANEL - 1) / K_GEMM_PANEL * K_GEMM_PANEL * k_bf16_words(k);
}

// To nearest even; a NaN stays one.
static uint32_t rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return (bits >> 16) | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

void k_gemm_bf16_pack(uint32_t *packed, const float *b, size_t k, size_t n, size_t stride_k,
                      size_t stride_n) {
  for (size_t column = 0; column < n; column += K_GEMM_PANEL) {
    for (size_t i = 0; i < k; i += 2) {
      for (size_t j = 0; j < K_GEMM_PANEL; j++) {
        uint32_t word = 0;
        if (column + j < n) {
          const float *at = b + i * stride_k + (column + j) * stride_n;
          word = rounded(at[0]);
          if (i + 1 < k) word |= rounded(at[stride_k]) << 16;
        }
        *packed++ = word;
      }
    }
  }
}

// Rows whose rounded inputs, hidden values and gate are kept in scratch at a time.
enum { FEED_FORWARD_ROWS = 128 };

size_t k_feed_forward_bf16_scratch_count(size_t c, size_t hidden) {
  return FEED_FORWARD_ROWS * (2 * k_bf16_words(c) + k_bf16_words(hidden) + c);
}

#if defined(__x86_64__)
void k_bf16_round(uint32_t *y, const float *x, const float *gate, size_t x_stride, size_t rows,
                  size_t k) {
  bf16_round_avx512bf16(y, x, gate, x_stride, rows, k);
}

void k_gemm_bf16(float *y, size_t y_stride, const uint32_t *x, const uint32_t *packed,
                 const k_epilogue *epilogue, size_t rows, size_t n, size_t k) {
  gemm_bf16_avx512bf16(y, y_stride, NULL, x, packed, epilogue, rows, n, k);
}

void k_feed_forward_bf16(float *y, size_t y_stride, const float *x, const float *gate_x,
                         const float *residual, const float *scale, const uint32_t *packed_key,
                         const uint32_t *packed_receptance, const uint32_t *packed_value,
                         uint32_t *scratch, size_t rows, size_t c, size_t hidden) {
  const bool shared = gate_x == x;
  uint32_t *input = scratch, *own = input + FEED_FORWARD_ROWS * k_bf16_words(c);
  uint32_t *gate_input = shared ? input : own;
  uint32_t *activations = own + FEED_FORWARD_ROWS * k_bf16_words(c);
  float *receptance = (float *)(activations + FEED_FORWARD_ROWS * k_bf16_words(hidden));
  for (size_t begin = 0; begin < rows; begin += FEED_FORWARD_ROWS) {
    const size_t count = rows - begin < FEED_FORWARD_ROWS ? rows - begin : FEED_FORWARD_ROWS;
    const k_epilogue key = {.activation = K_ACT_RELU_SQUARED};
    const k_epilogue gate = {.activation = K_ACT_SIGMOID};
    const k_epilogue value = {
      .multiply = receptance, .multiply_stride = c, .scale = scale,
      .residual = residual == NULL ? NULL : residual + begin * c, .residual_stride = c,
    };
    bf16_round_avx512bf16(input, x + begin * c, NULL, c, count, c);
    if (!shared) bf16_round_avx512bf16(gate_input, gate_x + begin * c, NULL, c, count, c);
    gemm_bf16_avx512bf16(NULL, 0, activations, input, packed_key, &key, count, hidden, c);
    gemm_bf16_avx512bf16(receptance, c, NULL, gate_input, packed_receptance, &gate, count, c, c);
    gemm_bf16_avx512bf16(y + begin * y_stride, y_stride, NULL, activations, packed_value, &value,
                         count, c, hidden);
  }
}
#else
void k_bf16_round(uint32_t *y, const float *x, const float *gate, size_t x_stride, size_t rows,
                  size_t k) {
  __builtin_trap();
}

void k_gemm_bf16(float *y, size_t y_stride, const uint32_t *x, const uint32_t *packed,
                 const k_epilogue *epilogue, size_t rows, size_t n, size_t k) {
  __builtin_trap();
}

void k_feed_forward_bf16(float *y, size_t y_stride, const float *x, const float *gate_x,
                         const float *residual, const float *scale, const uint32_t *packed_key,
                         const uint32_t *packed_receptance, const uint32_t *packed_value,
                         uint32_t *scratch, size_t rows, size_t c, size_t hidden) {
  __builtin_trap();
}
#endif
