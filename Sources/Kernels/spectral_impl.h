#include "include/spectral.h"

K_IMPLEMENTS(spectrum_split);
K_IMPLEMENTS(spectrum_join);
K_IMPLEMENTS(rows_join);
K_IMPLEMENTS(rows_split);
K_IMPLEMENTS(row_spectra_split);
K_IMPLEMENTS(row_spectra_join);
K_IMPLEMENTS(transpose_complex);
K_IMPLEMENTS(spectrum_scale);
K_IMPLEMENTS(spectrum_scale_backward);
K_IMPLEMENTS(assemble_kernel_forward);
K_IMPLEMENTS(assemble_kernel_backward);

void K_FN(spectrum_split)(float *restrict y, const float *restrict z, float edge, float inner,
                          size_t n, size_t pairs) {
  for (size_t k = 0; k <= n / 2; k++) {
    const float half = 0.5f * (k == 0 || 2 * k == n ? edge : inner);
    const float *a = z + k * 2 * pairs, *b = z + (k == 0 ? 0 : n - k) * 2 * pairs;
    float *out = y + k * 4 * pairs;
#pragma clang loop vectorize(assume_safety)
    for (size_t p = 0; p < pairs; p++) {
      const float ar = a[2 * p], ai = a[2 * p + 1], br = b[2 * p], bi = b[2 * p + 1];
      out[4 * p] = half * (ar + br);
      out[4 * p + 1] = half * (ai - bi);
      out[4 * p + 2] = half * (ai + bi);
      out[4 * p + 3] = half * (br - ar);
    }
  }
}

void K_FN(spectrum_join)(float *restrict z, const float *restrict y, float edge, float inner,
                         size_t n, size_t pairs) {
  for (size_t k = 0; k <= n / 2; k++) {
    const bool is_edge = k == 0 || 2 * k == n;
    const float *in = y + k * 4 * pairs;
    float *a = z + k * 2 * pairs;
    if (is_edge) {
      for (size_t p = 0; p < pairs; p++) {
        a[2 * p] = edge * in[4 * p];
        a[2 * p + 1] = edge * in[4 * p + 2];
      }
      continue;
    }
    float *b = z + (n - k) * 2 * pairs;
#pragma clang loop vectorize(assume_safety)
    for (size_t p = 0; p < pairs; p++) {
      const float xr = inner * in[4 * p], xi = inner * in[4 * p + 1];
      const float ur = inner * in[4 * p + 2], ui = inner * in[4 * p + 3];
      a[2 * p] = xr - ui;
      a[2 * p + 1] = xi + ur;
      b[2 * p] = xr + ui;
      b[2 * p + 1] = ur - xi;
    }
  }
}

void K_FN(rows_join)(float *restrict z, const float *restrict x, size_t x_stride, size_t n) {
  for (size_t i = 0; i < n; i++) {
    z[2 * i] = x[i];
    z[2 * i + 1] = x[x_stride + i];
  }
}

void K_FN(rows_split)(float *restrict x, size_t x_stride, const float *restrict z, size_t n) {
  float *restrict other = x + x_stride;
  for (size_t i = 0; i < n; i++) {
    x[i] = z[2 * i];
    other[i] = z[2 * i + 1];
  }
}

void K_FN(row_spectra_split)(float *restrict y, size_t y_stride, const float *restrict z,
                             float edge, float inner, size_t n) {
  float *restrict other = y + y_stride;
  const float half = 0.5f * inner;
  // Entries that are their own counterparts are real.
  y[0] = edge * z[0], y[1] = 0;
  other[0] = edge * z[1], other[1] = 0;
  const size_t end = (n + 1) / 2;
  const float *back = z + 2 * n;
#pragma clang loop vectorize(assume_safety)
  for (size_t k = 1; k < end; k++) {
    const float ar = z[2 * k], ai = z[2 * k + 1];
    const float br = back[-2 * (ptrdiff_t)k], bi = back[-2 * (ptrdiff_t)k + 1];
    y[2 * k] = half * (ar + br);
    y[2 * k + 1] = half * (ai - bi);
    other[2 * k] = half * (ai + bi);
    other[2 * k + 1] = half * (br - ar);
  }
  if (n % 2 == 0) {
    y[n] = edge * z[n], y[n + 1] = 0;
    other[n] = edge * z[n + 1], other[n + 1] = 0;
  }
}

