/// One level of a discrete wavelet transform along one axis, forward and back.
///
/// Float32, row-major. A signal is `[n, inner]`, each band `[m, inner]`. Both directions see the
/// signal through extended positions e = 2·i + t, with i a coefficient and t a tap; tables made by
/// the caller say which sample of the signal stands at each of them, and so hold the boundary mode.
/// The number of taps is even. No argument may alias another.
#ifndef RESTORE_KERNELS_WAVELET_H
#define RESTORE_KERNELS_WAVELET_H

#include <stddef.h>
#include <stdint.h>

/// `low[i] = Σ_t low_taps[t] · x[map[2i + t]]` and `high` likewise, rows `begin ..< end` of the
/// bands. `map: [2 · (m − 1) + taps]`; a negative entry stands for zero.
void k_wavelet_analysis(float *low, float *high, const float *x, const int32_t *map,
                        const float *low_taps, const float *high_taps, size_t taps, size_t begin,
                        size_t end, size_t inner);

/// The transpose with other taps: `y[p] = Σ_e Σ_t low_taps[t] · low[(e − t) / 2] + …`, over the
/// extended positions e that stand for sample p and the t of the parity of e; rows `begin ..< end`
/// of y. Those positions are `list[first[p] ..< first[p + 1]]`.
void k_wavelet_synthesis(float *y, const float *low, const float *high, const int32_t *first,
                         const int32_t *list, const float *low_taps, const float *high_taps,
                         size_t taps, size_t begin, size_t end, size_t m, size_t inner);

#endif
