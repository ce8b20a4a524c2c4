#include "include/tvconv.h"

#include "dispatch_internal.h"

K_DISPATCHED(tvconv_forward)
K_DISPATCHED(tvconv_input_gradient)
K_DISPATCHED(tvconv_weight_gradient)

void k_tvconv_forward(float *y, const float *x, const float *weights, const k_tvconv *shape,
                      size_t row_begin, size_t row_end) {
  K_CALL(tvconv_forward)(y, x, weights, shape, row_begin, row_end);
}

void k_tvconv_input_gradient(float *dx, const float *dy, const float *weights,
                             const k_tvconv *shape, size_t row_begin, size_t row_end) {
  K_CALL(tvconv_input_gradient)(dx, dy, weights, shape, row_begin, row_end);
}

void k_tvconv_weight_gradient(float *dweights, const float *dy, const float *x,
                              const k_tvconv *shape, size_t row_begin, size_t row_end) {
  K_CALL(tvconv_weight_gradient)(dweights, dy, x, shape, row_begin, row_end);
}
