/// Context shift: groups of channels of an image moved by sixteen fixed offsets.
///
/// Float32, channels-last: images `[height, width, c]`. The offsets (dy, dx), in the order of the
/// channel groups, are (0,1) (0,−1) (1,0) (−1,0) (0,2) (0,−2) (2,0) (−2,0) (1,1) (−1,−1) (1,−1)
/// (−1,1) (2,2) (−2,−2) (2,−2) (−2,2).
///
/// Source: FS-RWKV, arXiv 2510.08951.
#ifndef RESTORE_KERNELS_SHIFT_H
#define RESTORE_KERNELS_SHIFT_H

#include <stddef.h>
#include <stdint.h>

/// The number of offsets.
enum { K_SHIFT_OFFSETS = 16 };

/// `y[p] = keep · x[p] + moved · x[p − direction · offset] + blocks[p / 2]`, image rows
/// `row_begin ..< row_end`.
///
/// Group g is the channels `ends[g − 1] ..< ends[g]`; channels beyond the last group, and sources
/// outside the image, have no moved term. A direction of −1 gives the transpose. `blocks` is an image
/// of half the height and width, or NULL. Pointers are to whole images; y must not alias the others.
void k_context_shift(float *y, const float *x, const float *blocks, const int32_t *ends,
                     int32_t direction, float keep, float moved, size_t row_begin, size_t row_end,
                     size_t height, size_t width, size_t c);

/// `y[i, j] = scale · Σ x[2i ..< 2i + 2, 2j ..< 2j + 2]`, rows `row_begin ..< row_end` of the
/// `[height, width, c]` output; x has twice the height and width.
void k_block_sum(float *y, const float *x, float scale, size_t row_begin, size_t row_end,
                 size_t width, size_t c);

#endif
