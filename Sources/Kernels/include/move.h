/// Copies between layouts: strided rows, transposition, pixel shuffle and unshuffle.
///
/// Float32; strides and steps count floats. Source and target must not overlap.
#ifndef RESTORE_KERNELS_MOVE_H
#define RESTORE_KERNELS_MOVE_H

#include <stdbool.h>
#include <stddef.h>

/// `y[i · y_step] (+)= x[i · x_step]`, i < n. An x step of 0 repeats one number.
void k_copy_strided(float *y, size_t y_step, const float *x, size_t x_step, bool accumulate,
                    size_t n);

/// `y[r · y_stride + i] (+)= x[r · x_stride + i]`, i < c: slices and concatenations of channels.
void k_copy_rows(float *y, size_t y_stride, const float *x, size_t x_stride, bool accumulate,
                 size_t rows, size_t c);

/// `y[j · y_stride + i] = x[i · x_stride + j]`, i < rows, j < columns, in blocks.
void k_transpose(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                 size_t columns);

/// Channels to pixels: dense `x: [height, width, c · factor²]` to `y: [height · factor, width ·
/// factor, c]`, input channel `ch · factor² + dy · factor + dx`; input rows `row_begin ..< row_end`.
/// Pixels of y lie `y_pixel` floats apart, its rows `y_row`. Pointers are to whole images. Its
/// gradient is `k_pixel_unshuffle`.
void k_pixel_shuffle(float *y, size_t y_pixel, size_t y_row, const float *x, size_t factor,
                     size_t row_begin, size_t row_end, size_t width, size_t c);

/// Pixels to channels: `x: [height · factor, width · factor, c]` to dense `y: [height, width, c ·
/// factor²]`, the inverse of `k_pixel_shuffle`; output rows `row_begin ..< row_end` of width
/// `width`.
void k_pixel_unshuffle(float *y, const float *x, size_t x_pixel, size_t x_row, size_t factor,
                       size_t row_begin, size_t row_end, size_t width, size_t c);

#endif
