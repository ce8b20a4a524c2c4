#include "include/peak.h"

#include "dispatch_internal.h"

K_DISPATCHED(peak_multiply_add)
K_DISPATCHED(peak_operations)
K_DISPATCHED(peak_triad)

void k_peak_multiply_add(float *sink, float scale, float shift, size_t iterations) {
  K_CALL(peak_multiply_add)(sink, scale, shift, iterations);
}

size_t k_peak_operations(size_t iterations) { return K_CALL(peak_operations)(iterations); }

void k_peak_triad(float *a, const float *b, const float *c, float scale, size_t n) {
  K_CALL(peak_triad)(a, b, c, scale, n);
}
