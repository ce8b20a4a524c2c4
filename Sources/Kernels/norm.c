#include "include/norm.h"

#include "dispatch_internal.h"

K_DISPATCHED(layer_norm_forward)
K_DISPATCHED(layer_norm_backward)
K_DISPATCHED(softmax_forward)
K_DISPATCHED(softmax_backward)
K_DISPATCHED(log_softmax_forward)
K_DISPATCHED(log_softmax_backward)
K_DISPATCHED(channel_normalise)
K_DISPATCHED(channel_normalise_backward)

void k_layer_norm_forward(float *y, float *mean, float *rstd, const float *x, const float *weight,
                          const float *bias, float eps, size_t rows, size_t c) {
  K_CALL(layer_norm_forward)(y, mean, rstd, x, weight, bias, eps, rows, c);
}

void k_layer_norm_backward(float *dx, float *dweight, float *dbias, const float *dy,
                           const float *x, const float *mean, const float *rstd,
                           const float *weight, bool accumulate, size_t rows, size_t c) {
  K_CALL(layer_norm_backward)
  (dx, dweight, dbias, dy, x, mean, rstd, weight, accumulate, rows, c);
}

void k_softmax_forward(float *y, const float *x, size_t rows, size_t c) {
  K_CALL(softmax_forward)(y, x, rows, c);
}

void k_softmax_backward(float *dx, const float *dy, const float *y, bool accumulate, size_t rows,
                        size_t c) {
  K_CALL(softmax_backward)(dx, dy, y, accumulate, rows, c);
}

void k_log_softmax_forward(float *y, const float *x, size_t rows, size_t c) {
  K_CALL(log_softmax_forward)(y, x, rows, c);
}

void k_log_softmax_backward(float *dx, const float *dy, const float *y, bool accumulate,
                            size_t rows, size_t c) {
  K_CALL(log_softmax_backward)(dx, dy, y, accumulate, rows, c);
}

void k_channel_normalise(float *y, const float *x, const float *mean, const float *scale,
                         const float *shift, size_t rows, size_t c) {
  K_CALL(channel_normalise)(y, x, mean, scale, shift, rows, c);
}

void k_channel_normalise_backward(float *dx, const float *dy, const float *x, const float *mean,
                                  const float *a, const float *b, const float *d, bool accumulate,
                                  size_t rows, size_t c) {
  K_CALL(channel_normalise_backward)(dx, dy, x, mean, a, b, d, accumulate, rows, c);
}
