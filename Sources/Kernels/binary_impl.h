// Functions of two numbers with broadcasting; declared in elementwise.h.
#include "include/elementwise.h"

K_IMPLEMENTS(binary_forward);
K_IMPLEMENTS(binary_backward);
K_IMPLEMENTS(binary_columns);

K_INLINE vf binary_value(k_binary function, vf a, vf b) {
  switch (function) {
    case K_BINARY_ADD: return a + b;
    case K_BINARY_SUBTRACT: return a - b;
    case K_BINARY_MULTIPLY: return a * b;
    case K_BINARY_DIVIDE: return a / b;
    case K_BINARY_MAXIMUM: return v_max_nan(a, b);
    case K_BINARY_MINIMUM: return v_min_nan(a, b);
    case K_BINARY_COUNT: break;
  }
  return a;
}

// dy·∂f/∂a and dy·∂f/∂b.
K_INLINE void binary_gradients(k_binary function, vf dy, vf a, vf b, vf *da, vf *db) {
  const vf zero = {0}, half = v_set1(0.5f);
  switch (function) {
    case K_BINARY_ADD: *da = dy, *db = dy; break;
    case K_BINARY_SUBTRACT: *da = dy, *db = -dy; break;
    case K_BINARY_MULTIPLY: *da = dy * b, *db = dy * a; break;
    case K_BINARY_DIVIDE: {
      const vf quotient = dy / b;
      *da = quotient, *db = -quotient * (a / b);
      break;
    }
    case K_BINARY_MAXIMUM:
    case K_BINARY_MINIMUM: {
      const vi first = function == K_BINARY_MAXIMUM ? a > b : a < b;
      const vi second = function == K_BINARY_MAXIMUM ? a < b : a > b;
      *da = v_select(first, dy, v_select(second, zero, half * dy));
      *db = v_select(second, dy, v_select(first, zero, half * dy));
      break;
    }
    case K_BINARY_COUNT: break;
  }
}

// VL numbers at p, p + step, …, of which n exist.
K_INLINE vf binary_operand(const float *p, size_t step, size_t n) {
  if (step == 1) return v_load_n(p, n);
  if (step == 0) return v_set1(*p);
  vf v = {0};
  for (size_t i = 0; i < VL && i < n; i++) v[i] = p[i * step];
  return v;
}

K_INLINE void binary_loop(float *y, const float *a, size_t a_step, const float *b, size_t b_step,
                          k_binary function, bool accumulate, size_t n) {
  for (size_t i = 0; i < n; i += VL) {
    const size_t left = n - i;
    vf v = binary_value(function, binary_operand(a + i * a_step, a_step, left),
                        binary_operand(b + i * b_step, b_step, left));
    if (accumulate) v = v + v_load_n(y + i, left);
    v_store_n(y + i, v, left);
  }
}

// The steps become constants, so each case is a plain loop.
K_INLINE void binary_steps(float *y, const float *a, size_t a_step, const float *b, size_t b_step,
                           k_binary function, bool accumulate, size_t n) {
  if (a_step == 1 && b_step == 1) {
    binary_loop(y, a, 1, b, 1, function, accumulate, n);
  } else if (a_step == 1 && b_step == 0) {
    binary_loop(y, a, 1, b, 0, function, accumulate, n);
  } else if (a_step == 0 && b_step == 1) {
    binary_loop(y, a, 0, b, 1, function, accumulate, n);
  } else {
    binary_loop(y, a, a_step, b, b_step, function, accumulate, n);
  }
}

#define BINARY_CASES(CASE)                                                             \
  CASE(K_BINARY_ADD) CASE(K_BINARY_SUBTRACT) CASE(K_BINARY_MULTIPLY) CASE(K_BINARY_DIVIDE) \
  CASE(K_BINARY_MAXIMUM) CASE(K_BINARY_MINIMUM)

void K_FN(binary_forward)(float *y, const float *a, size_t a_step, const float *b, size_t b_step,
                          k_binary function, bool accumulate, size_t n) {
  switch (function) {
#define CASE(name) \
  case name: binary_steps(y, a, a_step, b, b_step, name, accumulate, n); break;
    BINARY_CASES(CASE)
#undef CASE
    case K_BINARY_COUNT: break;
  }
}

K_INLINE void binary_columns_loop(float *y, const float *x, const float *v, k_binary function,
                                  bool accumulate, size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++) {
    binary_loop(y + r * c, x + r * c, 1, v, 1, function, accumulate, c);
  }
}

void K_FN(binary_columns)(float *y, const float *x, const float *v, k_binary function,
                          bool accumulate, size_t rows, size_t c) {
  switch (function) {
#define CASE(name) case name: binary_columns_loop(y, x, v, name, accumulate, rows, c); break;
    BINARY_CASES(CASE)
#undef CASE
    case K_BINARY_COUNT: break;
  }
}

// Adds n lanes of v to p, p + step, …; with a step of 0, their sum.
K_INLINE void binary_add(float *p, size_t step, vf v, size_t n) {
  if (step == 1) {
    v_store_n(p, v_load_n(p, n) + v, n);
  } else {
    for (size_t i = 0; i < VL && i < n; i++) p[i * step] += v[i];
  }
}

K_INLINE void binary_gradient_loop(float *da, float *db, const float *dy, const float *a,
                                   size_t a_step, const float *b, size_t b_step, k_binary function,
                                   size_t n) {
  // Sums over a repeated operand are kept in lanes until the end.
  vf a_sum = {0}, b_sum = {0};
  for (size_t i = 0; i < n; i += VL) {
    const size_t left = n - i;
    vf a_gradient = {0}, b_gradient = {0};
    binary_gradients(function, v_load_n(dy + i, left),
                     binary_operand(a + i * a_step, a_step, left),
                     binary_operand(b + i * b_step, b_step, left), &a_gradient, &b_gradient);
    if (da != NULL && a_step != 0) binary_add(da + i * a_step, a_step, a_gradient, left);
    if (db != NULL && b_step != 0) binary_add(db + i * b_step, b_step, b_gradient, left);
    if (left >= VL) {
      a_sum = a_sum + a_gradient, b_sum = b_sum + b_gradient;
    } else {
      // A lane beyond the end may hold 0/0.
      for (size_t lane = 0; lane < left; lane++) {
        a_sum[lane] += a_gradient[lane], b_sum[lane] += b_gradient[lane];
      }
    }
  }
  if (da != NULL && a_step == 0) *da += v_sum(a_sum);
  if (db != NULL && b_step == 0) *db += v_sum(b_sum);
}

K_INLINE void binary_gradient_steps(float *da, float *db, const float *dy, const float *a,
                                    size_t a_step, const float *b, size_t b_step,
                                    k_binary function, size_t n) {
  if (a_step == 1 && b_step == 1) {
    binary_gradient_loop(da, db, dy, a, 1, b, 1, function, n);
  } else {
    binary_gradient_loop(da, db, dy, a, a_step, b, b_step, function, n);
  }
}

void K_FN(binary_backward)(float *da, float *db, const float *dy, const float *a, size_t a_step,
                           const float *b, size_t b_step, k_binary function, size_t n) {
  switch (function) {
#define CASE(name) \
  case name: binary_gradient_steps(da, db, dy, a, a_step, b, b_step, name, n); break;
    BINARY_CASES(CASE)
#undef CASE
    case K_BINARY_COUNT: break;
  }
}
