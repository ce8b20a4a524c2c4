#include "include/shift.h"

K_IMPLEMENTS(context_shift);
K_IMPLEMENTS(block_sum);

static const int8_t shift_rows[K_SHIFT_OFFSETS] = {0, 0, 1, -1, 0, 0, 2, -2,
                                                   1, -1, 1, -1, 2, -2, 2, -2};
static const int8_t shift_columns[K_SHIFT_OFFSETS] = {1, -1, 0, 0, 2, -2, 0, 0,
                                                      1, -1, -1, 1, 2, -2, -2, 2};

// Lanes of `here` that belong to group `g`, all ones.
K_INLINE vi shift_lanes(const int32_t *ends, size_t g, size_t channel) {
#if K_LEVEL == 512
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif K_LEVEL == 256
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
#else
  const vi lane = {0, 1, 2, 3};
#endif
  const int32_t begin = g == 0 ? 0 : ends[g - 1];
  return (lane >= v_set1_int(begin - (int32_t)channel)) &
         (lane < v_set1_int(ends[g] - (int32_t)channel));
}

// One pixel: `from[g]` is where group g comes from, NULL for zero. A vector is put together from the
// groups that it touches; reading its other lanes is safe because they are channels of the same pixel.
K_INLINE void shift_pixel(float *y, const float *x, const float *block, const float *const *from,
                          const int32_t *ends, float keep, float moved, size_t c) {
  size_t g = 0;
  for (size_t channel = 0; channel < c; channel += VL) {
    const size_t lanes = c - channel;
    vf sum = keep * v_load_n(x + channel, lanes);
    if (block != NULL) sum = sum + v_load_n(block + channel, lanes);
    while (g < K_SHIFT_OFFSETS && ends[g] <= (int32_t)channel) g++;
    vf other = {0};
    for (size_t h = g; h < K_SHIFT_OFFSETS && (h == g || ends[h - 1] < (int32_t)(channel + VL));
         h++) {
      if (from[h] == NULL) continue;
      other = v_select(shift_lanes(ends, h, channel), v_load_n(from[h] + channel, lanes), other);
    }
    v_store_n(y + channel, sum + moved * other, lanes);
  }
}

void K_FN(context_shift)(float *y, const float *x, const float *blocks, const int32_t *ends,
                         int32_t direction, float keep, float moved, size_t row_begin,
                         size_t row_end, size_t height, size_t width, size_t c) {
  ptrdiff_t steps[K_SHIFT_OFFSETS];
  for (size_t g = 0; g < K_SHIFT_OFFSETS; g++) {
    steps[g] = -direction * (shift_rows[g] * (ptrdiff_t)width + shift_columns[g]) * (ptrdiff_t)c;
  }
  for (size_t row = row_begin; row < row_end; row++) {
    const bool row_inside = row >= 2 && row + 2 < height;
    for (size_t column = 0; column < width; column++) {
      const size_t pixel = (row * width + column) * c;
      const bool inside = row_inside && column >= 2 && column + 2 < width;
      const float *from[K_SHIFT_OFFSETS];
      for (size_t g = 0; g < K_SHIFT_OFFSETS; g++) {
        // Above and to the left the unsigned position wraps round and is not below the size either.
        const size_t i = row - (size_t)(direction * shift_rows[g]);
        const size_t j = column - (size_t)(direction * shift_columns[g]);
        from[g] = inside || (i < height && j < width) ? x + pixel + steps[g] : NULL;
      }
      const float *block =
        blocks == NULL ? NULL : blocks + (row / 2 * (width / 2) + column / 2) * c;
      shift_pixel(y + pixel, x + pixel, block, from, ends, keep, moved, c);
    }
  }
}

void K_FN(block_sum)(float *y, const float *x, float scale, size_t row_begin, size_t row_end,
                     size_t width, size_t c) {
  for (size_t row = row_begin; row < row_end; row++) {
    for (size_t column = 0; column < width; column++) {
      const float *upper = x + (2 * row * 2 * width + 2 * column) * c;
      const float *lower = upper + 2 * width * c;
      float *out = y + (row * width + column) * c;
      for (size_t i = 0; i < c; i += VL) {
        const size_t lanes = c - i;
        const vf sum = (v_load_n(upper + i, lanes) + v_load_n(upper + c + i, lanes)) +
                       (v_load_n(lower + i, lanes) + v_load_n(lower + c + i, lanes));
        v_store_n(out + i, scale * sum, lanes);
      }
    }
  }
}
