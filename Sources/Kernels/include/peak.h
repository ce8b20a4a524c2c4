/// Two loops that do nothing useful as fast as the machine can: what other kernels are measured
/// against.
#ifndef RESTORE_KERNELS_PEAK_H
#define RESTORE_KERNELS_PEAK_H

#include <stddef.h>

/// Runs `iterations` rounds of independent `x = x · scale + shift` in registers, from x = 1, and
/// writes one result to `sink: [1]`, so that the loop is not removed.
///
/// Fused multiply-adds where the level has them, a product and a sum elsewhere.
void k_peak_multiply_add(float *sink, float scale, float shift, size_t iterations);

/// Floating-point operations of `k_peak_multiply_add`, products and sums counted apart.
size_t k_peak_operations(size_t iterations);

/// The triad of the STREAM benchmark, `a = b + scale · c`; `a, b, c: [n]` do not overlap.
///
/// It is counted with 12 bytes an element, though most CPUs also read what they are to overwrite.
///
/// Source: McCalpin, *Memory Bandwidth and Machine Balance*, IEEE TCCA Newsletter 1995.
void k_peak_triad(float *a, const float *b, const float *c, float scale, size_t n);

#endif
