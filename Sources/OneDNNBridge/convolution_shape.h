// What follows from the shape of a convolution alone.
#ifndef RESTORE_ONEDNN_CONVOLUTION_SHAPE_H
#define RESTORE_ONEDNN_CONVOLUTION_SHAPE_H

#include "OneDNNBridge.h"
#include "api.h"

// False, with the reason in `onednn_last_error`, if the geometry contradicts itself.
bool shape_check(const onednn_conv_shape *s);

api_window shape_window(const onednn_conv_shape *s);

// Whether oneDNN's AVX2 kernel gains more from blocks of eight channels than the way there and back
// costs.
bool shape_gains_from_packing(const onednn_conv_shape *s, onednn_conv_kind kind);

// Whether oneDNN's AVX2 kernel for the gradient of the input computes the same convolution, from its
// mirror image, faster than that for the forward pass.
bool shape_gains_from_mirroring(const onednn_conv_shape *s);

// The convolution of which `s` is the gradient of the input.
onednn_conv_shape shape_mirrored(const onednn_conv_shape *s);

// Writes weights [O, I, k...] as [I, O, k...], each kernel backwards.
void shape_mirror_weights(float *to, const float *from, const onednn_conv_shape *s);

// Floats of scratch beyond what oneDNN asks for.
size_t shape_scratch_slack(const onednn_conv_shape *s, int threads);

#endif
