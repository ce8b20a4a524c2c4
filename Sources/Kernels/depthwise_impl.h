#include "include/depthwise.h"

K_IMPLEMENTS(depthwise_forward);
K_IMPLEMENTS(depthwise_weight_gradient);

enum {
  // Pixels of one strip: their sums stay in registers while all taps pass. An input vector serves
  // as many sums as the kernel is wide.
  DEPTHWISE_STRIP = 8,
  DEPTHWISE_KERNEL_MAX = 7,
};

K_INLINE vf depthwise_load(const float *p, bool tail, size_t lanes) {
  return tail ? v_load_tail(p, lanes) : v_load(p);
}

// One strip of one vector of channels: `size` (kernel) and `edge` are constants at each call.
// `lanes` is VL or, in a tail, the channels that are left. Only an edge strip reaches outside the
// image or has fewer than DEPTHWISE_STRIP pixels.
K_INLINE void depthwise_strip(float *y, const float *x, const float *taps, size_t size, bool edge,
                              bool tail, size_t row, size_t column, size_t pixels, size_t lanes,
                              size_t height, size_t width, size_t c) {
  const size_t half = size / 2;
  vf sum[DEPTHWISE_STRIP];
#pragma unroll
  for (size_t p = 0; p < DEPTHWISE_STRIP; p++) sum[p] = (vf){0};
  // The strip below comes next: its new input row and its outputs are fetched meanwhile.
  if (row + half + 1 < height) {
#pragma unroll
    for (size_t p = 0; p < DEPTHWISE_STRIP; p++) {
      __builtin_prefetch(x + ((row + half + 1) * width + column + p) * c);
      __builtin_prefetch(y + ((row + 1) * width + column + p) * c, 1);
    }
  }
  const size_t first = row < half ? half - row : 0;
  const size_t last = row + half >= height ? height - row + half : size;
  for (size_t i = first; i < last; i++) {
    vf tap[DEPTHWISE_KERNEL_MAX];
#pragma unroll
    for (size_t j = 0; j < size; j++) {
      tap[j] = depthwise_load(taps + (i * size + j) * c, tail, lanes);
    }
    const float *in = x + (row + i - half) * width * c;
#pragma unroll
    for (size_t q = 0; q < DEPTHWISE_STRIP + size - 1; q++) {
      // Left of the image the unsigned column wraps round and is not below the width either.
      const size_t at = column + q - half;
      if (edge && at >= width) continue;
      const vf value = depthwise_load(in + at * c, tail, lanes);
#pragma unroll
      for (size_t j = 0; j < size; j++) {
        if (q >= j && q - j < DEPTHWISE_STRIP) sum[q - j] = sum[q - j] + value * tap[j];
      }
    }
  }
  float *out = y + (row * width + column) * c;
#pragma unroll
  for (size_t p = 0; p < DEPTHWISE_STRIP; p++) {
    if (edge && p >= pixels) continue;
    if (tail) v_store_tail(out + p * c, sum[p], lanes);
    else v_store(out + p * c, sum[p]);
  }
}

#define DEPTHWISE_ANY(size, inside, tail, lanes)                                                   \
  {                                                                                              \
    if (inside) {                                                                                \
      depthwise_strip(y + ch, x + ch, taps + ch, size, false, tail, row, column, pixels, lanes,  \
                      height, width, c);                                                         \
    } else {                                                                                     \
      depthwise_strip(y + ch, x + ch, taps + ch, size, true, tail, row, column, pixels, lanes,   \
                      height, width, c);                                                         \
    }                                                                                            \
  }

// All rows of one strip, then the next strip, so that a strip's input rows stay in the first-level
// cache while they are needed.
#define DEPTHWISE_FORWARD(size)                                                                  \
  static __attribute__((noinline)) void K_FN(depthwise_forward_##size)(                          \
    float *y, const float *x, const float *taps, size_t row_begin, size_t row_end, size_t height, \
    size_t width, size_t c) {                                                                    \
    for (size_t begin = 0; begin < width; begin += DEPTHWISE_STRIP) {                            \
      /* The last strip steps back over its neighbour rather than being short. */                \
      const bool whole = begin + DEPTHWISE_STRIP <= width;                                       \
      const size_t column =                                                                      \
        whole || width < DEPTHWISE_STRIP ? begin : width - DEPTHWISE_STRIP;                      \
      const size_t pixels = width < DEPTHWISE_STRIP ? width : DEPTHWISE_STRIP;                   \
      const bool inside =                                                                        \
        column >= (size) / 2 && column + DEPTHWISE_STRIP + (size) / 2 <= width;                  \
      for (size_t row = row_begin; row < row_end; row++) {                                       \
        size_t ch = 0;                                                                           \
        for (; ch + VL <= c; ch += VL) DEPTHWISE_ANY(size, inside, false, VL)                    \
        if (ch < c) DEPTHWISE_ANY(size, inside, true, c - ch)                                    \
      }                                                                                          \
    }                                                                                            \
  }
