#include "include/window.h"

#include <string.h>

// One kernel row of the window of pixel (row, column).
static void window_line(float *out, const float *image, size_t kernel, size_t row, size_t column,
                        size_t height, size_t width, size_t c) {
  const size_t half = kernel / 2;
  // Above or left of the image the unsigned position wraps round and is not below the size either.
  if (row >= height) {
    memset(out, 0, kernel * c * sizeof(float));
    return;
  }
  const float *line = image + row * width * c;
  if (column >= half && column + half < width) {
    memcpy(out, line + (column - half) * c, kernel * c * sizeof(float));
    return;
  }
  for (size_t j = 0; j < kernel; j++) {
    const size_t at = column + j - half;
    if (at < width) memcpy(out + j * c, line + at * c, c * sizeof(float));
    else memset(out + j * c, 0, c * sizeof(float));
  }
}

void k_window_rows(float *rows, const float *x, size_t kernel, size_t kernel_row, size_t group,
                   size_t first, size_t pixels, size_t height, size_t width, size_t c) {
  const size_t area = height * width;
  for (size_t pixel = first; pixel < first + pixels; pixel++) {
    const float *image = x + pixel / area * area * c;
    const size_t row = pixel % area / width, column = pixel % width;
    for (size_t i = kernel_row; i < kernel_row + group; i++, rows += kernel * c) {
      window_line(rows, image, kernel, row + i - kernel / 2, column, height, width, c);
    }
  }
}

void k_window_weights(float *matrices, const float *weight, bool flip, size_t kernel, size_t group,
                      size_t out, size_t in) {
  const size_t taps = kernel * kernel, rows = flip ? in : out, depth = flip ? out : in;
  for (size_t r = 0; r < rows; r++) {
    for (size_t tap = 0; tap < taps; tap++) {
      const size_t i = tap / kernel, source = flip ? taps - 1 - tap : tap;
      float *to = matrices + ((i / group * rows + r) * group * kernel + tap % (group * kernel)) * depth;
      const float *from = weight + (flip ? r : r * in) * taps + source;
      const size_t step = flip ? in * taps : taps;
      for (size_t d = 0; d < depth; d++) to[d] = from[d * step];
    }
  }
}

void k_window_weight_gradient(float *dweight, const float *parts, bool accumulate, size_t begin,
                              size_t end, size_t count, size_t kernel, size_t group, size_t out,
                              size_t in) {
  const size_t taps = kernel * kernel, whole = taps * out * in;
  for (size_t o = begin; o < end; o++) {
    for (size_t tap = 0; tap < taps; tap++) {
      const float *from =
        parts + ((tap / kernel / group * out + o) * group * kernel + tap % (group * kernel)) * in;
      float *to = dweight + o * in * taps + tap;
      for (size_t d = 0; d < in; d++) {
        float sum = accumulate ? to[d * taps] : 0;
        for (size_t part = 0; part < count; part++) sum += from[part * whole + d];
        to[d * taps] = sum;
      }
    }
  }
}
