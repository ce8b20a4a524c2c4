#include "include/reduce.h"

K_IMPLEMENTS(sum_of_squares);
K_IMPLEMENTS(dot);
K_IMPLEMENTS(all_finite);
K_IMPLEMENTS(row_sum);
K_IMPLEMENTS(row_max);
K_IMPLEMENTS(column_sum);
K_IMPLEMENTS(column_max);
K_IMPLEMENTS(column_moments);
K_IMPLEMENTS(column_gradient_moments);

// MARK: - Whole arrays

// Sixteen lanes at every level; the compiler splits them into what the level has.
enum { WIDE = 16 };
typedef double vd_wide __attribute__((vector_size(WIDE * 8)));
typedef float vf_wide_unaligned __attribute__((vector_size(WIDE * 4), aligned(4), may_alias));

#define REDUCE_SUM(term)                                                        \
  vd_wide total = {0};                                                          \
  size_t i = 0;                                                                 \
  for (; i + WIDE <= n; i += WIDE) total = total + (term(vf_wide_load)); \
  double lane[WIDE];                                                            \
  memcpy(lane, &total, sizeof lane);                                            \
  for (size_t j = 0; i < n; i++, j++) lane[j] += (term(scalar_load));   \
  for (size_t width = WIDE / 2; width > 0; width /= 2) {                        \
    for (size_t j = 0; j < width; j++) lane[j] += lane[j + width];              \
  }                                                                             \
  return lane[0];

#define vf_wide_load(p) __builtin_convertvector(*(const vf_wide_unaligned *)(p), vd_wide)
#define scalar_load(p) ((double)*(p))

double K_FN(sum_of_squares)(const float *x, size_t n) {
#define TERM(load) load(x + i) * load(x + i)
  REDUCE_SUM(TERM)
#undef TERM
}

double K_FN(dot)(const float *a, const float *b, size_t n) {
#define TERM(load) load(a + i) * load(b + i)
  REDUCE_SUM(TERM)
#undef TERM
}

#undef vf_wide_load
#undef scalar_load

bool K_FN(all_finite)(const float *x, size_t n) {
  // An exponent of all ones is infinite or NaN.
  const int32_t exponent = 0x7f800000;
  vi bad = {0};
  size_t i = 0;
  for (; i + VL <= n; i += VL) bad |= ((vi)v_load(x + i) & exponent) == exponent;
  if (i < n) bad |= ((vi)v_load_tail(x + i, n - i) & exponent) == exponent;
  int32_t any = 0;
  for (size_t j = 0; j < VL; j++) any |= bad[j];
  return any == 0;
}

// MARK: - Rows

void K_FN(row_sum)(float *y, const float *x, bool accumulate, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, x += c) {
    vf total = {0};
    for (size_t i = 0; i < c; i += VL) total = total + v_load_n(x + i, c - i);
    y[r] = v_sum(total) + (accumulate ? y[r] : 0);
  }
}

void K_FN(row_max)(float *y, const float *x, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, x += c) {
    vf best = v_set1(-INFINITY);
    size_t i = 0;
    for (; i + VL <= c; i += VL) best = v_max_nan(best, v_load(x + i));
    float result = v_reduce_max(best);
    for (; i < c; i++) result = (x[i] > result || x[i] != x[i]) ? x[i] : result;
    y[r] = result;
  }
}

// MARK: - Columns

