#include "include/wavelet.h"

K_IMPLEMENTS(wavelet_analysis);
K_IMPLEMENTS(wavelet_synthesis);

// Even and odd lanes of two neighbouring vectors, and the way back.
#if K_LEVEL == 512
#define WAVELET_EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define WAVELET_ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define WAVELET_FIRST 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define WAVELET_SECOND 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#elif K_LEVEL == 256
#define WAVELET_EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define WAVELET_ODD 1, 3, 5, 7, 9, 11, 13, 15
#define WAVELET_FIRST 0, 8, 1, 9, 2, 10, 3, 11
#define WAVELET_SECOND 4, 12, 5, 13, 6, 14, 7, 15
#else
#define WAVELET_EVEN 0, 2, 4, 6
#define WAVELET_ODD 1, 3, 5, 7
#define WAVELET_FIRST 0, 4, 1, 5
#define WAVELET_SECOND 2, 6, 3, 7
#endif

// Whether `count` entries rise by one from a first one that is not negative.
K_INLINE bool wavelet_is_run(const int32_t *entries, size_t count) {
  bool is_run = entries[0] >= 0;
  for (size_t i = 1; i < count; i++) is_run &= entries[i] == entries[0] + (int32_t)i;
  return is_run;
}

// A signal of single numbers: VL coefficients at a time where no border is near.
static void K_FN(wavelet_analysis_line)(float *low, float *high, const float *x,
                                        const int32_t *map, const float *low_taps,
                                        const float *high_taps, size_t taps, size_t begin,
                                        size_t end) {
  size_t i = begin;
  while (i < end) {
    const int32_t *at = map + 2 * i;
    if (i + VL <= end && wavelet_is_run(at, 2 * (VL - 1) + taps)) {
      vf l = {0}, h = {0};
      for (size_t t = 0; t < taps; t += 2) {
        const float *in = x + at[0] + t;
        // The last pair of taps ends exactly with the last sample of the run.
        const vf a = v_load(in), b = v_load(in + VL);
        const vf even = __builtin_shufflevector(a, b, WAVELET_EVEN);
        const vf odd = __builtin_shufflevector(a, b, WAVELET_ODD);
        l = l + low_taps[t] * even + low_taps[t + 1] * odd;
        h = h + high_taps[t] * even + high_taps[t + 1] * odd;
      }
      v_store(low + i, l);
      v_store(high + i, h);
      i += VL;
      continue;
    }
    float l = 0, h = 0;
    for (size_t t = 0; t < taps; t++) {
      if (at[t] < 0) continue;
      l += low_taps[t] * x[at[t]];
      h += high_taps[t] * x[at[t]];
    }
    low[i] = l;
    high[i] = h;
    i++;
  }
}

void K_FN(wavelet_analysis)(float *low, float *high, const float *x, const int32_t *map,
                            const float *low_taps, const float *high_taps, size_t taps,
                            size_t begin, size_t end, size_t inner) {
  if (inner == 1) {
    K_FN(wavelet_analysis_line)(low, high, x, map, low_taps, high_taps, taps, begin, end);
    return;
  }
  for (size_t i = begin; i < end; i++) {
    const int32_t *at = map + 2 * i;
    for (size_t c = 0; c < inner; c += VL) {
      const size_t lanes = inner - c;
      vf l = {0}, h = {0};
      for (size_t t = 0; t < taps; t++) {
        if (at[t] < 0) continue;
        const vf value = v_load_n(x + (size_t)at[t] * inner + c, lanes);
        l = l + low_taps[t] * value;
        h = h + high_taps[t] * value;
      }
      v_store_n(low + i * inner + c, l, lanes);
      v_store_n(high + i * inner + c, h, lanes);
    }
  }
}

static void K_FN(wavelet_synthesis_line)(float *y, const float *low, const float *high,
                                         const int32_t *first, const int32_t *list,
                                         const float *low_taps, const float *high_taps,
                                         size_t taps, size_t begin, size_t end, size_t m) {
  size_t p = begin;
  while (p < end) {
    // A block in which each sample has one position of its own, in order: VL even and VL odd ones.
    if (p + 2 * VL <= end && first[p + 2 * VL] - first[p] == 2 * VL &&
        wavelet_is_run(first + p, 2 * VL) && wavelet_is_run(list + first[p], 2 * VL)) {
      const size_t e = (size_t)list[first[p]];
      const size_t last = e / 2 + VL - 1;
      if (e % 2 == 0 && e + 2 >= taps && last < m) {
        vf even = {0}, odd = {0};
        for (size_t t = 0; t < taps; t += 2) {
          const vf l = v_load(low + (e - t) / 2), h = v_load(high + (e - t) / 2);
          even = even + low_taps[t] * l + high_taps[t] * h;
          odd = odd + low_taps[t + 1] * l + high_taps[t + 1] * h;
        }
        v_store(y + p, __builtin_shufflevector(even, odd, WAVELET_FIRST));
        v_store(y + p + VL, __builtin_shufflevector(even, odd, WAVELET_SECOND));
        p += 2 * VL;
        continue;
      }
    }
    float sum = 0;
    for (int32_t q = first[p]; q < first[p + 1]; q++) {
      const size_t e = (size_t)list[q];
      for (size_t t = e % 2; t < taps && t <= e; t += 2) {
        const size_t i = (e - t) / 2;
        if (i < m) sum += low_taps[t] * low[i] + high_taps[t] * high[i];
      }
    }
    y[p++] = sum;
  }
}

void K_FN(wavelet_synthesis)(float *y, const float *low, const float *high, const int32_t *first,
                             const int32_t *list, const float *low_taps, const float *high_taps,
                             size_t taps, size_t begin, size_t end, size_t m, size_t inner) {
  if (inner == 1) {
    K_FN(wavelet_synthesis_line)(y, low, high, first, list, low_taps, high_taps, taps, begin, end,
                                 m);
    return;
  }
  for (size_t p = begin; p < end; p++) {
    for (size_t c = 0; c < inner; c += VL) {
      const size_t lanes = inner - c;
      vf sum = {0};
      for (int32_t q = first[p]; q < first[p + 1]; q++) {
        const size_t e = (size_t)list[q];
        for (size_t t = e % 2; t < taps && t <= e; t += 2) {
          const size_t i = (e - t) / 2;
          if (i >= m) continue;
          sum = sum + low_taps[t] * v_load_n(low + i * inner + c, lanes) +
                high_taps[t] * v_load_n(high + i * inner + c, lanes);
        }
      }
      v_store_n(y + p * inner + c, sum, lanes);
    }
  }
}
