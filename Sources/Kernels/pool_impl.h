#include "include/pool.h"

K_IMPLEMENTS(max_pool_forward);
K_IMPLEMENTS(max_pool_backward);
K_IMPLEMENTS(average_pool_forward);
K_IMPLEMENTS(average_pool_backward);

typedef struct {
  size_t begin, end, step;  // input positions of a window along one axis
} pool_window;

// The inputs that output o sees.
K_INLINE pool_window pool_inputs(const k_pool_axis *axis, size_t o) {
  const size_t start = o * axis->stride;  // in padded coordinates
  const size_t stop = start + axis->kernel * axis->dilation;
  size_t first = start;
  if (first < axis->padding) {
    const size_t missing = axis->padding - first + axis->dilation - 1;
    first += missing / axis->dilation * axis->dilation;
  }
  const size_t limit = axis->padding + axis->input;
  const size_t end = stop < limit ? stop : limit;
  return (pool_window){
    first - axis->padding, end > first ? end - axis->padding : first - axis->padding,
    axis->dilation};
}

// The outputs whose windows could hold input i; with dilation some of them skip it.
K_INLINE pool_window pool_outputs(const k_pool_axis *axis, size_t i) {
  const size_t padded = i + axis->padding, reach = (axis->kernel - 1) * axis->dilation;
  const size_t first = padded > reach ? (padded - reach + axis->stride - 1) / axis->stride : 0;
  const size_t last = padded / axis->stride + 1;
  return (pool_window){first, last < axis->output ? last : axis->output, 1};
}

K_INLINE bool pool_holds(const k_pool_axis *axis, size_t o, size_t i) {
  return (i + axis->padding - o * axis->stride) % axis->dilation == 0;
}

// Positions of a stretch that are a multiple of the dilation from its begin.
K_INLINE size_t pool_steps(size_t stretch, size_t dilation) {
  return dilation == 1 ? stretch : (stretch + dilation - 1) / dilation;
}

// Taps of output o's window along one axis that count in an average.
K_INLINE size_t pool_count(const k_pool_axis *axis, size_t o, bool count_padding) {
  if (!count_padding) {
    const pool_window window = pool_inputs(axis, o);
    return pool_steps(window.end - window.begin, axis->dilation);
  }
  const size_t start = o * axis->stride, limit = axis->input + 2 * axis->padding;
  const size_t stop = start + axis->kernel * axis->dilation;
  return pool_steps((stop < limit ? stop : limit) - start, axis->dilation);
}

#define POOL_FOR(name, window) \
  for (size_t name = (window).begin; name < (window).end; name += (window).step)

void K_FN(max_pool_forward)(float *y, int32_t *index, const float *x, const k_pool *shape,
                            size_t begin, size_t end, size_t c) {
  const k_pool_axis *da = &shape->depth, *ha = &shape->height, *wa = &shape->width;
  for (size_t o = begin; o < end; o++) {
    const pool_window depths = pool_inputs(da, o / wa->output / ha->output);
    const pool_window heights = pool_inputs(ha, o / wa->output % ha->output);
    const pool_window widths = pool_inputs(wa, o % wa->output);
    for (size_t ch = 0; ch < c; ch += VL) {
      const size_t lanes = c - ch;
      vf best = v_set1(-INFINITY);
      vi where = {0};
      bool first = true;
      POOL_FOR(d, depths) POOL_FOR(h, heights) POOL_FOR(w, widths) {
        const size_t at = (d * ha->input + h) * wa->input + w;
        const vf value = v_load_n(x + at * c + ch, lanes);
        // The first input always counts, so that a window of −∞ has an index too.
        const vi wins = first ? ~(vi){0} : (value > best) | (value != value);
        best = v_select(wins, value, best);
        where = (wins & (int32_t)at) | (~wins & where);
        first = false;
      }
      v_store_n(y + o * c + ch, best, lanes);
      if (index != NULL) v_store_n((float *)(index + o * c + ch), (vf)where, lanes);
    }
  }
}