void K_FN(row_spectra_join)(float *restrict z, const float *restrict y, size_t y_stride, float edge,
                            float inner, size_t n) {
  const float *restrict other = y + y_stride;
  z[0] = edge * y[0], z[1] = edge * other[0];
  const size_t end = (n + 1) / 2;
  float *back = z + 2 * n;
#pragma clang loop vectorize(assume_safety)
  for (size_t k = 1; k < end; k++) {
    const float xr = inner * y[2 * k], xi = inner * y[2 * k + 1];
    const float ur = inner * other[2 * k], ui = inner * other[2 * k + 1];
    z[2 * k] = xr - ui;
    z[2 * k + 1] = xi + ur;
    back[-2 * (ptrdiff_t)k] = xr + ui;
    back[-2 * (ptrdiff_t)k + 1] = ur - xi;
  }
  if (n % 2 == 0) z[n] = edge * y[n], z[n + 1] = edge * other[n];
}

// Pairs of floats as numbers of 64 bits.
typedef uint64_t complex_bits __attribute__((aligned(4), may_alias));

// A block of 4 x 4 complex numbers: row i of the result to y[i].
K_INLINE void transpose_complex_4x4(complex_bits *const y[4], const complex_bits *const x[4]) {
  typedef uint64_t quad __attribute__((vector_size(32)));
  typedef uint64_t quad_unaligned __attribute__((vector_size(32), aligned(4), may_alias));
  const quad a = *(const quad_unaligned *)x[0], b = *(const quad_unaligned *)x[1];
  const quad c = *(const quad_unaligned *)x[2], d = *(const quad_unaligned *)x[3];
  const quad ab_even = __builtin_shufflevector(a, b, 0, 4, 2, 6);
  const quad ab_odd = __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const quad cd_even = __builtin_shufflevector(c, d, 0, 4, 2, 6);
  const quad cd_odd = __builtin_shufflevector(c, d, 1, 5, 3, 7);
  *(quad_unaligned *)y[0] = __builtin_shufflevector(ab_even, cd_even, 0, 1, 4, 5);
  *(quad_unaligned *)y[1] = __builtin_shufflevector(ab_odd, cd_odd, 0, 1, 4, 5);
  *(quad_unaligned *)y[2] = __builtin_shufflevector(ab_even, cd_even, 2, 3, 6, 7);
  *(quad_unaligned *)y[3] = __builtin_shufflevector(ab_odd, cd_odd, 2, 3, 6, 7);
}

void K_FN(transpose_complex)(float *y, size_t y_stride, const float *x, size_t x_stride,
                             size_t rows, size_t columns) {
  const complex_bits *from = (const complex_bits *)x;
  complex_bits *to = (complex_bits *)y;
  size_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    size_t j = 0;
    for (; j + 4 <= columns; j += 4) {
      const complex_bits *in = from + i * x_stride + j;
      complex_bits *out = to + j * y_stride + i;
      const complex_bits *const sources[4] = {in, in + x_stride, in + 2 * x_stride,
                                              in + 3 * x_stride};
      complex_bits *const targets[4] = {out, out + y_stride, out + 2 * y_stride,
                                        out + 3 * y_stride};
      transpose_complex_4x4(targets, sources);
    }
    for (; j < columns; j++) {
      for (size_t l = i; l < i + 4; l++) to[j * y_stride + l] = from[l * x_stride + j];
    }
  }
  for (; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) to[j * y_stride + i] = from[i * x_stride + j];
  }
}

void K_FN(spectrum_scale)(float *d, const float *w, const float *attention, const int32_t *group,
                          float alpha, bool accumulate, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) {
    const float scale = alpha * attention[group[i]];
    const float real = scale * w[2 * i], imaginary = scale * w[2 * i + 1];
    d[2 * i] = accumulate ? d[2 * i] + real : real;
    d[2 * i + 1] = accumulate ? d[2 * i + 1] + imaginary : imaginary;
  }
}

void K_FN(spectrum_scale_backward)(float *dw, float *dattention, const float *dd, const float *w,
                                   const float *attention, const int32_t *group, float alpha,
                                   size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) {
    const float real = dd[2 * i], imaginary = dd[2 * i + 1];
    if (dw != NULL) {
      const float scale = alpha * attention[group[i]];
      dw[2 * i] += scale * real;
      dw[2 * i + 1] += scale * imaginary;
    }
    if (dattention != NULL) {
      dattention[group[i]] += alpha * (w[2 * i] * real + w[2 * i + 1] * imaginary);
    }
  }
}

// The local attention of one filter and tap for all input channels, `h: [in]`.
K_INLINE void kernel_local(float *h, const k_kernel_factors *f, size_t row, size_t in) {
  const float *taps = f->local + row * f->taps;
  for (size_t i = 0; i < in; i += VL) {
    vf sum = {0};
    for (size_t t = 0; t < f->taps; t++) {
      sum = sum + taps[t] * v_load_n(f->descriptor + i + t, in - i);
    }
    const vf value = f->is_tanh ? v_set1(1) + v_tanh(sum) : f->multiplier * v_sigmoid(sum);
    v_store_n(h + i, value, in - i);
  }
}