// Visits columns in strips of four vectors, kept in registers while all rows pass. `start` is the
// value of an accumulator that takes nothing over from y; `step` combines it with vector `at` of
// row r.
#define COLUMNS(start, step)                                                          \
  size_t column = 0;                                                                  \
  for (; column + 4 * VL <= c; column += 4 * VL) {                                    \
    vf best[4];                                                                       \
    for (size_t j = 0; j < 4; j++) {                                                  \
      best[j] = accumulate ? v_load(y + column + j * VL) : (start);                   \
    }                                                                                 \
    for (size_t r = 0; r < rows; r++) {                                               \
      _Pragma("unroll") for (size_t j = 0; j < 4; j++) {                              \
        const size_t at = column + j * VL, left = VL;                                 \
        best[j] = step(best[j]);                                                      \
      }                                                                               \
    }                                                                                 \
    for (size_t j = 0; j < 4; j++) v_store(y + column + j * VL, best[j]);             \
  }                                                                                   \
  for (; column < c; column += VL) {                                                  \
    const size_t at = column, left = c - column;                                      \
    vf best = accumulate ? v_load_n(y + column, left) : (start);                      \
    for (size_t r = 0; r < rows; r++) best = step(best);                              \
    v_store_n(y + column, best, left);                                                \
  }

void K_FN(column_sum)(float *y, const float *x, size_t x_stride, bool accumulate, size_t rows,
                      size_t c) {
#define STEP(best) best + v_load_n(x + r * x_stride + at, left)
  COLUMNS((vf){0}, STEP)
#undef STEP
}

void K_FN(column_max)(float *y, const float *x, size_t x_stride, bool accumulate, size_t rows,
                      size_t c) {
#define STEP(best) v_max_nan(best, v_load_n(x + r * x_stride + at, left))
  COLUMNS(v_set1(-INFINITY), STEP)
#undef STEP
}

// Strips of half a vector, so that both double sums of a strip stay in registers over all rows.
// Each number is widened at once: flushing float sums now and then would lose the low bits of long
// columns.
enum { HALF = VL / 2 };
typedef float vf_half_unaligned __attribute__((vector_size(HALF * 4), aligned(4), may_alias));
typedef double vd __attribute__((vector_size(HALF * 8)));
typedef double vd_unaligned __attribute__((vector_size(HALF * 8), aligned(8), may_alias));

K_INLINE vd v_widen(const float *p) {
  return __builtin_convertvector(*(const vf_half_unaligned *)p, vd);
}

void K_FN(column_moments)(double *sum, double *squares, const float *x, const float *center,
                          size_t rows, size_t c) {
  size_t column = 0;
  for (; column + HALF <= c; column += HALF) {
    const vd middle = center == NULL ? (vd){0} : v_widen(center + column);
    vd first = *(const vd_unaligned *)(sum + column), second = {0};
    if (squares != NULL) second = *(const vd_unaligned *)(squares + column);
    for (size_t r = 0; r < rows; r++) {
      const vd d = v_widen(x + r * c + column) - middle;
      first = first + d;
      second = second + d * d;
    }
    *(vd_unaligned *)(sum + column) = first;
    if (squares != NULL) *(vd_unaligned *)(squares + column) = second;
  }
  for (; column < c; column++) {
    const double middle = center == NULL ? 0 : (double)center[column];
    for (size_t r = 0; r < rows; r++) {
      const double d = (double)x[r * c + column] - middle;
      sum[column] += d;
      if (squares != NULL) squares[column] += d * d;
    }
  }
}

void K_FN(column_gradient_moments)(double *sum, double *dot, const float *dy, const float *x,
                                   const float *center, size_t rows, size_t c) {
  size_t column = 0;
  for (; column + HALF <= c; column += HALF) {
    const vd middle = v_widen(center + column);
    vd first = *(const vd_unaligned *)(sum + column);
    vd second = *(const vd_unaligned *)(dot + column);
    for (size_t r = 0; r < rows; r++) {
      const vd g = v_widen(dy + r * c + column);
      first = first + g;
      second = second + g * (v_widen(x + r * c + column) - middle);
    }
    *(vd_unaligned *)(sum + column) = first;
    *(vd_unaligned *)(dot + column) = second;
  }
  for (; column < c; column++) {
    for (size_t r = 0; r < rows; r++) {
      const double g = (double)dy[r * c + column];
      sum[column] += g;
      dot[column] += g * ((double)x[r * c + column] - (double)center[column]);
    }
  }
}
