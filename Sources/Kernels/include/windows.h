/// Windows of an image as rows of a matrix, and convolution weights as its packed counterpart: with
/// both, a convolution is a matrix product.
///
/// Float32, channels-last. A window's row holds its taps one after the other, c channels each.
#ifndef RESTORE_KERNELS_WINDOWS_H
#define RESTORE_KERNELS_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>

/// How windows lie on an image.
typedef struct {
  size_t kernel_height, kernel_width;
  size_t stride_height, stride_width;
  size_t padding_height, padding_width;
  size_t dilation_height, dilation_width;
} k_windows;

/// `rows: [end − begin, taps, c]`, the windows of the outputs `begin ..< end` of a convolution of
/// `x: [height, width, c]` with outputs of `out_width` columns; zeros outside the image.
void k_windows_gather(float *rows, const float *x, const k_windows *windows, size_t begin,
                      size_t end, size_t out_width, size_t height, size_t width, size_t c);

/// The same for the gradient with respect to the image: row q holds for each tap the output of
/// `dy: [out_height, out_width, c]` that reads pixel q through it, or zeros. `width` is that of the
/// image.
void k_windows_gather_transposed(float *rows, const float *dy, const k_windows *windows,
                                 size_t begin, size_t end, size_t width, size_t out_height,
                                 size_t out_width, size_t c);

/// Packs panels `panel_begin ..< panel_end` of 16 outputs of `w: [out, in, taps]` for `k_gemm`, as a
/// matrix with row `(t − tap_begin) · in + i`, `tap_begin ≤ t < tap_end`, and column o.
void k_windows_pack(float *packed, const float *w, size_t panel_begin, size_t panel_end, size_t out,
                    size_t in, size_t taps, size_t tap_begin, size_t tap_end);

/// Copies row `row` of `x: [height, width, c]`, pixels `x_stride` floats apart, to dense
/// `y: [width + 2 · padding, c]` with zeros at both ends; zeros alone where the image has no such
/// row.
void k_padded_row(float *y, const float *x, size_t x_stride, ptrdiff_t row, size_t height,
                  size_t width, size_t padding, size_t c);

/// The same for the gradient with respect to the image: row `t · out + o`, column i, panels of 16
/// inputs.
void k_windows_pack_transposed(float *packed, const float *w, size_t panel_begin,
                               size_t panel_end, size_t out, size_t in, size_t taps);

#endif
