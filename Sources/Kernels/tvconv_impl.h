#include "include/tvconv.h"

K_IMPLEMENTS(tvconv_forward);
K_IMPLEMENTS(tvconv_input_gradient);
K_IMPLEMENTS(tvconv_weight_gradient);

enum {
  // Taps whose weights (or whose gradients) stay in registers while the images of a batch pass.
  TVCONV_GROUP = 9,
  // Floats of all images' rows under one row of kernels: one sweep over the positions takes so many
  // channels that these, which neighbouring positions read again, stay in the second-level cache.
  TVCONV_CACHE = 1 << 17,
  // Channels of the narrowest sweep; every position starts new pages of memory.
  TVCONV_CHANNELS = 64,
};

// Up to TVCONV_GROUP pairs of a vector of weights and the element of an image that it meets, both as
// offsets; images are `image` floats apart.
typedef struct {
  size_t weight[TVCONV_GROUP];
  size_t at[TVCONV_GROUP];
  size_t count;
} tvconv_taps;

// `y[n] (+)= Σ_t weights[t] · x[n][t]` for `c` channels of one position; `count` is a constant at each
// call, so that the weights stay in registers.
K_INLINE void tvconv_sum(float *y, const float *x, const float *weights, const tvconv_taps *taps,
                         size_t count, bool adds, size_t c, size_t batch, size_t y_image,
                         size_t x_image) {
  for (size_t ch = 0; ch < c; ch += VL) {
    const size_t lanes = c - ch;
    vf weight[TVCONV_GROUP];
#pragma unroll
    for (size_t t = 0; t < count; t++) {
      weight[t] = v_load_n(weights + taps->weight[t] + ch, lanes);
    }
    for (size_t n = 0; n < batch; n++) {
      const float *in = x + n * x_image + ch;
      float *out = y + n * y_image + ch;
      vf even = adds ? v_load_n(out, lanes) : (vf){0};
      vf odd = {0};
#pragma unroll
      for (size_t t = 0; t < count; t++) {
        const vf product = v_load_n(in + taps->at[t], lanes) * weight[t];
        if (t % 2 == 0) even = even + product;
        else odd = odd + product;
      }
      v_store_n(out, even + odd, lanes);
    }
  }
}

// `dweights[t] = Σ_n dy[n] · x[n][t]` for `c` channels of one position.
K_INLINE void tvconv_correlate(float *dweights, const float *dy, const float *x,
                               const tvconv_taps *taps, size_t count, size_t c, size_t batch,
                               size_t y_image, size_t x_image) {
  for (size_t ch = 0; ch < c; ch += VL) {
    const size_t lanes = c - ch;
    vf sum[TVCONV_GROUP];
#pragma unroll
    for (size_t t = 0; t < count; t++) sum[t] = (vf){0};
    for (size_t n = 0; n < batch; n++) {
      const vf g = v_load_n(dy + n * y_image + ch, lanes);
      const float *in = x + n * x_image + ch;
#pragma unroll
      for (size_t t = 0; t < count; t++) sum[t] = sum[t] + g * v_load_n(in + taps->at[t], lanes);
    }
#pragma unroll
    for (size_t t = 0; t < count; t++) v_store_n(dweights + taps->weight[t] + ch, sum[t], lanes);
  }
}

// Makes the number of taps a constant.
#define TVCONV_SWITCH(count, CALL) \
  switch (count) {                 \
    case 1: CALL(1); break;        \
    case 2: CALL(2); break;        \
    case 3: CALL(3); break;        \
    case 4: CALL(4); break;        \
    case 5: CALL(5); break;        \
    case 6: CALL(6); break;        \
    case 7: CALL(7); break;        \
    case 8: CALL(8); break;        \
    case 9: CALL(9); break;        \
    default: break;                \
  }

static __attribute__((noinline)) void K_FN(tvconv_sum_group)(
  float *y, const float *x, const float *weights, const tvconv_taps *taps, bool adds,
  size_t c, size_t batch, size_t y_image, size_t x_image) {
#define TVCONV_SUM(n)                                                              \
  if (adds) tvconv_sum(y, x, weights, taps, n, true, c, batch, y_image, x_image); \
  else tvconv_sum(y, x, weights, taps, n, false, c, batch, y_image, x_image)
  TVCONV_SWITCH(taps->count, TVCONV_SUM)
#undef TVCONV_SUM
}

