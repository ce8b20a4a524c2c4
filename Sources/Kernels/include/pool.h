/// Pooling of channels-last volumes; images and sequences are volumes of depth (and height) 1.
///
/// Float32 `x: [depth, height, width, c]`, `y: [depth', height', width', c]`, contiguous. Forward
/// calls compute a range of output positions, backward calls a range of input positions (a position
/// is `(d · height + h) · width + w`), so ranges may run in parallel; pointers are to whole
/// volumes. No argument may alias another.
#ifndef RESTORE_KERNELS_POOL_H
#define RESTORE_KERNELS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// One axis: output o sees the inputs `o · stride − padding + i · dilation`, i < kernel, that
/// exist. The caller chooses `output`, and with it the rounding; every window must hold an input.
typedef struct {
  size_t input, output;
  size_t kernel, stride, padding, dilation;
} k_pool_axis;

typedef struct {
  k_pool_axis depth, height, width;
} k_pool;

/// `y = max` over each window, and `index: [depth', height', width', c]` (or NULL) the input
/// position of the first maximum. A NaN wins over every number, the last NaN over the others.
void k_max_pool_forward(float *y, int32_t *index, const float *x, const k_pool *shape,
                        size_t begin, size_t end, size_t c);

/// `dx (+)= ` the gradients of the windows whose maximum each input was; `index` from the forward
/// pass.
void k_max_pool_backward(float *dx, const float *dy, const int32_t *index, const k_pool *shape,
                         bool accumulate, size_t begin, size_t end, size_t c);

/// `y = Σ / count` over each window; the count includes padding (but nothing beyond it) if
/// `count_padding`.
void k_average_pool_forward(float *y, const float *x, const k_pool *shape, bool count_padding,
                            size_t begin, size_t end, size_t c);

/// `dx (+)= Σ dy / count` over the windows that hold each input.
void k_average_pool_backward(float *dx, const float *dy, const k_pool *shape, bool count_padding,
                             bool accumulate, size_t begin, size_t end, size_t c);

#endif
