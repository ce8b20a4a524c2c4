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

void K_FN(sum_parts)(float *y, const float *parts, bool accumulate, size_t begin, size_t end,
                     size_t count, size_t stride) {
  for (size_t i = begin; i < end; i += VL) {
    const size_t left = end - i;
    vf sum = accumulate ? v_load_n(y + i, left) : (vf){0};
    for (size_t part = 0; part < count; part++) {
      sum = sum + v_load_n(parts + part * stride + i, left);
    }
    v_store_n(y + i, sum, left);
  }
}

void K_FN(scaled_weight_gradient)(float *dw, float *dscale, float *parts, const float *w,
                                  const float *scale, bool adds_weight, bool adds_scale,
                                  size_t begin, size_t end, size_t count, size_t n, size_t k) {
  for (size_t row = begin; row < end; row++) {
    vf dot = {0};
    const vf factor = v_set1(scale != NULL ? scale[row] : 1.0f);
    for (size_t j = 0; j < k; j += VL) {
      const size_t left = k - j, at = row * k + j;
      vf g = v_load_n(parts + at, left);
      for (size_t part = 1; part < count; part++) {
        g = g + v_load_n(parts + part * n * k + at, left);
      }
      v_store_n(parts + at, g, left);
      dot = dot + g * v_load_n(w + at, left);
      if (dw == NULL) continue;
      vf scaled = g * factor;
      if (adds_weight) scaled = v_load_n(dw + at, left) + scaled;
      v_store_n(dw + at, scaled, left);
    }
    if (dscale != NULL) dscale[row] = (adds_scale ? dscale[row] : 0) + v_sum(dot);
  }
}
