// Unary functions and scalar forms; binary_impl.h holds the functions of two numbers.
#include "include/elementwise.h"

K_IMPLEMENTS(unary_forward);
K_IMPLEMENTS(unary_forward_rows);
K_IMPLEMENTS(unary_backward);
K_IMPLEMENTS(affine);
K_IMPLEMENTS(axpy);
K_IMPLEMENTS(fill);

// MARK: - Unary

K_INLINE vf unary_value(k_unary function, vf x, vf p) {
  const vf zero = {0}, one = v_set1(1.0f);
  switch (function) {
    case K_UNARY_NEGATE: return -x;
    case K_UNARY_ABSOLUTE: return v_abs(x);
    case K_UNARY_SQUARE: return x * x;
    case K_UNARY_SQUARE_ROOT: return v_sqrt(x);
    case K_UNARY_RSQRT: return one / v_sqrt(x);
    case K_UNARY_RECIPROCAL: return one / x;
    case K_UNARY_EXP: return v_exp_full(x);
    case K_UNARY_LOG: return v_log(x);
    case K_UNARY_SIN: return v_sin(x);
    case K_UNARY_COS: return v_cos(x);
    case K_UNARY_TANH: return v_tanh(x);
    case K_UNARY_SIGMOID: return v_sigmoid(x);
    case K_UNARY_SOFTPLUS: return v_softplus(x);
    case K_UNARY_RELU: return v_select(x < zero, zero, x);
    case K_UNARY_RELU_SQUARED: {
      const vf positive = v_select(x < zero, zero, x);
      return positive * positive;
    }
    case K_UNARY_LEAKY_RELU: return v_select(x > zero, x, p * x);
    case K_UNARY_ELU: return v_select(x > zero, x, p * (v_exp(x) - one));
    case K_UNARY_SILU: return x * v_sigmoid(x);
    case K_UNARY_GELU: return x * v_normal_cdf(x);
    case K_UNARY_COUNT: break;
  }
  return x;
}

K_INLINE vf unary_derivative(k_unary function, vf x, vf y, vf p) {
  const vf zero = {0}, one = v_set1(1.0f), half = v_set1(0.5f);
  switch (function) {
    case K_UNARY_NEGATE: return -one;
    case K_UNARY_ABSOLUTE: return v_select(x > zero, one, v_select(x < zero, -one, x));
    case K_UNARY_SQUARE: return x + x;
    case K_UNARY_SQUARE_ROOT: return half / y;
    case K_UNARY_RSQRT: return -half * y * y * y;
    case K_UNARY_RECIPROCAL: return -y * y;
    case K_UNARY_EXP: return y;
    case K_UNARY_LOG: return one / x;
    case K_UNARY_SIN: return v_cos(x);
    case K_UNARY_COS: return -v_sin(x);
    case K_UNARY_TANH: return one - y * y;
    case K_UNARY_SIGMOID: return y * (one - y);
    case K_UNARY_SOFTPLUS: return v_sigmoid(x);
    case K_UNARY_RELU: return v_select(y > zero, one, v_select(y == y, zero, y));
    case K_UNARY_RELU_SQUARED: return v_select(x < zero, zero, x + x);
    case K_UNARY_LEAKY_RELU: return v_select(x > zero, one, v_select(x == x, p, x));
    case K_UNARY_ELU: return v_select(x > zero, one, y + p);
    case K_UNARY_SILU: {
      const vf s = v_sigmoid(x);
      return s * (one + x * (one - s));
    }
    case K_UNARY_GELU: return v_normal_cdf(x) + x * v_normal_density(x);
    case K_UNARY_COUNT: break;
  }
  return one;
}

K_INLINE void unary_loop(float *y, const float *x, k_unary function, float parameter, size_t n) {
  const vf p = v_set1(parameter);
  size_t i = 0;
  for (; i + VL <= n; i += VL) v_store(y + i, unary_value(function, v_load(x + i), p));
  if (i < n) v_store_tail(y + i, unary_value(function, v_load_tail(x + i, n - i), p), n - i);
}

K_INLINE void unary_gradient_loop(float *dx, const float *dy, const float *x, const float *y,
                                  k_unary function, float parameter, bool accumulate, size_t n) {
  const vf p = v_set1(parameter);
  for (size_t i = 0; i < n; i += VL) {
    const size_t left = n - i;
    const vf input = x == NULL ? (vf){0} : v_load_n(x + i, left);
    const vf output = y == NULL ? (vf){0} : v_load_n(y + i, left);
    vf gradient = v_load_n(dy + i, left) * unary_derivative(function, input, output, p);
    if (accumulate) gradient = gradient + v_load_n(dx + i, left);
    v_store_n(dx + i, gradient, left);
  }
}

// One loop per function, so that no loop contains a switch.
#define UNARY_CASES(CASE)                                                                        \
  CASE(K_UNARY_NEGATE) CASE(K_UNARY_ABSOLUTE) CASE(K_UNARY_SQUARE) CASE(K_UNARY_SQUARE_ROOT)     \
  CASE(K_UNARY_RSQRT) CASE(K_UNARY_RECIPROCAL) CASE(K_UNARY_EXP) CASE(K_UNARY_LOG)               \
  CASE(K_UNARY_SIN) CASE(K_UNARY_COS) CASE(K_UNARY_TANH) CASE(K_UNARY_SIGMOID)                   \
  CASE(K_UNARY_SOFTPLUS) CASE(K_UNARY_RELU) CASE(K_UNARY_RELU_SQUARED)                           \
  CASE(K_UNARY_LEAKY_RELU) CASE(K_UNARY_ELU) CASE(K_UNARY_SILU) CASE(K_UNARY_GELU)

void K_FN(unary_forward_rows)(float *y, size_t y_stride, const float *x, k_unary function,
                              float parameter, size_t rows, size_t c) {
  switch (function) {
#define CASE(name)                                                   \
  case name:                                                         \
    for (size_t r = 0; r < rows; r++) {                              \
      unary_loop(y + r * y_stride, x + r * c, name, parameter, c);   \
    }                                                                \
    break;
    UNARY_CASES(CASE)
#undef CASE
    case K_UNARY_COUNT: break;
  }
}

void K_FN(unary_forward)(float *y, const float *x, k_unary function, float parameter, size_t n) {
  K_FN(unary_forward_rows)(y, n, x, function, parameter, 1, n);
}

void K_FN(unary_backward)(float *dx, const float *dy, const float *x, const float *y,
                          k_unary function, float parameter, bool accumulate, size_t n) {
  switch (function) {
#define CASE(name)                                                          \
  case name:                                                                \
    unary_gradient_loop(dx, dy, x, y, name, parameter, accumulate, n);      \
    break;
    UNARY_CASES(CASE)
#undef CASE
    case K_UNARY_COUNT: break;
  }
}

// MARK: - Scalar forms

void K_FN(affine)(float *y, const float *x, float scale, float offset, size_t n) {
  const vf factor = v_set1(scale), shift = v_set1(offset);
  for (size_t i = 0; i < n; i += VL) {
    v_store_n(y + i, v_load_n(x + i, n - i) * factor + shift, n - i);
  }
}

void K_FN(axpy)(float *y, const float *x, float a, size_t n) {
  const vf factor = v_set1(a);
  for (size_t i = 0; i < n; i += VL) {
    v_store_n(y + i, v_load_n(y + i, n - i) + factor * v_load_n(x + i, n - i), n - i);
  }
}

void K_FN(fill)(float *y, float value, size_t n) {
  const vf v = v_set1(value);
  for (size_t i = 0; i < n; i += VL) v_store_n(y + i, v, n - i);
}
