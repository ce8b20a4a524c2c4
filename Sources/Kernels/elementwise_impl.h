// Unary functions, scalar forms and fused gates; binary_impl.h holds the functions of two numbers.
#include "include/elementwise.h"

K_IMPLEMENTS(unary_forward);
K_IMPLEMENTS(unary_forward_rows);
K_IMPLEMENTS(unary_backward);
K_IMPLEMENTS(affine);
K_IMPLEMENTS(axpy);
K_IMPLEMENTS(fill);
K_IMPLEMENTS(clamp_forward);
K_IMPLEMENTS(clamp_backward);
K_IMPLEMENTS(sigmoid_multiply_forward);
K_IMPLEMENTS(sigmoid_multiply_backward);
K_IMPLEMENTS(gated_residual_forward);
K_IMPLEMENTS(gated_residual_backward);

// MARK: - Unary

K_INLINE vf unary_value(k_unary function, vf x, vf p) {
  const vf zero = {0}, one = v_set1(1.0f);
  switch (function) {
    case K_UNARY_NEGATE: return -x;
    case K_UNARY_ABSOLUTE: return v_abs(x);
    case K_UNARY_SIGN: return v_select(x > zero, one, v_select(x < zero, -one, x));
    case K_UNARY_SQUARE: return x * x;
    case K_UNARY_SQUARE_ROOT: return v_sqrt(x);
    case K_UNARY_RSQRT: return one / v_sqrt(x);
    case K_UNARY_RECIPROCAL: return one / x;
    case K_UNARY_EXP: return v_exp_full(x);
    case K_UNARY_LOG: return v_log(x);
    case K_UNARY_SIN: return v_sin(x);
    case K_UNARY_COS: return v_cos(x);
    case K_UNARY_TANH: return v_tanh(x);
    case K_UNARY_ERF: return v_erf(x);
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
    case K_UNARY_ABSOLUTE: return unary_value(K_UNARY_SIGN, x, p);
    case K_UNARY_SIGN: return zero;
    case K_UNARY_SQUARE: return x + x;
    case K_UNARY_SQUARE_ROOT: return half / y;
    case K_UNARY_RSQRT: return -half * y * y * y;
    case K_UNARY_RECIPROCAL: return -y * y;
    case K_UNARY_EXP: return y;
    case K_UNARY_LOG: return one / x;
    case K_UNARY_SIN: return v_cos(x);
    case K_UNARY_COS: return -v_sin(x);
    case K_UNARY_TANH: return one - y * y;
    case K_UNARY_ERF: return v_set1(1.12837917f) * v_exp(-x * x);
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
  CASE(K_UNARY_NEGATE) CASE(K_UNARY_ABSOLUTE) CASE(K_UNARY_SIGN) CASE(K_UNARY_SQUARE)            \
  CASE(K_UNARY_SQUARE_ROOT) CASE(K_UNARY_RSQRT) CASE(K_UNARY_RECIPROCAL) CASE(K_UNARY_EXP)       \
  CASE(K_UNARY_LOG) CASE(K_UNARY_SIN) CASE(K_UNARY_COS) CASE(K_UNARY_TANH) CASE(K_UNARY_ERF)     \
  CASE(K_UNARY_SIGMOID) CASE(K_UNARY_SOFTPLUS) CASE(K_UNARY_RELU) CASE(K_UNARY_RELU_SQUARED)     \
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

void K_FN(clamp_forward)(float *y, const float *x, float low, float high, size_t n) {
  const vf least = v_set1(low), most = v_set1(high);
  for (size_t i = 0; i < n; i += VL) {
    vf v = v_load_n(x + i, n - i);
    v = v_select(v < least, least, v);
    v_store_n(y + i, v_select(v > most, most, v), n - i);
  }
}

void K_FN(clamp_backward)(float *dx, const float *dy, const float *x, float low, float high,
                          bool accumulate, size_t n) {
  const vf least = v_set1(low), most = v_set1(high), zero = {0};
  for (size_t i = 0; i < n; i += VL) {
    const vf v = v_load_n(x + i, n - i);
    vf gradient = v_select((v < least) | (v > most), zero, v_load_n(dy + i, n - i));
    if (accumulate) gradient = gradient + v_load_n(dx + i, n - i);
    v_store_n(dx + i, gradient, n - i);
  }
}

// MARK: - Gates

void K_FN(sigmoid_multiply_forward)(float *y, const float *r, const float *v, size_t n) {
  for (size_t i = 0; i < n; i += VL) {
    v_store_n(y + i, v_sigmoid(v_load_n(r + i, n - i)) * v_load_n(v + i, n - i), n - i);
  }
}

void K_FN(sigmoid_multiply_backward)(float *dr, float *dv, const float *dy, const float *r,
                                     const float *v, bool accumulate, size_t n) {
  const vf one = v_set1(1.0f);
  for (size_t i = 0; i < n; i += VL) {
    const size_t left = n - i;
    const vf gradient = v_load_n(dy + i, left);
    const vf gate = v_sigmoid(v_load_n(r + i, left));
    vf value = v_load_n(v + i, left);
    vf gate_gradient = gradient * value * (gate * (one - gate));
    vf value_gradient = gradient * gate;
    if (accumulate && dr != NULL) gate_gradient = gate_gradient + v_load_n(dr + i, left);
    if (accumulate && dv != NULL) value_gradient = value_gradient + v_load_n(dv + i, left);
    if (dr != NULL) v_store_n(dr + i, gate_gradient, left);
    if (dv != NULL) v_store_n(dv + i, value_gradient, left);
  }
}

void K_FN(gated_residual_forward)(float *y, const float *x, const float *gamma, const float *gate,
                                  const float *v, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++) {
    const size_t row = r * c;
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i;
      vf branch = v_load_n(gate + row + i, left) * v_load_n(v + row + i, left);
      if (gamma != NULL) branch = branch * v_load_n(gamma + i, left);
      v_store_n(y + row + i, v_load_n(x + row + i, left) + branch, left);
    }
  }
}

void K_FN(gated_residual_backward)(float *dgamma, float *dgate, float *dv, const float *dy,
                                   const float *gamma, const float *gate, const float *v,
                                   bool accumulate, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++) {
    for (size_t i = 0; i < c; i += VL) {
      const size_t left = c - i, at = r * c + i;
      const vf gradient = v_load_n(dy + at, left);
      const vf g = v_load_n(gate + at, left), value = v_load_n(v + at, left);
      const vf scaled = gamma == NULL ? gradient : gradient * v_load_n(gamma + i, left);
      if (dgamma != NULL) {
        v_store_n(dgamma + i, v_load_n(dgamma + i, left) + gradient * g * value, left);
      }
      vf gate_gradient = scaled * value, value_gradient = scaled * g;
      if (accumulate && dgate != NULL) gate_gradient = gate_gradient + v_load_n(dgate + at, left);
      if (accumulate && dv != NULL) value_gradient = value_gradient + v_load_n(dv + at, left);
      if (dgate != NULL) v_store_n(dgate + at, gate_gradient, left);
      if (dv != NULL) v_store_n(dv + at, value_gradient, left);
    }
  }
}
