/// Resampling of channels-last volumes to another size: nearest neighbour and (tri)linear. Images
/// are volumes of depth 1.
///
/// Float32 `x: [depth, height, width, c]`, `y: [depth', height', width', c]`, contiguous. Forward
/// calls compute a range of output positions, backward calls a range of input positions (a position
/// is `(d · height + h) · width + w`), so ranges may run in parallel; pointers are to whole
/// volumes. No argument may alias another.
#ifndef RESTORE_KERNELS_RESIZE_H
#define RESTORE_KERNELS_RESIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  K_RESIZE_NEAREST = 0,     // input ⌊o · scale⌋
  K_RESIZE_LINEAR,          // between pixel centres: (o + ½) · scale − ½, clamped at the ends
  K_RESIZE_LINEAR_CORNERS,  // first and last centres coincide: o · (input − 1) / (output − 1)
} k_resize_mode;

/// One axis: output o is `(1 − fraction[o]) · x[low[o]] + fraction[o] · x[low[o] + 1]`; a fraction
/// is 0 where `low` is the last input. Outputs with `low = i` are `first[i] ..< first[i + 1]`.
/// Tables belong to the caller and are filled by `k_resize_plan`.
typedef struct {
  size_t input, output;
  const int32_t *low;     // [output]
  const float *fraction;  // [output]
  const int32_t *first;   // [input + 1]
} k_resize_axis;

typedef struct {
  k_resize_axis depth, height, width;
} k_resize;

/// Fills the tables of one axis. `scale` is input size per output size, usually `input / output`;
/// it is not used by `K_RESIZE_LINEAR_CORNERS`.
void k_resize_plan(int32_t *low, float *fraction, int32_t *first, k_resize_mode mode, float scale,
                   size_t input, size_t output);

/// Resamples the output positions `begin ..< end`.
void k_resize_forward(float *y, const float *x, const k_resize *plan, size_t begin, size_t end,
                      size_t c);

/// `dx (+)=` the transposed resampling of dy, for the input positions `begin ..< end`.
void k_resize_backward(float *dx, const float *dy, const k_resize *plan, bool accumulate,
                       size_t begin, size_t end, size_t c);

#endif
