/// Sums, maxima and checks over whole arrays, over rows and over columns.
///
/// All orders of addition are fixed by the sizes alone. Whole-array sums are kept in 16 double
/// lanes, the same at every instruction-set level, so they do not depend on the level either.
#ifndef RESTORE_KERNELS_REDUCE_H
#define RESTORE_KERNELS_REDUCE_H

#include <stdbool.h>
#include <stddef.h>

/// `Σ x[i]²`.
double k_sum_of_squares(const float *x, size_t n);
/// `Σ a[i] · b[i]`.
double k_dot(const float *a, const float *b, size_t n);
/// Whether no element is infinite or NaN.
bool k_all_finite(const float *x, size_t n);

/// `y[r] (+)= Σ_c x[r][c]`, `x: [rows, c]`, `y: [rows]`.
void k_row_sum(float *y, const float *x, bool accumulate, size_t rows, size_t c);
/// `y[r] = max_c x[r][c]`; NaN if any is, −∞ if there is none.
void k_row_max(float *y, const float *x, size_t rows, size_t c);

/// `y[c] (+)= Σ_r x[r][c]`, rows in order; `x: [rows, c]` with `x_stride` floats between rows.
void k_column_sum(float *y, const float *x, size_t x_stride, bool accumulate, size_t rows,
                  size_t c);
/// `y[c] = max_r x[r][c]`, and of the old `y[c]` too if `accumulate`; NaN if any is.
void k_column_max(float *y, const float *x, size_t x_stride, bool accumulate, size_t rows,
                  size_t c);

/// Adds `sum[c] += Σ_r d` and `squares[c] += Σ_r d²` with `d = x[r][c] − center[c]`, in double;
/// `center` may be NULL for 0, `squares` may be NULL. A second pass with the mean as centre gives a
/// variance without cancellation.
void k_column_moments(double *sum, double *squares, const float *x, const float *center,
                      size_t rows, size_t c);

/// Adds `sum[c] += Σ_r dy` and `dot[c] += Σ_r dy · (x[r][c] − center[c])`, in double: what the
/// backward pass of batch, group and instance normalisation needs.
void k_column_gradient_moments(double *sum, double *dot, const float *dy, const float *x,
                               const float *center, size_t rows, size_t c);

#endif
