#include "include/windows.h"

#include <string.h>

#include "include/move.h"

// Copies and index arithmetic alone: one version serves all instruction sets.

enum {
  WINDOWS_PANEL = 16,
  WINDOWS_BLOCK = 8,  // rows of a tap that are read while their weights are in the cache
};

void k_windows_gather(float *rows, const float *x, const k_windows *w, size_t begin, size_t end,
                      size_t out_width, size_t height, size_t width, size_t c) {
  for (size_t p = begin; p < end; p++) {
    for (size_t i = 0; i < w->kernel_height; i++) {
      // Above and to the left the unsigned position wraps round and is not below the size either.
      const size_t row = p / out_width * w->stride_height + i * w->dilation_height -
                         w->padding_height;
      for (size_t j = 0; j < w->kernel_width; j++, rows += c) {
        const size_t column = p % out_width * w->stride_width + j * w->dilation_width -
                              w->padding_width;
        if (row < height && column < width) {
          memcpy(rows, x + (row * width + column) * c, c * sizeof(float));
        } else {
          memset(rows, 0, c * sizeof(float));
        }
      }
    }
  }
}

void k_windows_gather_transposed(float *rows, const float *dy, const k_windows *w, size_t begin,
                                 size_t end, size_t width, size_t out_height, size_t out_width,
                                 size_t c) {
  for (size_t q = begin; q < end; q++) {
    for (size_t i = 0; i < w->kernel_height; i++) {
      const size_t below = q / width + w->padding_height, step = i * w->dilation_height;
      const size_t row = (below - step) / w->stride_height;
      const bool has_row =
        below >= step && (below - step) % w->stride_height == 0 && row < out_height;
      for (size_t j = 0; j < w->kernel_width; j++, rows += c) {
        const size_t right = q % width + w->padding_width, shift = j * w->dilation_width;
        const size_t column = (right - shift) / w->stride_width;
        if (has_row && right >= shift && (right - shift) % w->stride_width == 0 &&
            column < out_width) {
          memcpy(rows, dy + (row * out_width + column) * c, c * sizeof(float));
        } else {
          memset(rows, 0, c * sizeof(float));
        }
      }
    }
  }
}

void k_padded_row(float *y, const float *x, size_t x_stride, ptrdiff_t row, size_t height,
                  size_t width, size_t padding, size_t c) {
  if (row < 0 || (size_t)row >= height) {
    memset(y, 0, (width + 2 * padding) * c * sizeof(float));
    return;
  }
  const float *in = x + (size_t)row * width * x_stride;
  float *out = y + padding * c;
  memset(y, 0, padding * c * sizeof(float));
  if (x_stride == c) memcpy(out, in, width * c * sizeof(float));
  else k_copy_rows(out, c, in, x_stride, false, width, c);
  memset(out + width * c, 0, padding * c * sizeof(float));
}

void k_windows_pack(float *packed, const float *w, size_t panel_begin, size_t panel_end, size_t out,
                    size_t in, size_t taps, size_t tap_begin, size_t tap_end) {
  const size_t panel_size = (tap_end - tap_begin) * in * WINDOWS_PANEL;
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t first = panel * WINDOWS_PANEL;
    const size_t lanes = out - first < WINDOWS_PANEL ? out - first : WINDOWS_PANEL;
    float *target = packed + panel * panel_size;
    if (lanes < WINDOWS_PANEL) memset(target, 0, panel_size * sizeof(float));
    for (size_t block = 0; block < in; block += WINDOWS_BLOCK) {
      const size_t block_end = in - block < WINDOWS_BLOCK ? in : block + WINDOWS_BLOCK;
      for (size_t t = tap_begin; t < tap_end; t++) {
        for (size_t i = block; i < block_end; i++) {
          const float *from = w + (first * in + i) * taps + t;
          float *to = target + ((t - tap_begin) * in + i) * WINDOWS_PANEL;
          for (size_t lane = 0; lane < lanes; lane++) to[lane] = from[lane * in * taps];
        }
      }
    }
  }
}

void k_windows_pack_transposed(float *packed, const float *w, size_t panel_begin,
                               size_t panel_end, size_t out, size_t in, size_t taps) {
  for (size_t panel = panel_begin; panel < panel_end; panel++) {
    const size_t first = panel * WINDOWS_PANEL;
    const size_t lanes = in - first < WINDOWS_PANEL ? in - first : WINDOWS_PANEL;
    float *target = packed + panel * taps * out * WINDOWS_PANEL;
    if (lanes < WINDOWS_PANEL) memset(target, 0, taps * out * WINDOWS_PANEL * sizeof(float));
    for (size_t block = 0; block < out; block += WINDOWS_BLOCK) {
      const size_t block_end = out - block < WINDOWS_BLOCK ? out : block + WINDOWS_BLOCK;
      for (size_t t = 0; t < taps; t++) {
        for (size_t o = block; o < block_end; o++) {
          const float *from = w + (o * in + first) * taps + t;
          float *to = target + (t * out + o) * WINDOWS_PANEL;
          for (size_t lane = 0; lane < lanes; lane++) to[lane] = from[lane * taps];
        }
      }
    }
  }
}
