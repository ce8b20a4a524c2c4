#include "include/move.h"

K_IMPLEMENTS(copy_strided);
K_IMPLEMENTS(copy_rows);
K_IMPLEMENTS(transpose);
K_IMPLEMENTS(pixel_shuffle);
K_IMPLEMENTS(pixel_unshuffle);

void K_FN(copy_strided)(float *y, size_t y_step, const float *x, size_t x_step, bool accumulate,
                        size_t n) {
  if (accumulate) {
    for (size_t i = 0; i < n; i++) y[i * y_step] += x[i * x_step];
  } else {
    for (size_t i = 0; i < n; i++) y[i * y_step] = x[i * x_step];
  }
}

void K_FN(copy_rows)(float *y, size_t y_stride, const float *x, size_t x_stride, bool accumulate,
                     size_t rows, size_t c) {
  for (size_t r = 0; r < rows; r++) {
    const float *in = x + r * x_stride;
    float *out = y + r * y_stride;
    for (size_t i = 0; i < c; i += VL) {
      vf v = v_load_n(in + i, c - i);
      if (accumulate) v = v + v_load_n(out + i, c - i);
      v_store_n(out + i, v, c - i);
    }
  }
}

// A block of 4 × 4, in two rounds of interleaving: row i of the result to y[i].
K_INLINE void transpose_4x4(float *const y[4], const float *const x[4]) {
  typedef float quad __attribute__((vector_size(16)));
  typedef float quad_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
  const quad a = *(const quad_unaligned *)x[0], b = *(const quad_unaligned *)x[1];
  const quad c = *(const quad_unaligned *)x[2], d = *(const quad_unaligned *)x[3];
  const quad ac_low = __builtin_shufflevector(a, c, 0, 4, 1, 5);
  const quad ac_high = __builtin_shufflevector(a, c, 2, 6, 3, 7);
  const quad bd_low = __builtin_shufflevector(b, d, 0, 4, 1, 5);
  const quad bd_high = __builtin_shufflevector(b, d, 2, 6, 3, 7);
  *(quad_unaligned *)y[0] = __builtin_shufflevector(ac_low, bd_low, 0, 4, 1, 5);
  *(quad_unaligned *)y[1] = __builtin_shufflevector(ac_low, bd_low, 2, 6, 3, 7);
  *(quad_unaligned *)y[2] = __builtin_shufflevector(ac_high, bd_high, 0, 4, 1, 5);
  *(quad_unaligned *)y[3] = __builtin_shufflevector(ac_high, bd_high, 2, 6, 3, 7);
}

void K_FN(transpose)(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                     size_t columns) {
  // A tile of 32 × 32 floats reads and writes 32 pages at most, and whole cache lines. Four rows of
  // y are written to their end before the next four: y strides are often multiples of a page, and
  // more lines would evict each other.
  enum { TILE = 32 };
  for (size_t row = 0; row < rows; row += TILE) {
    const size_t row_end = rows - row < TILE ? rows : row + TILE;
    for (size_t column = 0; column < columns; column += TILE) {
      const size_t column_end = columns - column < TILE ? columns : column + TILE;
      size_t j = column;
      for (; j + 4 <= column_end; j += 4) {
        size_t i = row;
        for (; i + 4 <= row_end; i += 4) {
          const float *in = x + i * x_stride + j;
          float *out = y + j * y_stride + i;
          const float *const from[4] = {in, in + x_stride, in + 2 * x_stride, in + 3 * x_stride};
          float *const to[4] = {out, out + y_stride, out + 2 * y_stride, out + 3 * y_stride};
          transpose_4x4(to, from);
        }
        for (; i < row_end; i++) {
          for (size_t l = j; l < j + 4; l++) y[l * y_stride + i] = x[i * x_stride + l];
        }
      }
      for (; j < column_end; j++) {
        for (size_t i = row; i < row_end; i++) y[j * y_stride + i] = x[i * x_stride + j];
      }
    }
  }
}

