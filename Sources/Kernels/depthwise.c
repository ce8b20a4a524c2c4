#include "include/depthwise.h"

#include "dispatch_internal.h"

K_DISPATCHED(depthwise_forward)
K_DISPATCHED(depthwise_weight_gradient)

void k_depthwise_pack(float *taps, const float *weight, bool flip, size_t kernel, size_t c) {
  const size_t count = kernel * kernel;
  for (size_t i = 0; i < count; i++) {
    const size_t source = flip ? count - 1 - i : i;
    for (size_t ch = 0; ch < c; ch++) taps[i * c + ch] = weight[ch * count + source];
  }
}

void k_depthwise_unpack(float *weight, const float *taps, bool accumulate, size_t kernel,
                        size_t c) {
  const size_t count = kernel * kernel;
  for (size_t ch = 0; ch < c; ch++) {
    for (size_t i = 0; i < count; i++) {
      const float old = accumulate ? weight[ch * count + i] : 0;
      weight[ch * count + i] = old + taps[i * c + ch];
    }
  }
}

void k_depthwise_forward(float *y, const float *x, const float *taps, size_t kernel,
                         size_t row_begin, size_t row_end, size_t height, size_t width, size_t c) {
  K_CALL(depthwise_forward)(y, x, taps, kernel, row_begin, row_end, height, width, c);
}

void k_depthwise_weight_gradient(float *dtaps, const float *dy, const float *x, size_t kernel,
                                 size_t row_begin, size_t row_end, size_t height, size_t width,
                                 size_t c) {
  K_CALL(depthwise_weight_gradient)(dtaps, dy, x, kernel, row_begin, row_end, height, width, c);
}
