/// Dense convolution as matrix products: windows of an image laid out as rows of a matrix.
///
/// Odd square kernels, stride 1, zero padding to the same size. Images are float32
/// `[images, height, width, c]`, contiguous. Kernel rows are taken in groups of `group` (a divisor of
/// `kernel`): a row of the matrix holds the taps of one group, `[group][kernel][c]`, and the products
/// of all groups add up to the convolution. No argument may alias another.
#ifndef RESTORE_KERNELS_WINDOW_H
#define RESTORE_KERNELS_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

/// `rows: [pixels, group · kernel · c]`: the windows of pixels `first ..< first + pixels`, counted over
/// all images, kernel rows `kernel_row ..< kernel_row + group`; zeros outside the image.
void k_window_rows(float *rows, const float *x, size_t kernel, size_t kernel_row, size_t group,
                   size_t first, size_t pixels, size_t height, size_t width, size_t c);

/// Reorders a checkpoint's `weight: [out, in, kernel, kernel]` into one matrix for each group of kernel
/// rows, `matrices: [kernel / group][out][group][kernel][in]`; if `flip`, for the gradient with respect
/// to the input: `[kernel / group][in][group][kernel][out]`, mirrored in both axes.
void k_window_weights(float *matrices, const float *weight, bool flip, size_t kernel, size_t group,
                      size_t out, size_t in);

/// The weight's gradient from those of the matrices (not flipped), output channels `begin ..< end`:
/// `dweight (+)= Σ_p parts[p]`, in order, `parts: [count][kernel / group][out][group][kernel][in]`.
void k_window_weight_gradient(float *dweight, const float *parts, bool accumulate, size_t begin,
                              size_t end, size_t count, size_t kernel, size_t group, size_t out,
                              size_t in);

#endif
