#include "include/blend.h"

#include "dispatch_internal.h"

K_DISPATCHED(blend_forward)
K_DISPATCHED(blend_backward)
K_DISPATCHED(channel_affine_forward)
K_DISPATCHED(channel_affine_backward)
K_DISPATCHED(shifted_relu_rows)

void k_blend_forward(float *y, const float *a, const float *b, const float *m, size_t rows,
                     size_t c) {
  K_CALL(blend_forward)(y, a, b, m, rows, c);
}

void k_blend_backward(float *da, float *db, float *dm, const float *dy, const float *a,
                      const float *b, const float *m, size_t rows, size_t c) {
  K_CALL(blend_backward)(da, db, dm, dy, a, b, m, rows, c);
}

void k_channel_affine_forward(float *y, const float *x, const float *scale, const float *shift,
                              size_t rows, size_t c) {
  K_CALL(channel_affine_forward)(y, x, scale, shift, rows, c);
}

void k_shifted_relu_rows(float *y, size_t y_stride, const float *x, const float *shift, size_t rows,
                         size_t c) {
  K_CALL(shifted_relu_rows)(y, y_stride, x, shift, rows, c);
}

void k_channel_affine_backward(float *dx, float *dscale, float *dshift, const float *dy,
                               const float *x, const float *scale, size_t rows, size_t c) {
  K_CALL(channel_affine_backward)(dx, dscale, dshift, dy, x, scale, rows, c);
}
