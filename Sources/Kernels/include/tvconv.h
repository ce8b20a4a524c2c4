/// Translation-variant convolution: a depthwise convolution with a kernel of its own at every output
/// position, shared by all images of a batch. Odd square kernels, zero padding of `kernel / 2`,
/// any stride.
///
/// Images are float32, channels last and contiguous: `x: [batch, in_height, in_width, channels]`,
/// `y: [batch, out_height, out_width, channels]`; weights are
/// `[out_height, out_width, kernel · kernel, channels]`, tap `(i, j)` at row `i · kernel + j`. Taps that
/// fall outside the image are skipped. No argument may alias another. The row range says which rows
/// of the result a call computes; calls on disjoint ranges are independent.
#ifndef RESTORE_KERNELS_TVCONV_H
#define RESTORE_KERNELS_TVCONV_H

#include <stdbool.h>
#include <stddef.h>

/// The sizes of a translation-variant convolution.
typedef struct {
  size_t batch, channels, kernel, stride;
  size_t in_height, in_width;
  size_t out_height, out_width;
} k_tvconv;

/// Writes output rows `row_begin ..< row_end`:
/// `y[n][r][q][c] = Σ_ij w[r][q][i][j][c] · x[n][r·stride + i − kernel/2][q·stride + j − kernel/2][c]`.
void k_tvconv_forward(float *y, const float *x, const float *weights, const k_tvconv *shape,
                      size_t row_begin, size_t row_end);

/// Writes input rows `row_begin ..< row_end` of the gradient with respect to x.
void k_tvconv_input_gradient(float *dx, const float *dy, const float *weights,
                             const k_tvconv *shape, size_t row_begin, size_t row_end);

/// Writes the gradient of the weights of output rows `row_begin ..< row_end`, summed over the batch in
/// its order; zero for taps that fall outside the image.
void k_tvconv_weight_gradient(float *dweights, const float *dy, const float *x,
                              const k_tvconv *shape, size_t row_begin, size_t row_end);

#endif
