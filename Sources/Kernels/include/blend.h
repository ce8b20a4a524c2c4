/// Mixtures of two images, and scale and shift, with one weight for each channel.
///
/// Float32, `[rows, c]` contiguous; weights `[c]`. Outputs must not alias inputs.
#ifndef RESTORE_KERNELS_BLEND_H
#define RESTORE_KERNELS_BLEND_H

#include <stddef.h>

/// `y = b + m · (a − b)`.
void k_blend_forward(float *y, const float *a, const float *b, const float *m, size_t rows,
                     size_t c);

/// Gradients of `k_blend_forward`; each output may be NULL. `dm: [c]` is added to, rows in order.
void k_blend_backward(float *da, float *db, float *dm, const float *dy, const float *a,
                      const float *b, const float *m, size_t rows, size_t c);

/// `y = scale · x + shift`.
void k_channel_affine_forward(float *y, const float *x, const float *scale, const float *shift,
                              size_t rows, size_t c);

/// `y = max(x + shift, 0)` of dense `x: [rows, c]`, rows of y `y_stride` floats apart; y may be x.
void k_shifted_relu_rows(float *y, size_t y_stride, const float *x, const float *shift, size_t rows,
                         size_t c);

/// Gradients of `k_channel_affine_forward`; each output may be NULL. `dscale, dshift: [c]` are added
/// to, rows in order.
void k_channel_affine_backward(float *dx, float *dscale, float *dshift, const float *dy,
                               const float *x, const float *scale, size_t rows, size_t c);

#endif
