// The one implementation of bfloat16 products: AVX512_BF16 has no narrower stand-in.
#ifndef RESTORE_KERNELS_GEMM_BF16_INTERNAL_H
#define RESTORE_KERNELS_GEMM_BF16_INTERNAL_H

#include "include/gemm_bf16.h"

void bf16_round_avx512bf16(uint32_t *y, const float *x, const float *gate, size_t x_stride,
                           size_t rows, size_t k);

// Writes float32 rows `y` or, where `y_words` is not NULL, bfloat16 rows of `words(n)` words.
void gemm_bf16_avx512bf16(float *y, size_t y_stride, uint32_t *y_words, const uint32_t *x,
                          const uint32_t *packed, const k_epilogue *epilogue, size_t rows, size_t n,
                          size_t k);

#endif
