#include "gate.h"

#include "dispatch_internal.h"

K_VERSIONS(void, gate_backward,
           (float *dv, float *dlogit, float *dscale, const float *dy, const float *scale,
            const float *s, const float *v, size_t rows, size_t c))
K_VERSIONS(void, relu_squared_backward_from_output,
           (float *dx, const float *dy, const float *y, size_t n))
K_VERSIONS(void, scale_columns,
           (float *y, const float *x, const float *scale, size_t rows, size_t c))
K_VERSIONS(void, product, (float *y, const float *a, const float *b, size_t n))
K_VERSIONS(void, product_backward,
           (float *dr, float *dv, const float *dp, const float *r, const float *v, size_t n))
K_VERSIONS(void, add_column_sums, (float *sum, const float *a, size_t rows, size_t c))
K_VERSIONS(void, sigmoid_backward_from_output,
           (float *dx, const float *dy, const float *y, size_t n))
K_VERSIONS(void, relu_backward_from_output,
           (float *dx, const float *dy, const float *y, size_t n))
K_VERSIONS(void, sum_parts,
           (float *y, const float *parts, bool accumulate, size_t begin, size_t end, size_t count,
            size_t stride))
K_VERSIONS(void, scaled_weight_gradient,
           (float *dw, float *dscale, float *parts, const float *w, const float *scale,
            bool adds_weight, bool adds_scale, size_t begin, size_t end, size_t count, size_t n,
            size_t k))

void k_gate_backward(float *dv, float *dlogit, float *dscale, const float *dy, const float *scale,
                     const float *s, const float *v, size_t rows, size_t c) {
  K_CALL(gate_backward)(dv, dlogit, dscale, dy, scale, s, v, rows, c);
}

void k_relu_squared_backward_from_output(float *dx, const float *dy, const float *y, size_t n) {
  K_CALL(relu_squared_backward_from_output)(dx, dy, y, n);
}

void k_scale_columns(float *y, const float *x, const float *scale, size_t rows, size_t c) {
  K_CALL(scale_columns)(y, x, scale, rows, c);
}

void k_product(float *y, const float *a, const float *b, size_t n) { K_CALL(product)(y, a, b, n); }

void k_product_backward(float *dr, float *dv, const float *dp, const float *r, const float *v,
                        size_t n) {
  K_CALL(product_backward)(dr, dv, dp, r, v, n);
}

void k_add_column_sums(float *sum, const float *a, size_t rows, size_t c) {
  K_CALL(add_column_sums)(sum, a, rows, c);
}

void k_sigmoid_backward_from_output(float *dx, const float *dy, const float *y, size_t n) {
  K_CALL(sigmoid_backward_from_output)(dx, dy, y, n);
}

void k_relu_backward_from_output(float *dx, const float *dy, const float *y, size_t n) {
  K_CALL(relu_backward_from_output)(dx, dy, y, n);
}

void k_sum_parts(float *y, const float *parts, bool accumulate, size_t begin, size_t end,
                 size_t count, size_t stride) {
  K_CALL(sum_parts)(y, parts, accumulate, begin, end, count, stride);
}

void k_scaled_weight_gradient(float *dw, float *dscale, float *parts, const float *w,
                              const float *scale, bool adds_weight, bool adds_scale, size_t begin,
                              size_t end, size_t count, size_t n, size_t k) {
  K_CALL(scaled_weight_gradient)(dw, dscale, parts, w, scale, adds_weight, adds_scale, begin, end,
                                 count, n, k);
}