void K_FN(assemble_kernel_forward)(float *y, const float *a, const k_kernel_factors *f,
                                   float *scratch, size_t begin, size_t end, size_t in, size_t k) {
  for (size_t o = begin; o < end; o++) {
    for (size_t ky = 0; ky < k; ky++) {
      for (size_t kx = 0; kx < k; kx++) {
        float *h = scratch + kx * in;
        const float common = (f->filter == NULL ? 1 : f->filter[o]) *
                             (f->spatial == NULL ? 1 : f->spatial[ky * k + kx]);
        if (f->local != NULL) kernel_local(h, f, (o * k + ky) * k + kx, in);
        for (size_t i = 0; i < in; i += VL) {
          vf scale = v_set1(common);
          if (f->local != NULL) scale = scale * v_load_n(h + i, in - i);
          if (f->channel != NULL) scale = scale * v_load_n(f->channel + i, in - i);
          v_store_n(h + i, scale, in - i);
        }
      }
      const float *row = a + (o * k + ky) * in * k;
      float *out = y + o * in * k * k + ky * k;
      for (size_t i = 0; i < in; i++) {
        for (size_t kx = 0; kx < k; kx++) {
          out[i * k * k + kx] = row[i * k + kx] * scratch[kx * in + i];
        }
      }
    }
  }
}

void K_FN(assemble_kernel_backward)(const k_kernel_gradients *g, const float *dy, const float *a,
                                    const k_kernel_factors *f, float *scratch, size_t begin,
                                    size_t end, size_t in, size_t k) {
  float *products = scratch + k * in;
  for (size_t o = begin; o < end; o++) {
    const float filter = f->filter == NULL ? 1 : f->filter[o];
    float filter_sum = 0;
    for (size_t ky = 0; ky < k; ky++) {
      for (size_t kx = 0; kx < k; kx++) {
        if (f->local != NULL) kernel_local(scratch + kx * in, f, (o * k + ky) * k + kx, in);
      }
      const float *row = a + (o * k + ky) * in * k;
      const float *upstream = dy + o * in * k * k + ky * k;
      float *da = g->a + (o * k + ky) * in * k;
      for (size_t i = 0; i < in; i++) {
        const float channel = (f->channel == NULL ? 1 : f->channel[i]) * filter;
        for (size_t kx = 0; kx < k; kx++) {
          const float spatial = f->spatial == NULL ? 1 : f->spatial[ky * k + kx];
          const float local = f->local == NULL ? 1 : scratch[kx * in + i];
          const float dk = upstream[i * k * k + kx];
          da[i * k + kx] = dk * local * channel * spatial;
          products[kx * in + i] = dk * row[i * k + kx];
        }
      }
      for (size_t kx = 0; kx < k; kx++) {
        const float *h = scratch + kx * in;
        float *p = products + kx * in;
        const float spatial = f->spatial == NULL ? 1 : f->spatial[ky * k + kx];
        const float common = filter * spatial;
        vf total = {0};
        for (size_t i = 0; i < in; i += VL) {
          const size_t lanes = in - i;
          const vf product = v_load_n(p + i, lanes);
          const vf local = f->local == NULL ? v_set1(1) : v_load_n(h + i, lanes);
          const vf channel = f->channel == NULL ? v_set1(1) : v_load_n(f->channel + i, lanes);
          // Lanes beyond the end have a product of 0.
          total = total + product * local * channel;
          if (f->channel != NULL) {
            v_store_n(g->channel + i, v_load_n(g->channel + i, lanes) + common * product * local,
                      lanes);
          }
          if (f->local != NULL) {
            // Of m·σ: h·(1 − h/m); of 1 + tanh: h·(2 − h).
            const vf slope = f->is_tanh ? local * (v_set1(2) - local)
                                        : local * (v_set1(1) - local * (1 / f->multiplier));
            v_store_n(p + i, common * product * channel * slope, lanes);
          }
        }
        const float sum = v_sum(total);
        filter_sum += sum * spatial;
        if (f->spatial != NULL) g->spatial[ky * k + kx] += sum * filter;
        if (f->local == NULL) continue;
        const size_t e = (o * k + ky) * k + kx;
        for (size_t t = 0; t < f->taps; t++) {
          const float tap = f->local[e * f->taps + t];
          vf dtap = {0};
          for (size_t i = 0; i < in; i += VL) {
            const size_t lanes = in - i;
            const vf dlogit = v_load_n(p + i, lanes);
            dtap = dtap + dlogit * v_load_n(f->descriptor + i + t, lanes);
            float *dz = g->descriptor + i + t;
            v_store_n(dz, v_load_n(dz, lanes) + tap * dlogit, lanes);
          }
          g->local[e * f->taps + t] += v_sum(dtap);
        }
      }
    }
    if (f->filter != NULL) g->filter[o] = filter_sum;
  }
}
