#include "include/peak.h"

K_IMPLEMENTS(peak_multiply_add);
K_IMPLEMENTS(peak_operations);
K_IMPLEMENTS(peak_triad);

// Enough chains to hide the latency of a multiply-add on two ports; with the two constants they fit
// the 16 registers of the lower levels.
enum { PEAK_CHAINS = 12 };

// "May have changed", for the compiler: an operand in a vector register.
#if defined(__x86_64__)
#define K_VECTOR_REGISTER(x) "+v"(x)
#elif defined(__aarch64__)
#define K_VECTOR_REGISTER(x) "+w"(x)
#else
#define K_VECTOR_REGISTER(x) "+m"(x)
#endif

void K_FN(peak_multiply_add)(float *sink, float scale, float shift, size_t iterations) {
  const vf a = v_set1(scale), b = v_set1(shift);
  vf x[PEAK_CHAINS];
#pragma clang loop unroll(full)
  for (int i = 0; i < PEAK_CHAINS; i++) x[i] = v_set1(1.0f);
  for (size_t n = 0; n < iterations; n++) {
#pragma clang loop unroll(full)
    for (int i = 0; i < PEAK_CHAINS; i++) {
      x[i] = x[i] * a + b;
      // Equal chains would otherwise be computed once.
      __asm__ volatile("" : K_VECTOR_REGISTER(x[i]));
    }
  }
  // Every chain holds the same; the largest stays it whatever the rounding.
  vf top = x[0];
#pragma clang loop unroll(full)
  for (int i = 1; i < PEAK_CHAINS; i++) top = v_max(top, x[i]);
  *sink = v_reduce_max(top);
}

size_t K_FN(peak_operations)(size_t iterations) { return iterations * PEAK_CHAINS * VL * 2; }

void K_FN(peak_triad)(float *a, const float *b, const float *c, float scale, size_t n) {
  const vf s = v_set1(scale);
  for (size_t i = 0; i < n; i += VL) {
    v_store_n(a + i, v_load_n(b + i, n - i) + s * v_load_n(c + i, n - i), n - i);
  }
}
