#include "include/norm.h"

K_IMPLEMENTS(layer_norm_forward);
K_IMPLEMENTS(layer_norm_backward);
K_IMPLEMENTS(softmax_forward);
K_IMPLEMENTS(softmax_backward);
K_IMPLEMENTS(log_softmax_forward);
K_IMPLEMENTS(log_softmax_backward);
K_IMPLEMENTS(channel_normalise);
K_IMPLEMENTS(channel_normalise_backward);

// Rows of at most three vectors stay in registers from the first sum to the store. `vectors` is a
// constant at each call; the last vector has `last` lanes.
K_INLINE void layer_norm_short(float *y, float *mean, float *rstd, const float *x,
                               const float *weight, const float *bias, float eps, size_t rows,
                               size_t c, size_t vectors, size_t last) {
  const float inverse = 1.0f / (float)c;
  vf w[3], b[3];
#pragma unroll
  for (size_t i = 0; i < vectors; i++) {
    const size_t lanes = i + 1 == vectors ? last : VL;
    w[i] = weight == NULL ? v_set1(1.0f) : v_load_tail(weight + i * VL, lanes);
    b[i] = bias == NULL ? v_set1(0.0f) : v_load_tail(bias + i * VL, lanes);
  }
  for (size_t r = 0; r < rows; r++, x += c, y += c) {
    vf v[3], total = {0}, squares = {0};
#pragma unroll
    for (size_t i = 0; i < vectors; i++) {
      v[i] = v_load_tail(x + i * VL, i + 1 == vectors ? last : VL);
      total = total + v[i];
    }
    const float average = v_sum(total) * inverse;
#pragma unroll
    for (size_t i = 0; i < vectors; i++) {
      v[i] = v[i] - v_set1(average);
      const vf d = i + 1 == vectors ? v_keep(v[i], last, 0) : v[i];
      squares = squares + d * d;
    }
    const float scale = 1.0f / sqrtf(v_sum(squares) * inverse + eps);
#pragma unroll
    for (size_t i = 0; i < vectors; i++) {
      v_store_tail(y + i * VL, v[i] * v_set1(scale) * w[i] + b[i],
                   i + 1 == vectors ? last : VL);
    }
    if (mean != NULL) mean[r] = average;
    if (rstd != NULL) rstd[r] = scale;
  }
}

void K_FN(layer_norm_forward)(float *y, float *mean, float *rstd, const float *x,
                              const float *weight, const float *bias, float eps, size_t rows,
                              size_t c) {
  if (c <= VL) {
    layer_norm_short(y, mean, rstd, x, weight, bias, eps, rows, c, 1, c);
    return;
  }
  if (c <= 2 * VL) {
    layer_norm_short(y, mean, rstd, x, weight, bias, eps, rows, c, 2, c - VL);
    return;
  }
  if (c == 3 * VL) {
    layer_norm_short(y, mean, rstd, x, weight, bias, eps, rows, c, 3, VL);
    return;
  }
  const float inverse = 1.0f / (float)c;
  for (size_t r = 0; r < rows; r++, x += c, y += c) {
    // Two sums each, so that one addition need not wait for the last.
    vf total[2] = {{0}, {0}}, squares[2] = {{0}, {0}};
    size_t begin = 0;
    for (; begin + 2 * VL <= c; begin += 2 * VL) {
      total[0] = total[0] + v_load(x + begin);
      total[1] = total[1] + v_load(x + begin + VL);
    }
    for (size_t i = begin; i < c; i += VL) total[0] = total[0] + v_load_n(x + i, c - i);
    const float average = v_sum(total[0] + total[1]) * inverse;
    const vf middle = v_set1(average);
    for (size_t i = 0; i < begin; i += 2 * VL) {
      const vf d = v_load(x + i) - middle, e = v_load(x + i + VL) - middle;
      squares[0] = squares[0] + d * d;
      squares[1] = squares[1] + e * e;
    }
    for (size_t i = begin; i < c; i += VL) {
      const vf d = v_keep(v_load_n(x + i, c - i) - middle, c - i, 0);
      squares[0] = squares[0] + d * d;
    }
    const float scale = 1.0f / sqrtf(v_sum(squares[0] + squares[1]) * inverse + eps);
    const vf factor = v_set1(scale);
    for (size_t i = 0; i < c; i += VL) {
      vf v = (v_load_n(x + i, c - i) - middle) * factor;
      if (weight != NULL) v = v * v_load_n(weight + i, c - i);
      if (bias != NULL) v = v + v_load_n(bias + i, c - i);
      v_store_n(y + i, v, c - i);
    }
    if (mean != NULL) mean[r] = average;
    if (rstd != NULL) rstd[r] = scale;
  }
}

