/// Convolution with a small kernel of its own at every position, shared by groups of channels.
///
/// Float32, channels-last: `x, y: [height, width, c]`, `w: [height, width, c / group · kernel²]` with
/// the taps of group g at `g · kernel²`, row by row. Kernels are odd; positions outside the image
/// count as zero. `c` is a multiple of `group`. Pointers are to whole images and must not alias.
///
/// Source: Wang et al., *LSNet: See Large, Focus Small*, CVPR 2025, §3.2 (small-kernel aggregation).
#ifndef RESTORE_KERNELS_ADAPTIVE_H
#define RESTORE_KERNELS_ADAPTIVE_H

#include <stddef.h>

/// `y[p][i] = Σ_j x[p + offset_j][i] · w[p][i / group · kernel² + j]`, image rows
/// `row_begin ..< row_end`.
void k_adaptive_forward(float *y, const float *x, const float *w, size_t kernel, size_t group,
                        size_t row_begin, size_t row_end, size_t height, size_t width, size_t c);

/// Writes `dx[q][i] = Σ_j dy[q − offset_j][i] · w[q − offset_j][…]`, rows `row_begin ..< row_end`.
void k_adaptive_input_gradient(float *dx, const float *dy, const float *w, size_t kernel,
                               size_t group, size_t row_begin, size_t row_end, size_t height,
                               size_t width, size_t c);

/// Writes `dw[p][g · kernel² + j] = Σ_i dy[p][i] · x[p + offset_j][i]` over the channels i of group g,
/// rows `row_begin ..< row_end`.
void k_adaptive_weight_gradient(float *dw, const float *dy, const float *x, size_t kernel,
                                size_t group, size_t row_begin, size_t row_end, size_t height,
                                size_t width, size_t c);

#endif