void K_FN(max_pool_backward)(float *dx, const float *dy, const int32_t *index, const k_pool *shape,
                             bool accumulate, size_t begin, size_t end, size_t c) {
  const k_pool_axis *da = &shape->depth, *ha = &shape->height, *wa = &shape->width;
  for (size_t i = begin; i < end; i++) {
    const pool_window depths = pool_outputs(da, i / wa->input / ha->input);
    const pool_window heights = pool_outputs(ha, i / wa->input % ha->input);
    const pool_window widths = pool_outputs(wa, i % wa->input);
    for (size_t ch = 0; ch < c; ch += VL) {
      const size_t lanes = c - ch;
      vf sum = accumulate ? v_load_n(dx + i * c + ch, lanes) : (vf){0};
      POOL_FOR(d, depths) POOL_FOR(h, heights) POOL_FOR(w, widths) {
        const size_t at = ((d * ha->output + h) * wa->output + w) * c + ch;
        const vi mine = (vi)v_load_n((const float *)(index + at), lanes) == (int32_t)i;
        sum = sum + v_select(mine, v_load_n(dy + at, lanes), (vf){0});
      }
      v_store_n(dx + i * c + ch, sum, lanes);
    }
  }
}

void K_FN(average_pool_forward)(float *y, const float *x, const k_pool *shape, bool count_padding,
                                size_t begin, size_t end, size_t c) {
  const k_pool_axis *da = &shape->depth, *ha = &shape->height, *wa = &shape->width;
  // A row of outputs at a time: divisions cost as much as the sums of a small window.
  for (size_t o = begin; o < end;) {
    const size_t row = o / wa->output, first = o % wa->output;
    const size_t od = row / ha->output, oh = row % ha->output;
    const pool_window depths = pool_inputs(da, od), heights = pool_inputs(ha, oh);
    const size_t across = pool_count(da, od, count_padding) * pool_count(ha, oh, count_padding);
    const size_t left = end - o, rest = wa->output - first;
    const size_t last = first + (left < rest ? left : rest);
    for (size_t ow = first; ow < last; ow++, o++) {
      const pool_window widths = pool_inputs(wa, ow);
      const size_t count = across * pool_count(wa, ow, count_padding);
      const vf factor = v_set1(1.0f / (float)count);
      for (size_t ch = 0; ch < c; ch += VL) {
        const size_t lanes = c - ch;
        vf sum = {0};
        POOL_FOR(d, depths) POOL_FOR(h, heights) {
          const float *in = x + (d * ha->input + h) * wa->input * c + ch;
          POOL_FOR(w, widths) sum = sum + v_load_n(in + w * c, lanes);
        }
        v_store_n(y + o * c + ch, sum * factor, lanes);
      }
    }
  }
}

void K_FN(average_pool_backward)(float *dx, const float *dy, const k_pool *shape,
                                 bool count_padding, bool accumulate, size_t begin, size_t end,
                                 size_t c) {
  const k_pool_axis *da = &shape->depth, *ha = &shape->height, *wa = &shape->width;
  for (size_t i = begin; i < end; i++) {
    const size_t id = i / wa->input / ha->input, ih = i / wa->input % ha->input;
    const size_t iw = i % wa->input;
    const pool_window depths = pool_outputs(da, id);
    const pool_window heights = pool_outputs(ha, ih);
    const pool_window widths = pool_outputs(wa, iw);
    for (size_t ch = 0; ch < c; ch += VL) {
      const size_t lanes = c - ch;
      vf sum = accumulate ? v_load_n(dx + i * c + ch, lanes) : (vf){0};
      POOL_FOR(d, depths) POOL_FOR(h, heights) POOL_FOR(w, widths) {
        if (!pool_holds(da, d, id) || !pool_holds(ha, h, ih) || !pool_holds(wa, w, iw)) continue;
        const size_t count = pool_count(da, d, count_padding) * pool_count(ha, h, count_padding) *
                             pool_count(wa, w, count_padding);
        const size_t at = ((d * ha->output + h) * wa->output + w) * c + ch;
        sum = sum + v_load_n(dy + at, lanes) * v_set1(1.0f / (float)count);
      }
      v_store_n(dx + i * c + ch, sum, lanes);
    }
  }
}

#undef POOL_FOR
