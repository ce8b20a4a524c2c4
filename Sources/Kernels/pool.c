#include "include/pool.h"

#include "dispatch_internal.h"

K_DISPATCHED(max_pool_forward)
K_DISPATCHED(max_pool_backward)
K_DISPATCHED(average_pool_forward)
K_DISPATCHED(average_pool_backward)

void k_max_pool_forward(float *y, int32_t *index, const float *x, const k_pool *shape,
                        size_t begin, size_t end, size_t c) {
  K_CALL(max_pool_forward)(y, index, x, shape, begin, end, c);
}

void k_max_pool_backward(float *dx, const float *dy, const int32_t *index, const k_pool *shape,
                         bool accumulate, size_t begin, size_t end, size_t c) {
  K_CALL(max_pool_backward)(dx, dy, index, shape, accumulate, begin, end, c);
}

void k_average_pool_forward(float *y, const float *x, const k_pool *shape, bool count_padding,
                            size_t begin, size_t end, size_t c) {
  K_CALL(average_pool_forward)(y, x, shape, count_padding, begin, end, c);
}

void k_average_pool_backward(float *dx, const float *dy, const k_pool *shape, bool count_padding,
                             bool accumulate, size_t begin, size_t end, size_t c) {
  K_CALL(average_pool_backward)(dx, dy, shape, count_padding, accumulate, begin, end, c);
}
