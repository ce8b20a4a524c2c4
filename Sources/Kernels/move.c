#include "include/move.h"

#include "dispatch_internal.h"

K_DISPATCHED(copy_strided)
K_DISPATCHED(copy_rows)
K_DISPATCHED(transpose)
K_DISPATCHED(pixel_shuffle)
K_DISPATCHED(pixel_unshuffle)

void k_copy_strided(float *y, size_t y_step, const float *x, size_t x_step, bool accumulate,
                    size_t n) {
  K_CALL(copy_strided)(y, y_step, x, x_step, accumulate, n);
}

void k_copy_rows(float *y, size_t y_stride, const float *x, size_t x_stride, bool accumulate,
                 size_t rows, size_t c) {
  K_CALL(copy_rows)(y, y_stride, x, x_stride, accumulate, rows, c);
}

void k_transpose(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                 size_t columns) {
  K_CALL(transpose)(y, y_stride, x, x_stride, rows, columns);
}

void k_pixel_shuffle(float *y, size_t y_pixel, size_t y_row, const float *x, size_t factor,
                     size_t row_begin, size_t row_end, size_t width, size_t c) {
  K_CALL(pixel_shuffle)(y, y_pixel, y_row, x, factor, row_begin, row_end, width, c);
}

void k_pixel_unshuffle(float *y, const float *x, size_t x_pixel, size_t x_row, size_t factor,
                       size_t row_begin, size_t row_end, size_t width, size_t c) {
  K_CALL(pixel_unshuffle)(y, x, x_pixel, x_row, factor, row_begin, row_end, width, c);
}
