#include "include/resize.h"

K_IMPLEMENTS(resize_forward);
K_IMPLEMENTS(resize_backward);

void K_FN(resize_forward)(float *y, const float *x, const k_resize *plan, size_t begin, size_t end,
                          size_t c) {
  const k_resize_axis *da = &plan->depth, *ha = &plan->height, *wa = &plan->width;
  for (size_t o = begin; o < end; o++) {
    const size_t od = o / wa->output / ha->output, oh = o / wa->output % ha->output;
    const size_t ow = o % wa->output;
    // The corners with a weight: up to eight.
    const float *corner[8];
    float weight[8];
    size_t corners = 0;
    for (size_t i = 0; i < 8; i++) {
      const float fd = da->fraction[od], fh = ha->fraction[oh], fw = wa->fraction[ow];
      if ((i & 4 && fd == 0) || (i & 2 && fh == 0) || (i & 1 && fw == 0)) continue;
      const size_t d = (size_t)da->low[od] + (i >> 2), h = (size_t)ha->low[oh] + (i >> 1 & 1);
      const size_t w = (size_t)wa->low[ow] + (i & 1);
      corner[corners] = x + ((d * ha->input + h) * wa->input + w) * c;
      weight[corners] = (i & 4 ? fd : 1 - fd) * (i & 2 ? fh : 1 - fh) * (i & 1 ? fw : 1 - fw);
      corners++;
    }
    for (size_t ch = 0; ch < c; ch += VL) {
      vf sum = v_load_n(corner[0] + ch, c - ch) * v_set1(weight[0]);
      for (size_t i = 1; i < corners; i++) {
        sum = sum + v_load_n(corner[i] + ch, c - ch) * v_set1(weight[i]);
      }
      v_store_n(y + o * c + ch, sum, c - ch);
    }
  }
}

// Weight of input i in output o, whose `low` is i or i − 1.
K_INLINE float resize_weight(const k_resize_axis *axis, size_t i, size_t o) {
  return (size_t)axis->low[o] == i ? 1 - axis->fraction[o] : axis->fraction[o];
}

void K_FN(resize_backward)(float *dx, const float *dy, const k_resize *plan, bool accumulate,
                           size_t begin, size_t end, size_t c) {
  const k_resize_axis *da = &plan->depth, *ha = &plan->height, *wa = &plan->width;
  for (size_t i = begin; i < end; i++) {
    const size_t id = i / wa->input / ha->input, ih = i / wa->input % ha->input;
    const size_t iw = i % wa->input;
    float *out = dx + i * c;
    for (size_t ch = 0; ch < c; ch += VL) {
      const size_t lanes = c - ch;
      vf sum = accumulate ? v_load_n(out + ch, lanes) : (vf){0};
      for (int32_t d = da->first[id == 0 ? 0 : id - 1]; d < da->first[id + 1]; d++) {
        const float wd = resize_weight(da, id, (size_t)d);
        for (int32_t h = ha->first[ih == 0 ? 0 : ih - 1]; h < ha->first[ih + 1]; h++) {
          const float wh = wd * resize_weight(ha, ih, (size_t)h);
          for (int32_t w = wa->first[iw == 0 ? 0 : iw - 1]; w < wa->first[iw + 1]; w++) {
            const float weight = wh * resize_weight(wa, iw, (size_t)w);
            // Not only for speed: a neighbour without a share must not bring its NaN along.
            if (weight == 0) continue;
            const size_t o =
              ((size_t)d * ha->output + (size_t)h) * wa->output + (size_t)w;
            sum = sum + v_load_n(dy + o * c + ch, lanes) * v_set1(weight);
          }
        }
      }
      v_store_n(out + ch, sum, lanes);
    }
  }
}
