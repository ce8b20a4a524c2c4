/// Element by element: unary functions and arithmetic with broadcasting.
///
/// All arrays are float32. Outputs may be one of the inputs of the same index range (in place), but
/// must not overlap it otherwise. Forward kernels write; backward kernels write, or add if
/// `accumulate`. NaN goes in and comes out.
#ifndef RESTORE_KERNELS_ELEMENTWISE_H
#define RESTORE_KERNELS_ELEMENTWISE_H

#include <stdbool.h>
#include <stddef.h>

/// A function of one number; p is the `parameter` of the call. The last column says which of the
/// forward pass's arrays the derivative reads; the other one may be NULL.
typedef enum {
  K_UNARY_NEGATE = 0,    // −x                      neither
  K_UNARY_ABSOLUTE,      // |x|, derivative 0 at 0  x
  K_UNARY_SQUARE,        // x²                      x
  K_UNARY_SQUARE_ROOT,   // √x                      y
  K_UNARY_RSQRT,         // 1 / √x                  y
  K_UNARY_RECIPROCAL,    // 1 / x                   y
  K_UNARY_EXP,           // eˣ                      y
  K_UNARY_LOG,           // ln x                    x
  K_UNARY_SIN,           // sin x                   x
  K_UNARY_COS,           // cos x                   x
  K_UNARY_TANH,          // tanh x                  y
  K_UNARY_SIGMOID,       // σ(x) = 1 / (1 + e⁻ˣ)     y
  K_UNARY_SOFTPLUS,      // ln(1 + eˣ)              x
  K_UNARY_RELU,          // max(x, 0)               y
  K_UNARY_RELU_SQUARED,  // max(x, 0)²              x
  K_UNARY_LEAKY_RELU,    // x if x > 0, else p·x    x
  K_UNARY_ELU,           // x if x > 0, else p·(eˣ − 1)  x and y
  K_UNARY_SILU,          // x · σ(x)                x
  K_UNARY_GELU,          // x · Φ(x), by erf        x
  K_UNARY_COUNT
} k_unary;

/// `y[i] = f(x[i])`, i < n.
void k_unary_forward(float *y, const float *x, k_unary function, float parameter, size_t n);

/// The same for dense `x: [rows, c]`, rows of y `y_stride` floats apart.
void k_unary_forward_rows(float *y, size_t y_stride, const float *x, k_unary function,
                          float parameter, size_t rows, size_t c);

/// `dx[i] (+)= dy[i] · f'`, with x and y of the forward pass as the table of `k_unary` says.
void k_unary_backward(float *dx, const float *dy, const float *x, const float *y, k_unary function,
                      float parameter, bool accumulate, size_t n);

/// A function of two numbers. Maximum and minimum are NaN if either argument is; where the
/// arguments are equal, each gets half of the gradient.
typedef enum {
  K_BINARY_ADD = 0,
  K_BINARY_SUBTRACT,
  K_BINARY_MULTIPLY,
  K_BINARY_DIVIDE,
  K_BINARY_MAXIMUM,
  K_BINARY_MINIMUM,
  K_BINARY_COUNT
} k_binary;

/// `y[i] (+)= f(a[i·a_step], b[i·b_step])`, i < n. A step of 0 repeats one number; steps 0 and 1
/// are fast.
void k_binary_forward(float *y, const float *a, size_t a_step, const float *b, size_t b_step,
                      k_binary function, bool accumulate, size_t n);

/// Adds the gradients of `k_binary_forward`: `da[i·a_step] += dy[i] · ∂f/∂a`, likewise `db`; either
/// may be NULL. With a step of 0 the sum over i lands in one number. `da` and `db` must not overlap
/// each other or the inputs.
void k_binary_backward(float *da, float *db, const float *dy, const float *a, size_t a_step,
                       const float *b, size_t b_step, k_binary function, size_t n);

/// `y[r][c] (+)= f(x[r][c], v[c])`, `x, y: [rows, c]`, `v: [c]`.
void k_binary_columns(float *y, const float *x, const float *v, k_binary function, bool accumulate,
                      size_t rows, size_t c);

/// `y[i] = scale · x[i] + offset`.
void k_affine(float *y, const float *x, float scale, float offset, size_t n);

/// `y[i] += a · x[i]`.
void k_axpy(float *y, const float *x, float a, size_t n);

/// `y[i] = value`.
void k_fill(float *y, float value, size_t n);

#endif
