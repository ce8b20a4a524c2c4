// All kernels compiled for level `avx512`.
#if defined(__x86_64__)
#define K_LEVEL 512
#include <immintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#include "all_impl.h"
#pragma clang attribute pop
#endif