void K_FN(layer_norm_backward)(float *dx, float *dweight, float *dbias, const float *dy,
                               const float *x, const float *mean, const float *rstd,
                               const float *weight, bool accumulate, size_t rows, size_t c) {
  const float inverse = 1.0f / (float)c;
  for (size_t r = 0; r < rows; r++, x += c, dy += c, dx += c) {
    const vf middle = v_set1(mean[r]), scale = v_set1(rstd[r]);
    // With g = dy·weight and h = (x − mean)·rstd: dx = rstd·(g − mean(g) − h·mean(g·h)).
    vf total = {0}, product = {0};
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i;
      const vf normal = (v_load_n(x + i, left) - middle) * scale;
      vf gradient = v_load_n(dy + i, left);
      if (dweight != NULL) {
        v_store_n(dweight + i, v_load_n(dweight + i, left) + gradient * normal, left);
      }
      if (dbias != NULL) v_store_n(dbias + i, v_load_n(dbias + i, left) + gradient, left);
      if (weight != NULL) gradient = gradient * v_load_n(weight + i, left);
      total = total + gradient;
      product = product + v_keep(gradient * normal, left, 0);
    }
    const vf first = v_set1(v_sum(total) * inverse), second = v_set1(v_sum(product) * inverse);
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i;
      const vf normal = (v_load_n(x + i, left) - middle) * scale;
      vf gradient = v_load_n(dy + i, left);
      if (weight != NULL) gradient = gradient * v_load_n(weight + i, left);
      vf v = scale * (gradient - first - normal * second);
      if (accumulate) v = v + v_load_n(dx + i, left);
      v_store_n(dx + i, v, left);
    }
  }
}

// The largest element of a row; NaN if any is.
K_INLINE float row_maximum(const float *x, size_t c) {
  vf best = v_set1(-INFINITY);
  for (size_t i = 0; i < c; i += VL) {
    best = v_max_nan(best, v_keep(v_load_n(x + i, c - i), c - i, -INFINITY));
  }
  return v_reduce_max(best);
}

void K_FN(softmax_forward)(float *y, const float *x, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, x += c, y += c) {
    const vf maximum = v_set1(row_maximum(x, c));
    vf total = {0};
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i;
      const vf e = v_exp_full(v_load_n(x + i, left) - maximum);
      v_store_n(y + i, e, left);
      total = total + v_keep(e, left, 0);
    }
    const vf factor = v_set1(1.0f / v_sum(total));
    for (size_t i = 0; i < c; i += VL) v_store_n(y + i, v_load_n(y + i, c - i) * factor, c - i);
  }
}

void K_FN(softmax_backward)(float *dx, const float *dy, const float *y, bool accumulate,
                            size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, dx += c, dy += c, y += c) {
    vf total = {0};
    for (size_t i = 0; i < c; i += VL) {
      total = total + v_load_n(dy + i, c - i) * v_load_n(y + i, c - i);
    }
    const vf mean = v_set1(v_sum(total));
    for (size_t i = 0; i < c; i += VL) {
      vf v = v_load_n(y + i, c - i) * (v_load_n(dy + i, c - i) - mean);
      if (accumulate) v = v + v_load_n(dx + i, c - i);
      v_store_n(dx + i, v, c - i);
    }
  }
}

void K_FN(log_softmax_forward)(float *y, const float *x, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, x += c, y += c) {
    const float peak = row_maximum(x, c);
    const vf maximum = v_set1(peak);
    vf total = {0};
    for (size_t i = 0; i < c; i += VL) {
      total = total + v_keep(v_exp_full(v_load_n(x + i, c - i) - maximum), c - i, 0);
    }
    const vf shift = v_set1(logf(v_sum(total)));
    for (size_t i = 0; i < c; i += VL) {
      v_store_n(y + i, v_load_n(x + i, c - i) - maximum - shift, c - i);
    }
  }
}

void K_FN(log_softmax_backward)(float *dx, const float *dy, const float *y, bool accumulate,
                                size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, dx += c, dy += c, y += c) {
    vf total = {0};
    for (size_t i = 0; i < c; i += VL) total = total + v_load_n(dy + i, c - i);
    const vf sum = v_set1(v_sum(total));
    for (size_t i = 0; i < c; i += VL) {
      vf v = v_load_n(dy + i, c - i) - v_exp_full(v_load_n(y + i, c - i)) * sum;
      if (accumulate) v = v + v_load_n(dx + i, c - i);
      v_store_n(dx + i, v, c - i);
    }
  }
}

void K_FN(channel_normalise)(float *y, const float *x, const float *mean, const float *scale,
                             const float *shift, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, x += c, y += c) {
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i;
      const vf d = v_load_n(x + i, left) - v_load_n(mean + i, left);
      v_store_n(y + i, d * v_load_n(scale + i, left) + v_load_n(shift + i, left), left);
    }
  }
}

void K_FN(channel_normalise_backward)(float *dx, const float *dy, const float *x,
                                      const float *mean, const float *a, const float *b,
                                      const float *d, bool accumulate, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++, x += c, dy += c, dx += c) {
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i;
      const vf shifted = v_load_n(x + i, left) - v_load_n(mean + i, left);
      vf v = v_load_n(a + i, left) * v_load_n(dy + i, left) +
             (v_load_n(b + i, left) * shifted + v_load_n(d + i, left));
      if (accumulate) v = v + v_load_n(dx + i, left);
      v_store_n(dx + i, v, left);
    }
  }
}
