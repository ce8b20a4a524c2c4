#include "include/wavelet.h"

#include "dispatch_internal.h"

K_DISPATCHED(wavelet_analysis)
K_DISPATCHED(wavelet_synthesis)

void k_wavelet_analysis(float *low, float *high, const float *x, const int32_t *map,
                        const float *low_taps, const float *high_taps, size_t taps, size_t begin,
                        size_t end, size_t inner) {
  K_CALL(wavelet_analysis)(low, high, x, map, low_taps, high_taps, taps, begin, end, inner);
}

void k_wavelet_synthesis(float *y, const float *low, const float *high, const int32_t *first,
                         const int32_t *list, const float *low_taps, const float *high_taps,
                         size_t taps, size_t begin, size_t end, size_t m, size_t inner) {
  K_CALL(wavelet_synthesis)(y, low, high, first, list, low_taps, high_taps, taps, begin, end, m,
                            inner);
}