DEPTHWISE_FORWARD(3)
DEPTHWISE_FORWARD(5)
DEPTHWISE_FORWARD(7)
#undef DEPTHWISE_FORWARD
#undef DEPTHWISE_ANY

// Any odd kernel: pixel by pixel.
static void K_FN(depthwise_forward_plain)(float *y, const float *x, const float *taps, size_t size,
                                          size_t row_begin, size_t row_end, size_t height,
                                          size_t width, size_t c) {
  const size_t half = size / 2;
  for (size_t row = row_begin; row < row_end; row++) {
    for (size_t column = 0; column < width; column++) {
      for (size_t ch = 0; ch < c; ch += VL) {
        const size_t lanes = c - ch;
        vf sum = {0};
        for (size_t i = 0; i < size; i++) {
          const size_t from = row + i - half;
          if (from >= height) continue;
          for (size_t j = 0; j < size; j++) {
            const size_t at = column + j - half;
            if (at >= width) continue;
            sum = sum + v_load_n(x + (from * width + at) * c + ch, lanes) *
                          v_load_n(taps + (i * size + j) * c + ch, lanes);
          }
        }
        v_store_n(y + (row * width + column) * c + ch, sum, lanes);
      }
    }
  }
}

void K_FN(depthwise_forward)(float *y, const float *x, const float *taps, size_t kernel,
                             size_t row_begin, size_t row_end, size_t height, size_t width,
                             size_t c) {
  switch (kernel) {
    case 3:
      K_FN(depthwise_forward_3)(y, x, taps, row_begin, row_end, height, width, c);
      break;
    case 5:
      K_FN(depthwise_forward_5)(y, x, taps, row_begin, row_end, height, width, c);
      break;
    case 7:
      K_FN(depthwise_forward_7)(y, x, taps, row_begin, row_end, height, width, c);
      break;
    default:
      K_FN(depthwise_forward_plain)(y, x, taps, kernel, row_begin, row_end, height, width, c);
  }
}

// MARK: - Weight gradient

#if K_LEVEL == 512
enum { DEPTHWISE_GRADIENT_STRIP = 8 };
#else
enum { DEPTHWISE_GRADIENT_STRIP = 4 };
#endif

// One kernel row against one row of output gradients, columns `begin ..< end`: the row's taps stay
// in registers, even and odd pixels in sums of their own to keep enough additions in flight.
K_INLINE void depthwise_gradient_row(float *dtaps, const float *dy, const float *x, size_t size,
                                     size_t lanes, size_t begin, size_t end,
                                     size_t width, size_t c) {
  enum { STRIP = DEPTHWISE_GRADIENT_STRIP };
  const size_t half = size / 2;
  vf even[DEPTHWISE_KERNEL_MAX], odd[DEPTHWISE_KERNEL_MAX];
#pragma unroll
  for (size_t j = 0; j < size; j++) {
    even[j] = v_load_n(dtaps + j * c, lanes);
    odd[j] = (vf){0};
  }
  size_t column = begin;
  // Pixels whose window leaves the image, and those that do not fill a strip, go one by one.
#define DEPTHWISE_GRADIENT_PIXEL                                                  \
  {                                                                               \
    const vf g = v_load_n(dy + column * c, lanes);                                \
    _Pragma("unroll") for (size_t j = 0; j < size; j++) {                         \
      const size_t at = column + j - half;                                        \
      if (at < width) even[j] = even[j] + g * v_load_n(x + at * c, lanes);        \
    }                                                                             \
  }
  for (; column < end && column < half; column++) DEPTHWISE_GRADIENT_PIXEL
  for (; column + STRIP <= end && column + STRIP + half <= width; column += STRIP) {
    vf g[STRIP];
#pragma unroll
    for (size_t p = 0; p < STRIP; p++) g[p] = v_load_n(dy + (column + p) * c, lanes);
#pragma unroll
    for (size_t q = 0; q < STRIP + size - 1; q++) {
      const vf value = v_load_n(x + (column + q - half) * c, lanes);
#pragma unroll
      for (size_t j = 0; j < size; j++) {
        if (q < j || q - j >= STRIP) continue;
        if ((q - j) % 2 == 0) even[j] = even[j] + g[q - j] * value;
        else odd[j] = odd[j] + g[q - j] * value;
      }
    }
  }
  for (; column < end; column++) DEPTHWISE_GRADIENT_PIXEL
#undef DEPTHWISE_GRADIENT_PIXEL
#pragma unroll
  for (size_t j = 0; j < size; j++) v_store_n(dtaps + j * c, even[j] + odd[j], lanes);
}

