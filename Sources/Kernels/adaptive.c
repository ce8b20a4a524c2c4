#include "include/adaptive.h"

#include "dispatch_internal.h"

K_DISPATCHED(adaptive_forward)
K_DISPATCHED(adaptive_input_gradient)
K_DISPATCHED(adaptive_weight_gradient)

void k_adaptive_forward(float *y, const float *x, const float *w, size_t kernel, size_t group,
                        size_t row_begin, size_t row_end, size_t height, size_t width, size_t c) {
  K_CALL(adaptive_forward)(y, x, w, kernel, group, row_begin, row_end, height, width, c);
}

void k_adaptive_input_gradient(float *dx, const float *dy, const float *w, size_t kernel,
                               size_t group, size_t row_begin, size_t row_end, size_t height,
                               size_t width, size_t c) {
  K_CALL(adaptive_input_gradient)(dx, dy, w, kernel, group, row_begin, row_end, height, width, c);
}

void k_adaptive_weight_gradient(float *dw, const float *dy, const float *x, size_t kernel,
                                size_t group, size_t row_begin, size_t row_end, size_t height,
                                size_t width, size_t c) {
  K_CALL(adaptive_weight_gradient)(dw, dy, x, kernel, group, row_begin, row_end, height, width, c);
}
