// The kernels that need AVX512_BF16 on top of level `avx512`.
#if defined(__x86_64__)
#define K_LEVEL 512
#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("arch=x86-64-v4,avx512bf16"))), \
                             apply_to = function)
#include "simd.h"

#include "gemm_bf16_impl.h"
#pragma clang attribute pop
#endif
