#include "include/elementwise.h"

#include "dispatch_internal.h"

K_DISPATCHED(unary_forward)
K_DISPATCHED(unary_forward_rows)
K_DISPATCHED(unary_backward)
K_DISPATCHED(binary_forward)
K_DISPATCHED(binary_backward)
K_DISPATCHED(binary_columns)
K_DISPATCHED(affine)
K_DISPATCHED(axpy)
K_DISPATCHED(fill)

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

void k_affine(float *y, const float *x, float scale, float offset, size_t n) {
  K_CALL(affine)(y, x, scale, offset, n);
}

void k_axpy(float *y, const float *x, float a, size_t n) { K_CALL(axpy)(y, x, a, n); }

void k_fill(float *y, float value, size_t n) { K_CALL(fill)(y, value, n); }