static __attribute__((noinline)) void K_FN(tvconv_correlate_group)(
  float *dweights, const float *dy, const float *x, const tvconv_taps *taps, size_t c,
  size_t batch, size_t y_image, size_t x_image) {
#define TVCONV_CORRELATE(n) \
  tvconv_correlate(dweights, dy, x, taps, n, c, batch, y_image, x_image)
  TVCONV_SWITCH(taps->count, TVCONV_CORRELATE)
#undef TVCONV_CORRELATE
}

K_INLINE void tvconv_clear(float *y, size_t images, size_t image, size_t c) {
  for (size_t n = 0; n < images; n++) memset(y + n * image, 0, c * sizeof *y);
}

static void K_FN(tvconv_forward_block)(float *y, const float *x, const float *weights,
                                 size_t block, const k_tvconv *shape, size_t row_begin,
                                 size_t row_end) {
  const k_tvconv s = *shape;
  const size_t c = s.channels, half = s.kernel / 2, square = s.kernel * s.kernel;
  const size_t x_image = s.in_height * s.in_width * c, y_image = s.out_height * s.out_width * c;
  for (size_t row = row_begin; row < row_end; row++) {
    for (size_t column = 0; column < s.out_width; column++) {
      const size_t position = row * s.out_width + column;
      const float *own = weights + position * square * c;
      float *out = y + position * c;
      tvconv_taps taps = {.count = 0};
      bool adds = false;
      for (size_t i = 0; i < s.kernel; i++) {
        const size_t from = row * s.stride + i - half;
        // Above the image the unsigned row wraps round and is not below the height either.
        if (from >= s.in_height) continue;
        for (size_t j = 0; j < s.kernel; j++) {
          const size_t at = column * s.stride + j - half;
          if (at >= s.in_width) continue;
          taps.weight[taps.count] = (i * s.kernel + j) * c;
          taps.at[taps.count++] = (from * s.in_width + at) * c;
          if (taps.count < TVCONV_GROUP) continue;
          K_FN(tvconv_sum_group)(out, x, own, &taps, adds, block, s.batch, y_image, x_image);
          adds = true;
          taps.count = 0;
        }
      }
      if (taps.count > 0) {
        K_FN(tvconv_sum_group)(out, x, own, &taps, adds, block, s.batch, y_image, x_image);
      } else if (!adds) {
        tvconv_clear(out, s.batch, y_image, block);
      }
    }
  }
}

static void K_FN(tvconv_input_gradient_block)(float *dx, const float *dy, const float *weights,
                                 size_t block, const k_tvconv *shape, size_t row_begin,
                                 size_t row_end) {
  const k_tvconv s = *shape;
  const size_t c = s.channels, half = s.kernel / 2, square = s.kernel * s.kernel;
  const size_t x_image = s.in_height * s.in_width * c, y_image = s.out_height * s.out_width * c;
  for (size_t row = row_begin; row < row_end; row++) {
    for (size_t column = 0; column < s.in_width; column++) {
      float *out = dx + (row * s.in_width + column) * c;
      tvconv_taps taps = {.count = 0};
      bool adds = false;
      for (size_t i = 0; i < s.kernel; i++) {
        // The output row whose tap i meets this row, if there is one.
        const size_t above = row + half - i;
        if (row + half < i || above % s.stride != 0) continue;
        const size_t to = above / s.stride;
        if (to >= s.out_height) continue;
        for (size_t j = 0; j < s.kernel; j++) {
          const size_t left = column + half - j;
          if (column + half < j || left % s.stride != 0) continue;
          const size_t at = left / s.stride;
          if (at >= s.out_width) continue;
          const size_t position = to * s.out_width + at;
          taps.weight[taps.count] = (position * square + i * s.kernel + j) * c;
          taps.at[taps.count++] = position * c;
          if (taps.count < TVCONV_GROUP) continue;
          K_FN(tvconv_sum_group)(out, dy, weights, &taps, adds, block, s.batch, x_image, y_image);
          adds = true;
          taps.count = 0;
        }
      }
      if (taps.count > 0) {
        K_FN(tvconv_sum_group)(out, dy, weights, &taps, adds, block, s.batch, x_image, y_image);
      } else if (!adds) {
        tvconv_clear(out, s.batch, x_image, block);
      }
    }
  }
}

