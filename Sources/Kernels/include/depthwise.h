/// Depthwise convolution of channels-last images: odd square kernels, stride 1, zero padding to the
/// same size.
///
/// Images are float32 `[height, width, c]`, contiguous; taps are `[kernel · kernel][c]`, tap
/// `(i, j)` at row `i · kernel + j`. Kernels of 3, 5 and 7 have register-blocked loops, others a
/// plain one. Pointers are to whole images; the row range says which output rows a call computes.
/// No argument may alias another.
#ifndef RESTORE_KERNELS_DEPTHWISE_H
#define RESTORE_KERNELS_DEPTHWISE_H

#include <stdbool.h>
#include <stddef.h>

/// Packs a checkpoint's `weight: [c, kernel, kernel]` into `taps`, mirrored in both axes if `flip`
/// (the taps of the data gradient).
void k_depthwise_pack(float *taps, const float *weight, bool flip, size_t kernel, size_t c);

/// Adds packed gradients back: `weight[ch][i] (+)= taps[i][ch]`.
void k_depthwise_unpack(float *weight, const float *taps, bool accumulate, size_t kernel, size_t c);

/// `y[row][col][ch] = Σ_ij taps[i][j][ch] · x[row + i − kernel/2][col + j − kernel/2][ch]` for rows
/// `row_begin ..< row_end`; what lies outside the image is skipped. With flipped taps this is the
/// gradient with respect to x.
void k_depthwise_forward(float *y, const float *x, const float *taps, size_t kernel,
                         size_t row_begin, size_t row_end, size_t height, size_t width, size_t c);

/// Adds the part of the taps' gradient that comes from output rows `row_begin ..< row_end`:
/// `dtaps[i][j][ch] += Σ dy[row][col][ch] · x[row + i − kernel/2][col + j − kernel/2][ch]`.
void k_depthwise_weight_gradient(float *dtaps, const float *dy, const float *x, size_t kernel,
                                 size_t row_begin, size_t row_end, size_t height, size_t width,
                                 size_t c);

#endif
