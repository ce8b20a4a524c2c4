#include "include/resize.h"

#include <math.h>

#include "dispatch_internal.h"

K_DISPATCHED(resize_forward)
K_DISPATCHED(resize_backward)

void k_resize_plan(int32_t *low, float *fraction, int32_t *first, k_resize_mode mode, float scale,
                   size_t input, size_t output) {
  const int32_t last = (int32_t)input - 1;
  const float corner_scale = output > 1 ? (float)last / (float)(output - 1) : 0;
  for (size_t o = 0; o < output; o++) {
    float position = 0;
    switch (mode) {
      case K_RESIZE_NEAREST: position = (float)o * scale; break;
      case K_RESIZE_LINEAR: position = ((float)o + 0.5f) * scale - 0.5f; break;
      case K_RESIZE_LINEAR_CORNERS: position = (float)o * corner_scale; break;
    }
    if (position < 0) position = 0;
    int32_t below = (int32_t)floorf(position);
    if (below > last) below = last;
    const bool is_linear = mode == K_RESIZE_LINEAR || mode == K_RESIZE_LINEAR_CORNERS;
    low[o] = below;
    fraction[o] = is_linear && below < last ? position - (float)below : 0;
  }
  size_t o = 0;
  for (size_t i = 0; i <= input; i++) {
    while (o < output && (size_t)low[o] < i) o++;
    first[i] = (int32_t)o;
  }
}

void k_resize_forward(float *y, const float *x, const k_resize *plan, size_t begin, size_t end,
                      size_t c) {
  K_CALL(resize_forward)(y, x, plan, begin, end, c);
}

void k_resize_backward(float *dx, const float *dy, const k_resize *plan, bool accumulate,
                       size_t begin, size_t end, size_t c) {
  K_CALL(resize_backward)(dx, dy, plan, accumulate, begin, end, c);
}