static void K_FN(tvconv_weight_gradient_block)(float *dweights, const float *dy, const float *x,
                                 size_t block, const k_tvconv *shape, size_t row_begin,
                                 size_t row_end) {
  const k_tvconv s = *shape;
  const size_t c = s.channels, half = s.kernel / 2, square = s.kernel * s.kernel;
  const size_t x_image = s.in_height * s.in_width * c, y_image = s.out_height * s.out_width * c;
  for (size_t row = row_begin; row < row_end; row++) {
    for (size_t column = 0; column < s.out_width; column++) {
      const size_t position = row * s.out_width + column;
      float *own = dweights + position * square * c;
      const float *g = dy + position * c;
      tvconv_taps taps = {.count = 0};
      for (size_t i = 0; i < s.kernel; i++) {
        const size_t from = row * s.stride + i - half;
        for (size_t j = 0; j < s.kernel; j++) {
          const size_t at = column * s.stride + j - half;
          const size_t tap = (i * s.kernel + j) * c;
          if (from >= s.in_height || at >= s.in_width) {
            memset(own + tap, 0, block * sizeof *own);
            continue;
          }
          taps.weight[taps.count] = tap;
          taps.at[taps.count++] = (from * s.in_width + at) * c;
          if (taps.count < TVCONV_GROUP) continue;
          K_FN(tvconv_correlate_group)(own, g, x, &taps, block, s.batch, y_image, x_image);
          taps.count = 0;
        }
      }
      if (taps.count > 0) {
        K_FN(tvconv_correlate_group)(own, g, x, &taps, block, s.batch, y_image, x_image);
      }
    }
  }
}
#undef TVCONV_SWITCH

// The number of channels of one sweep, a multiple of the narrowest.
static size_t K_FN(tvconv_width)(const k_tvconv *s) {
  const size_t fit = TVCONV_CACHE / (s->batch * s->kernel * s->in_width);
  return fit < TVCONV_CHANNELS ? TVCONV_CHANNELS : fit / TVCONV_CHANNELS * TVCONV_CHANNELS;
}

// Calls `CALL(first channel, number of channels)` for each block of channels.
#define TVCONV_BLOCKS(CALL)                                       \
  const size_t width = K_FN(tvconv_width)(shape);                 \
  for (size_t ch = 0; ch < shape->channels; ch += width) {        \
    const size_t rest = shape->channels - ch;                     \
    CALL(ch, rest < width ? rest : width);                        \
  }

void K_FN(tvconv_forward)(float *y, const float *x, const float *weights, const k_tvconv *shape,
                          size_t row_begin, size_t row_end) {
#define TVCONV_FORWARD(ch, n) \
  K_FN(tvconv_forward_block)(y + ch, x + ch, weights + ch, n, shape, row_begin, row_end)
  TVCONV_BLOCKS(TVCONV_FORWARD)
#undef TVCONV_FORWARD
}

void K_FN(tvconv_input_gradient)(float *dx, const float *dy, const float *weights,
                                 const k_tvconv *shape, size_t row_begin, size_t row_end) {
#define TVCONV_INPUT(ch, n) \
  K_FN(tvconv_input_gradient_block)(dx + ch, dy + ch, weights + ch, n, shape, row_begin, row_end)
  TVCONV_BLOCKS(TVCONV_INPUT)
#undef TVCONV_INPUT
}

void K_FN(tvconv_weight_gradient)(float *dweights, const float *dy, const float *x,
                                  const k_tvconv *shape, size_t row_begin, size_t row_end) {
#define TVCONV_WEIGHT(ch, n) \
  K_FN(tvconv_weight_gradient_block)(dweights + ch, dy + ch, x + ch, n, shape, row_begin, row_end)
  TVCONV_BLOCKS(TVCONV_WEIGHT)
#undef TVCONV_WEIGHT
}
#undef TVCONV_BLOCKS
