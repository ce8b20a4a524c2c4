#include "include/blend.h"

K_IMPLEMENTS(blend_forward);
K_IMPLEMENTS(blend_backward);
K_IMPLEMENTS(channel_affine_forward);
K_IMPLEMENTS(channel_affine_backward);
K_IMPLEMENTS(shifted_relu_rows);

void K_FN(blend_forward)(float *y, const float *a, const float *b, const float *m, size_t rows,
                         size_t c) {
  for (size_t row = 0; row < rows; row++, y += c, a += c, b += c) {
    for (size_t i = 0; i < c; i += VL) {
      const vf other = v_load_n(b + i, c - i);
      const vf weight = v_load_n(m + i, c - i);
      v_store_n(y + i, other + weight * (v_load_n(a + i, c - i) - other), c - i);
    }
  }
}

void K_FN(blend_backward)(float *da, float *db, float *dm, const float *dy, const float *a,
                          const float *b, const float *m, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++) {
    const size_t first = row * c;
    for (size_t i = 0; i < c; i += VL) {
      const size_t lanes = c - i;
      const vf upstream = v_load_n(dy + first + i, lanes);
      const vf part = upstream * v_load_n(m + i, lanes);
      if (da != NULL) v_store_n(da + first + i, part, lanes);
      if (db != NULL) v_store_n(db + first + i, upstream - part, lanes);
      if (dm != NULL) {
        const vf difference = v_load_n(a + first + i, lanes) - v_load_n(b + first + i, lanes);
        v_store_n(dm + i, v_load_n(dm + i, lanes) + upstream * difference, lanes);
      }
    }
  }
}

void K_FN(channel_affine_forward)(float *y, const float *x, const float *scale,
                                  const float *shift, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++, y += c, x += c) {
    for (size_t i = 0; i < c; i += VL) {
      const size_t lanes = c - i;
      v_store_n(y + i,
                v_load_n(scale + i, lanes) * v_load_n(x + i, lanes) + v_load_n(shift + i, lanes),
                lanes);
    }
  }
}

void K_FN(shifted_relu_rows)(float *y, size_t y_stride, const float *x, const float *shift,
                             size_t rows, size_t c) {
  const vf zero = {0};
  for (size_t row = 0; row < rows; row++, y += y_stride, x += c) {
    for (size_t i = 0; i < c; i += VL) {
      const size_t lanes = c - i;
      const vf sum = v_load_n(x + i, lanes) + v_load_n(shift + i, lanes);
      v_store_n(y + i, v_select(sum < zero, zero, sum), lanes);
    }
  }
}

void K_FN(channel_affine_backward)(float *dx, float *dscale, float *dshift, const float *dy,
                                   const float *x, const float *scale, size_t rows, size_t c) {
  for (size_t row = 0; row < rows; row++) {
    const size_t first = row * c;
    for (size_t i = 0; i < c; i += VL) {
      const size_t lanes = c - i;
      const vf upstream = v_load_n(dy + first + i, lanes);
      if (dx != NULL) v_store_n(dx + first + i, upstream * v_load_n(scale + i, lanes), lanes);
      if (dscale != NULL) {
        const vf product = upstream * v_load_n(x + first + i, lanes);
        v_store_n(dscale + i, v_load_n(dscale + i, lanes) + product, lanes);
      }
      if (dshift != NULL) v_store_n(dshift + i, v_load_n(dshift + i, lanes) + upstream, lanes);
    }
  }
}
