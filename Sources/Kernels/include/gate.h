/// The elementwise parts of gated mixing (channel mixing and gated projection), backward.
///
/// All matrices are dense `[rows, c]`; no argument may alias another unless it says so.
#ifndef RESTORE_KERNELS_GATE_H
#define RESTORE_KERNELS_GATE_H

#include <stdbool.h>
#include <stddef.h>

/// Backward of `y = residual + scale · s · v`, where `s` is a sigmoid.
///
/// Writes `dv = dy · scale · s` and `dlogit = dy · scale · v · s · (1 − s)` (the gradient of the
/// sigmoid's argument), and adds `Σ dy · s · v` over the rows to `dscale: [c]`. `scale` and `dscale`
/// may be NULL (no scale). `dv` may be `v` and `dlogit` may be `s`.
void k_gate_backward(float *dv, float *dlogit, float *dscale, const float *dy, const float *scale,
                     const float *s, const float *v, size_t rows, size_t c);

/// `dx = dy · 2 · √y`, the gradient of `y = max(x, 0)²` from its output; n elements. `dx` may be `dy`.
void k_relu_squared_backward_from_output(float *dx, const float *dy, const float *y, size_t n);

/// `y = x · scale`, the scale `[c]` repeated over rows.
void k_scale_columns(float *y, const float *x, const float *scale, size_t rows, size_t c);

/// `y = a · b`, n elements; `y` may be `a` or `b`.
void k_product(float *y, const float *a, const float *b, size_t n);

/// Backward of `p = r · v`: `dr = dp · v`, `dv = dp · r`; n elements, either result may be NULL.
void k_product_backward(float *dr, float *dv, const float *dp, const float *r, const float *v,
                        size_t n);

/// Adds `Σ a` over the rows to `sum: [c]`, in row order.
void k_add_column_sums(float *sum, const float *a, size_t rows, size_t c);

/// `dx = dy · f′`, the activation's derivative formed from its output: sigmoid, `y · (1 − y)`.
void k_sigmoid_backward_from_output(float *dx, const float *dy, const float *y, size_t n);

/// ReLU's gradient from its output: `dx = y > 0 ? dy : 0`.
void k_relu_backward_from_output(float *dx, const float *dy, const float *y, size_t n);

/// `y[i] = Σ_p parts[p · stride + i]` for `parts: [count, stride]`, in order of p, on `[begin, end)`,
/// starting from `y` if `accumulate` and from 0 otherwise.
void k_sum_parts(float *y, const float *parts, bool accumulate, size_t begin, size_t end,
                 size_t count, size_t stride);

/// The gradients of `y = scale · (x·Wᵀ)` from those without the scale, for rows `begin ..< end` of the
/// `[n, k]` weight: with `g = Σ_p parts[p]`, `parts: [count, n, k]` (`gᵢⱼ = Σ dyᵢ·xⱼ`),
/// `dw = scale ⊙ g` and `dscale = Σ_j w·g`. Each is added to what is there if told so; `scale` may be
/// NULL for 1, `dw` and `dscale` for not wanted. `w: [n, k]`; overwrites `parts[0]` with g.
void k_scaled_weight_gradient(float *dw, float *dscale, float *parts, const float *w,
                              const float *scale, bool adds_weight, bool adds_scale, size_t begin,
                              size_t end, size_t count, size_t n, size_t k);

#endif
