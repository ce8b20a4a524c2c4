#include "include/adaptive.h"

K_IMPLEMENTS(adaptive_forward);
K_IMPLEMENTS(adaptive_input_gradient);
K_IMPLEMENTS(adaptive_weight_gradient);

// The published networks have groups of 8 channels: one vector of this type at every level.
enum { ADAPTIVE_LANES = 8 };
typedef float adaptive_lanes __attribute__((vector_size(32)));
typedef float adaptive_unaligned __attribute__((vector_size(32), aligned(4), may_alias));

// `y += x · w` over one group, and `Σ a · b`.
K_INLINE void adaptive_add(float *y, const float *x, float w, size_t group) {
  size_t i = 0;
  for (; i + ADAPTIVE_LANES <= group; i += ADAPTIVE_LANES) {
    *(adaptive_unaligned *)(y + i) =
      *(const adaptive_unaligned *)(y + i) + w * *(const adaptive_unaligned *)(x + i);
  }
  for (; i < group; i++) y[i] += w * x[i];
}

K_INLINE float adaptive_dot(const float *a, const float *b, size_t group) {
  adaptive_lanes sum = {0};
  size_t i = 0;
  for (; i + ADAPTIVE_LANES <= group; i += ADAPTIVE_LANES) {
    sum = sum + *(const adaptive_unaligned *)(a + i) * *(const adaptive_unaligned *)(b + i);
  }
  // By halves, the same at every level.
  float rest = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
  for (; i < group; i++) rest += a[i] * b[i];
  return rest;
}

// One pixel of forward (`is_transposed` false: weights of this pixel, values of its neighbours) or of
// the input's gradient (weights and values of the neighbours, mirrored). For groups of 8 the sum
// stays in a register.
K_INLINE void adaptive_pixel(float *y, const float *x, const float *w, bool is_transposed,
                             size_t kernel, size_t group, size_t row, size_t column, size_t height,
                             size_t width, size_t c) {
  const size_t half = kernel / 2, taps = kernel * kernel, groups = c / group;
  const size_t pixel = row * width + column;
  float *out = y + pixel * c;
  const bool inside =
    row >= half && row + half < height && column >= half && column + half < width;
  for (size_t g = 0; g < groups; g++) {
    adaptive_lanes sum = {0};
    if (group != ADAPTIVE_LANES) memset(out + g * group, 0, group * sizeof(float));
    for (size_t i = 0; i < kernel; i++) {
      for (size_t j = 0; j < kernel; j++) {
        const size_t r = is_transposed ? row - i + half : row + i - half;
        const size_t s = is_transposed ? column - j + half : column + j - half;
        if (!inside && (r >= height || s >= width)) continue;
        const size_t at = r * width + s;
        const float weight =
          w[((is_transposed ? at : pixel) * groups + g) * taps + i * kernel + j];
        const float *in = x + at * c + g * group;
        if (group == ADAPTIVE_LANES) sum = sum + weight * *(const adaptive_unaligned *)in;
        else adaptive_add(out + g * group, in, weight, group);
      }
    }
    if (group == ADAPTIVE_LANES) *(adaptive_unaligned *)(out + g * group) = sum;
  }
}

#define ADAPTIVE_ROWS(is_transposed)                                                              \
  for (size_t row = row_begin; row < row_end; row++) {                                            \
    for (size_t column = 0; column < width; column++) {                                           \
      if (kernel == 3 && group == ADAPTIVE_LANES) {                                               \
        adaptive_pixel(y, x, w, is_transposed, 3, ADAPTIVE_LANES, row, column, height, width, c); \
      } else {                                                                                    \
        adaptive_pixel(y, x, w, is_transposed, kernel, group, row, column, height, width, c);     \
      }                                                                                           \
    }                                                                                             \
  }

void K_FN(adaptive_forward)(float *y, const float *x, const float *w, size_t kernel, size_t group,
                            size_t row_begin, size_t row_end, size_t height, size_t width,
                            size_t c) {
  ADAPTIVE_ROWS(false)
}

void K_FN(adaptive_input_gradient)(float *y, const float *x, const float *w, size_t kernel,
                                   size_t group, size_t row_begin, size_t row_end, size_t height,
                                   size_t width, size_t c) {
  ADAPTIVE_ROWS(true)
}
#undef ADAPTIVE_ROWS

void K_FN(adaptive_weight_gradient)(float *dw, const float *dy, const float *x, size_t kernel,
                                    size_t group, size_t row_begin, size_t row_end, size_t height,
                                    size_t width, size_t c) {
  const size_t half = kernel / 2, taps = kernel * kernel, groups = c / group;
  for (size_t row = row_begin; row < row_end; row++) {
    for (size_t column = 0; column < width; column++) {
      const size_t pixel = row * width + column;
      for (size_t g = 0; g < groups; g++) {
        float *out = dw + (pixel * groups + g) * taps;
        const float *upstream = dy + pixel * c + g * group;
        for (size_t i = 0; i < kernel; i++) {
          for (size_t j = 0; j < kernel; j++) {
            const size_t r = row + i - half, s = column + j - half;
            const bool inside = r < height && s < width;
            out[i * kernel + j] =
              inside ? adaptive_dot(upstream, x + (r * width + s) * c + g * group, group) : 0;
          }
        }
      }
    }
  }
}
