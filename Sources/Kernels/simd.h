// One vocabulary of vectors for all levels. Included by isa_*.c after K_LEVEL is set; no include
// guard, because each level is a translation unit of its own.
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if K_LEVEL == 512
enum { VL = 16 };
#define K_FN(name) name##_avx512
#elif K_LEVEL == 256
enum { VL = 8 };
#define K_FN(name) name##_avx2
#else
enum { VL = 4 };
#define K_FN(name) name##_base
#endif

// Declares this level's version of `k_<name>` with the signature of the public header, so that the
// two cannot drift apart.
#define K_IMPLEMENTS(name) extern __typeof__(k_##name) K_FN(name)

// For helpers whose constant arguments must reach the innermost loop.
#define K_INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(VL * 4)));
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef float vf_unaligned __attribute__((vector_size(VL * 4), aligned(4), may_alias));

K_INLINE vf v_load(const float *p) { return *(const vf_unaligned *)p; }
K_INLINE void v_store(float *p, vf x) { *(vf_unaligned *)p = x; }
K_INLINE vf v_set1(float x) { return x - (vf){0}; }
K_INLINE vi v_set1_int(int32_t x) { return x - (vi){0}; }

// First n (0 ≤ n ≤ VL) lanes; the others read as zero, and nothing beyond them is touched.
#if K_LEVEL == 512
K_INLINE vf v_load_tail(const float *p, size_t n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
K_INLINE void v_store_tail(float *p, vf x, size_t n) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
}
#elif K_LEVEL == 256
static const int32_t v_tail_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
K_INLINE vf v_load_tail(const float *p, size_t n) {
  return (vf)_mm256_maskload_ps(p, _mm256_loadu_si256((const __m256i *)(v_tail_mask + 8 - n)));
}
// In halves: masked stores of this level are microcoded on some CPUs.
K_INLINE void v_store_tail(float *p, vf x, size_t n) {
  if (n >= VL) {
    _mm256_storeu_ps(p, (__m256)x);
    return;
  }
  __m128 part = _mm256_castps256_ps128((__m256)x);
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps((__m256)x, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi((__m64 *)p, part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
}
#else
K_INLINE vf v_load_tail(const float *p, size_t n) {
  vf x = {0};
  for (size_t i = 0; i < n; i++) x[i] = p[i];
  return x;
}
K_INLINE void v_store_tail(float *p, vf x, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] = x[i];
}
#endif

// VL lanes or, at the end of a row, the n that are left.
K_INLINE vf v_load_n(const float *p, size_t n) { return n >= VL ? v_load(p) : v_load_tail(p, n); }
K_INLINE void v_store_n(float *p, vf x, size_t n) {
  if (n >= VL) v_store(p, x);
  else v_store_tail(p, x, n);
}

// Lanes of a where the mask is all ones, of b where it is zero.
K_INLINE vf v_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
// The larger; b if either is NaN.
K_INLINE vf v_max(vf a, vf b) { return v_select(a > b, a, b); }
// The larger or smaller; NaN if either is.
K_INLINE vf v_max_nan(vf a, vf b) { return v_select((a > b) | (a != a), a, b); }
K_INLINE vf v_min_nan(vf a, vf b) { return v_select((a < b) | (a != a), a, b); }
K_INLINE vf v_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
K_INLINE vf v_copysign(vf magnitude, vf sign) {
  return (vf)(((vi)magnitude & 0x7fffffff) | ((vi)sign & INT32_MIN));
}
K_INLINE vf v_sqrt(vf x) { return __builtin_elementwise_sqrt(x); }

// Folds halves onto each other, so a sum has the same bits on every call of one level.
K_INLINE float v_sum(vf x) {
#if K_LEVEL == 512
  typedef float half_vector __attribute__((vector_size(32)));
  half_vector h = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) +
                  __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
#elif K_LEVEL == 256
  vf h = x;
#endif
  typedef float quarter __attribute__((vector_size(16)));
#if K_LEVEL == 0
  quarter q = x;
#else
  quarter q = __builtin_shufflevector(h, h, 0, 1, 2, 3) + __builtin_shufflevector(h, h, 4, 5, 6, 7);
#endif
  q += __builtin_shufflevector(q, q, 2, 3, 0, 1);
  return q[0] + q[1];
}

// The largest lane; NaN if any lane is NaN.
K_INLINE float v_reduce_max(vf x) {
  float lane[VL];
  v_store(lane, x);
  float best[4] = {lane[0], lane[1], lane[2], lane[3]};
  for (size_t i = 4; i < VL; i++) {
    const float v = lane[i];
    best[i % 4] = (v > best[i % 4] || v != v) ? v : best[i % 4];
  }
  for (size_t i = 1; i < 4; i++) {
    best[0] = (best[i] > best[0] || best[i] != best[i]) ? best[i] : best[0];
  }
  return best[0];
}

// The first n lanes of x, `other` in those beyond.
K_INLINE vf v_keep(vf x, size_t n, float other) {
  if (n >= VL) return x;
#if K_LEVEL == 512
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif K_LEVEL == 256
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
#else
  const vi lane = {0, 1, 2, 3};
#endif
  return v_select(lane < v_set1_int((int32_t)n), x, v_set1(other));
}

#include "vector_math.h"
