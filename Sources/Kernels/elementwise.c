#include "include/elementwise.h"

#include "dispatch_internal.h"

K_DISPATCHED(unary_forward)
K_DISPATCHED(unary_forward_rows)
K_DISPATCHED(unary_backward)
K_DISPATCHED(binary_forward)
K_DISPATCHED(binary_backward)
K_DISPATCHED(binary_columns)
K_DISPATCHED(binary_rows)
K_DISPATCHED(affine)
K_DISPATCHED(axpy)
K_DISPATCHED(fill)
K_DISPATCHED(clamp_forward)
K_DISPATCHED(clamp_backward)
K_DISPATCHED(sigmoid_multiply_forward)
K_DISPATCHED(sigmoid_multiply_backward)
K_DISPATCHED(gated_residual_forward)
K_DISPATCHED(gated_residual_backward)

void k_unary_forward(float *y, const float *x, k_unary function, float parameter, size_t n) {
  K_CALL(unary_forward)(y, x, function, parameter, n);
}

void k_unary_forward_rows(float *y, size_t y_stride, const float *x, k_unary function,
                          float parameter, size_t rows, size_t c) {
  K_CALL(unary_forward_rows)(y, y_stride, x, function, parameter, rows, c);
}

void k_unary_backward(float *dx, const float *dy, const float *x, const float *y, k_unary function,
                      float parameter, bool accumulate, size_t n) {
  K_CALL(unary_backward)(dx, dy, x, y, function, parameter, accumulate, n);
}

void k_binary_forward(float *y, const float *a, size_t a_step, const float *b, size_t b_step,
                      k_binary function, bool accumulate, size_t n) {
  K_CALL(binary_forward)(y, a, a_step, b, b_step, function, accumulate, n);
}

void k_binary_backward(float *da, float *db, const float *dy, const float *a, size_t a_step,
                       const float *b, size_t b_step, k_binary function, size_t n) {
  K_CALL(binary_backward)(da, db, dy, a, a_step, b, b_step, function, n);
}

void k_binary_columns(float *y, const float *x, const float *v, k_binary function, bool accumulate,
                      size_t rows, size_t c) {
  K_CALL(binary_columns)(y, x, v, function, accumulate, rows, c);
}

void k_binary_rows(float *y, const float *x, const float *s, k_binary function, bool accumulate,
                   size_t rows, size_t c) {
  K_CALL(binary_rows)(y, x, s, function, accumulate, rows, c);
}

void k_affine(float *y, const float *x, float scale, float offset, size_t n) {
  K_CALL(affine)(y, x, scale, offset, n);
}

void k_axpy(float *y, const float *x, float a, size_t n) { K_CALL(axpy)(y, x, a, n); }

void k_fill(float *y, float value, size_t n) { K_CALL(fill)(y, value, n); }

void k_clamp_forward(float *y, const float *x, float low, float high, size_t n) {
  K_CALL(clamp_forward)(y, x, low, high, n);
}

void k_clamp_backward(float *dx, const float *dy, const float *x, float low, float high,
                      bool accumulate, size_t n) {
  K_CALL(clamp_backward)(dx, dy, x, low, high, accumulate, n);
}

void k_sigmoid_multiply_forward(float *y, const float *r, const float *v, size_t n) {
  K_CALL(sigmoid_multiply_forward)(y, r, v, n);
}

void k_sigmoid_multiply_backward(float *dr, float *dv, const float *dy, const float *r,
                                 const float *v, bool accumulate, size_t n) {
  K_CALL(sigmoid_multiply_backward)(dr, dv, dy, r, v, accumulate, n);
}

void k_gated_residual_forward(float *y, const float *x, const float *gamma, const float *gate,
                              const float *v, size_t rows, size_t c) {
  K_CALL(gated_residual_forward)(y, x, gamma, gate, v, rows, c);
}

void k_gated_residual_backward(float *dgamma, float *dgate, float *dv, const float *dy,
                               const float *gamma, const float *gate, const float *v,
                               bool accumulate, size_t rows, size_t c) {
  K_CALL(gated_residual_backward)(dgamma, dgate, dv, dy, gamma, gate, v, accumulate, rows, c);
}