// One input row of any factor.
static void K_FN(pixel_shuffle_row)(float *restrict y, size_t y_pixel, size_t y_row,
                                    const float *restrict x, size_t factor, size_t width,
                                    size_t c) {
  for (size_t column = 0; column < width; column++) {
    const float *in = x + column * c * factor * factor;
    for (size_t dy = 0; dy < factor; dy++) {
      for (size_t dx = 0; dx < factor; dx++) {
        float *out = y + dy * y_row + (column * factor + dx) * y_pixel;
        for (size_t ch = 0; ch < c; ch++) out[ch] = in[(ch * factor + dy) * factor + dx];
      }
    }
  }
}

static void K_FN(pixel_unshuffle_row)(float *restrict y, const float *restrict x, size_t x_pixel,
                                      size_t x_row, size_t factor, size_t width, size_t c) {
  for (size_t column = 0; column < width; column++) {
    float *out = y + column * c * factor * factor;
    for (size_t dy = 0; dy < factor; dy++) {
      for (size_t dx = 0; dx < factor; dx++) {
        const float *in = x + dy * x_row + (column * factor + dx) * x_pixel;
        for (size_t ch = 0; ch < c; ch++) out[(ch * factor + dy) * factor + dx] = in[ch];
      }
    }
  }
}

// The same for factor 2: four channels of four pixels are a 4 × 4 block to transpose.
static void K_FN(pixel_shuffle_row_2)(float *y, size_t y_pixel, size_t y_row, const float *x,
                                      size_t width, size_t c) {
  for (size_t column = 0; column < width; column++) {
    const float *in = x + column * c * 4;
    float *upper = y + column * 2 * y_pixel, *lower = upper + y_row;
    size_t ch = 0;
    for (; ch + 4 <= c; ch += 4) {
      const float *four = in + ch * 4;
      const float *const from[4] = {four, four + 4, four + 8, four + 12};
      float *const to[4] = {upper + ch, upper + y_pixel + ch, lower + ch, lower + y_pixel + ch};
      transpose_4x4(to, from);
    }
    for (; ch < c; ch++) {
      upper[ch] = in[ch * 4], upper[y_pixel + ch] = in[ch * 4 + 1];
      lower[ch] = in[ch * 4 + 2], lower[y_pixel + ch] = in[ch * 4 + 3];
    }
  }
}

static void K_FN(pixel_unshuffle_row_2)(float *y, const float *x, size_t x_pixel, size_t x_row,
                                        size_t width, size_t c) {
  for (size_t column = 0; column < width; column++) {
    float *out = y + column * c * 4;
    const float *upper = x + column * 2 * x_pixel, *lower = upper + x_row;
    size_t ch = 0;
    for (; ch + 4 <= c; ch += 4) {
      float *four = out + ch * 4;
      const float *const from[4] = {upper + ch, upper + x_pixel + ch, lower + ch,
                                    lower + x_pixel + ch};
      float *const to[4] = {four, four + 4, four + 8, four + 12};
      transpose_4x4(to, from);
    }
    for (; ch < c; ch++) {
      out[ch * 4] = upper[ch], out[ch * 4 + 1] = upper[x_pixel + ch];
      out[ch * 4 + 2] = lower[ch], out[ch * 4 + 3] = lower[x_pixel + ch];
    }
  }
}

void K_FN(pixel_shuffle)(float *y, size_t y_pixel, size_t y_row, const float *x, size_t factor,
                         size_t row_begin, size_t row_end, size_t width, size_t c) {
  for (size_t row = row_begin; row < row_end; row++) {
    float *out = y + row * factor * y_row;
    const float *in = x + row * width * c * factor * factor;
    if (factor == 2) K_FN(pixel_shuffle_row_2)(out, y_pixel, y_row, in, width, c);
    else K_FN(pixel_shuffle_row)(out, y_pixel, y_row, in, factor, width, c);
  }
}

void K_FN(pixel_unshuffle)(float *y, const float *x, size_t x_pixel, size_t x_row, size_t factor,
                           size_t row_begin, size_t row_end, size_t width, size_t c) {
  for (size_t row = row_begin; row < row_end; row++) {
    float *out = y + row * width * c * factor * factor;
    const float *in = x + row * factor * x_row;
    if (factor == 2) K_FN(pixel_unshuffle_row_2)(out, in, x_pixel, x_row, width, c);
    else K_FN(pixel_unshuffle_row)(out, in, x_pixel, x_row, factor, width, c);
  }
}
