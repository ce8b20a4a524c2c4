// Plain loops: the compiler vectorises them for each level. Column sums walk rows in the outer loop,
// so that every read is contiguous and the order of additions is the order of rows.

void K_FN(gate_backward)(float *dv, float *dlogit, float *dscale, const float *dy,
                         const float *scale, const float *s, const float *v, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++, dv += c, dlogit += c, dy += c, s += c, v += c) {
    if (dscale != NULL) {
      for (size_t j = 0; j < c; j++) dscale[j] += dy[j] * s[j] * v[j];
    }
#pragma clang loop vectorize(assume_safety)
    for (size_t j = 0; j < c; j++) {
      float g = scale != NULL ? dy[j] * scale[j] : dy[j];
      float gate = s[j], value = v[j];
      dv[j] = g * gate;
      dlogit[j] = g * value * gate * (1.0f - gate);
    }
  }
}

void K_FN(relu_squared_backward_from_output)(float *dx, const float *dy, const float *y, size_t n) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < n; i++) dx[i] = dy[i] * 2.0f * __builtin_elementwise_sqrt(y[i]);
}

void K_FN(scale_columns)(float *y, const float *x, const float *scale, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++, y += c, x += c) {
#pragma clang loop vectorize(assume_safety)
    for (size_t j = 0; j < c; j++) y[j] = x[j] * scale[j];
  }
}

void K_FN(product)(float *y, const float *a, const float *b, size_t n) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

void K_FN(product_backward)(float *dr, float *dv, const float *dp, const float *r, const float *v,
                            size_t n) {
  if (dr != NULL) {
#pragma clang loop vectorize(assume_safety)
    for (size_t i = 0; i < n; i++) dr[i] = dp[i] * v[i];
  }
  if (dv != NULL) {
#pragma clang loop vectorize(assume_safety)
    for (size_t i = 0; i < n; i++) dv[i] = dp[i] * r[i];
  }
}

void K_FN(add_column_dots)(float *sum, const float *a, const float *b, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++, a += c, b += c) {
#pragma clang loop vectorize(assume_safety)
    for (size_t j = 0; j < c; j++) sum[j] += a[j] * b[j];
  }
}

void K_FN(add_column_sums)(float *sum, const float *a, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++, a += c) {
#pragma clang loop vectorize(assume_safety)
    for (size_t j = 0; j < c; j++) sum[j] += a[j];
  }
}

void K_FN(sigmoid_backward_from_output)(float *dx, const float *dy, const float *y, size_t n) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

void K_FN(relu_backward_from_output)(float *dx, const float *dy, const float *y, size_t n) {
#pragma clang loop vectorize(assume_safety)
  for (size_t i = 0; i < n; i++) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

void K_FN(sum_parts)(float *y, const float *parts, int accumulate, size_t begin, size_t end,
                     size_t count, size_t n) {
  if (!accumulate) {
    for (size_t i = begin; i < end; i++) y[i] = 0.0f;
  }
  for (size_t part = 0; part < count; part++) {
    const float *x = parts + part * n;
#pragma clang loop vectorize(assume_safety)
    for (size_t i = begin; i < end; i++) y[i] += x[i];
  }
}