// Columns per block: one vector of channels of all the rows that a block reads stays in the
// first-level cache.
enum { DEPTHWISE_GRADIENT_COLUMNS = 64 };

#define DEPTHWISE_GRADIENT(size)                                                                  \
  static __attribute__((noinline)) void K_FN(depthwise_gradient_##size)(                          \
    float *dtaps, const float *dy, const float *x, size_t row_begin, size_t row_end,              \
    size_t height, size_t width, size_t c) {                                                      \
    for (size_t begin = 0; begin < width; begin += DEPTHWISE_GRADIENT_COLUMNS) {                  \
      const size_t rest = width - begin;                                                          \
      const size_t end =                                                                          \
        begin + (rest < DEPTHWISE_GRADIENT_COLUMNS ? rest : DEPTHWISE_GRADIENT_COLUMNS);          \
      for (size_t ch = 0; ch < c; ch += VL) {                                                     \
        for (size_t row = row_begin; row < row_end; row++) {                                      \
          for (size_t i = 0; i < (size); i++) {                                                   \
            const size_t from = row + i - (size) / 2;                                             \
            if (from >= height) continue;                                                         \
            float *out = dtaps + i * (size) * c + ch;                                             \
            const float *g = dy + row * width * c + ch, *in = x + from * width * c + ch;          \
            if (ch + VL <= c) {                                                                   \
              depthwise_gradient_row(out, g, in, size, VL, begin, end, width, c);           \
            } else {                                                                              \
              depthwise_gradient_row(out, g, in, size, c - ch, begin, end, width, c);       \
            }                                                                                     \
          }                                                                                       \
        }                                                                                         \
      }                                                                                           \
    }                                                                                             \
  }
DEPTHWISE_GRADIENT(3)
DEPTHWISE_GRADIENT(5)
DEPTHWISE_GRADIENT(7)
#undef DEPTHWISE_GRADIENT

static void K_FN(depthwise_gradient_plain)(float *dtaps, const float *dy, const float *x,
                                           size_t size, size_t row_begin, size_t row_end,
                                           size_t height, size_t width, size_t c) {
  const size_t half = size / 2;
  for (size_t i = 0; i < size; i++) {
    for (size_t j = 0; j < size; j++) {
      for (size_t ch = 0; ch < c; ch += VL) {
        const size_t lanes = c - ch;
        float *out = dtaps + (i * size + j) * c + ch;
        vf sum = v_load_n(out, lanes);
        for (size_t row = row_begin; row < row_end; row++) {
          const size_t from = row + i - half;
          if (from >= height) continue;
          for (size_t column = 0; column < width; column++) {
            const size_t at = column + j - half;
            if (at >= width) continue;
            sum = sum + v_load_n(dy + (row * width + column) * c + ch, lanes) *
                          v_load_n(x + (from * width + at) * c + ch, lanes);
          }
        }
        v_store_n(out, sum, lanes);
      }
    }
  }
}

void K_FN(depthwise_weight_gradient)(float *dtaps, const float *dy, const float *x, size_t kernel,
                                     size_t row_begin, size_t row_end, size_t height, size_t width,
                                     size_t c) {
  switch (kernel) {
    case 3:
      K_FN(depthwise_gradient_3)(dtaps, dy, x, row_begin, row_end, height, width, c);
      break;
    case 5:
      K_FN(depthwise_gradient_5)(dtaps, dy, x, row_begin, row_end, height, width, c);
      break;
    case 7:
      K_FN(depthwise_gradient_7)(dtaps, dy, x, row_begin, row_end, height, width, c);
      break;
    default:
      K_FN(depthwise_gradient_plain)(dtaps, dy, x, kernel, row_begin, row_end, height, width, c);
  }
}
