#include "include/reduce.h"

#include "dispatch_internal.h"

K_DISPATCHED(sum_of_squares)
K_DISPATCHED(dot)
K_DISPATCHED(all_finite)
K_DISPATCHED(row_sum)
K_DISPATCHED(row_max)
K_DISPATCHED(column_sum)
K_DISPATCHED(column_max)
K_DISPATCHED(column_moments)
K_DISPATCHED(column_gradient_moments)

double k_sum_of_squares(const float *x, size_t n) { return K_CALL(sum_of_squares)(x, n); }
double k_dot(const float *a, const float *b, size_t n) { return K_CALL(dot)(a, b, n); }
bool k_all_finite(const float *x, size_t n) { return K_CALL(all_finite)(x, n); }

void k_row_sum(float *y, const float *x, bool accumulate, size_t rows, size_t c) {
  K_CALL(row_sum)(y, x, accumulate, rows, c);
}

void k_row_max(float *y, const float *x, size_t rows, size_t c) { K_CALL(row_max)(y, x, rows, c); }

void k_column_sum(float *y, const float *x, size_t x_stride, bool accumulate, size_t rows,
                  size_t c) {
  K_CALL(column_sum)(y, x, x_stride, accumulate, rows, c);
}

void k_column_max(float *y, const float *x, size_t x_stride, bool accumulate, size_t rows,
                  size_t c) {
  K_CALL(column_max)(y, x, x_stride, accumulate, rows, c);
}

void k_column_moments(double *sum, double *squares, const float *x, const float *center,
                      size_t rows, size_t c) {
  K_CALL(column_moments)(sum, squares, x, center, rows, c);
}

void k_column_gradient_moments(double *sum, double *dot, const float *dy, const float *x,
                               const float *center, size_t rows, size_t c) {
  K_CALL(column_gradient_moments)(sum, dot, dy, x, center, rows, c);
}
