#include "include/shift.h"

#include "dispatch_internal.h"

K_DISPATCHED(context_shift)
K_DISPATCHED(block_sum)

void k_context_shift(float *y, const float *x, const float *blocks, const int32_t *ends,
                     int32_t direction, float keep, float moved, size_t row_begin, size_t row_end,
                     size_t height, size_t width, size_t c) {
  K_CALL(context_shift)(y, x, blocks, ends, direction, keep, moved, row_begin, row_end, height,
                        width, c);
}

void k_block_sum(float *y, const float *x, float scale, size_t row_begin, size_t row_end,
                 size_t width, size_t c) {
  K_CALL(block_sum)(y, x, scale, row_begin, row_end, width, c);
}
