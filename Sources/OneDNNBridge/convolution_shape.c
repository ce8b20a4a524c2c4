#include "convolution_shape.h"

#include <inttypes.h>

#include "runtime.h"

static const char *const axis_names[3][3] = {
    {"width", "", ""}, {"height", "width", ""}, {"depth", "height", "width"}};

bool shape_check(const onednn_conv_shape *s) {
  if (s->spatial_rank < 1 || s->spatial_rank > 3) {
    return bridge_fail("convolution: %d spatial axes, supported are 1 to 3", s->spatial_rank);
  }
  if (s->batch < 1 || s->in_channels < 1 || s->out_channels < 1 || s->groups < 1) {
    return bridge_fail("convolution: batch, channels and groups must be positive");
  }
  if (s->in_channels % s->groups != 0 || s->out_channels % s->groups != 0) {
    return bridge_fail(
        "convolution: %" PRId64 " -> %" PRId64 " channels do not divide into %" PRId64 " groups",
        s->in_channels, s->out_channels, s->groups);
  }
  for (int a = 0; a < s->spatial_rank; a++) {
    const char *name = axis_names[s->spatial_rank - 1][a];
    if (s->in_size[a] < 1 || s->kernel[a] < 1 || s->stride[a] < 1 || s->dilation[a] < 1
        || s->pad_before[a] < 0 || s->pad_after[a] < 0) {
      return bridge_fail("convolution: size, kernel, stride or padding out of range in %s", name);
    }
    int64_t reach = s->dilation[a] * (s->kernel[a] - 1) + 1;
    int64_t room = s->in_size[a] + s->pad_before[a] + s->pad_after[a] - reach;
    int64_t expected = room < 0 ? 0 : room / s->stride[a] + 1;
    if (s->out_size[a] != expected || expected < 1) {
      return bridge_fail(
          "convolution: output %s is %" PRId64 ", the geometry gives %" PRId64, name,
          s->out_size[a], expected);
    }
  }
  return true;
}

api_window shape_window(const onednn_conv_shape *s) {
  api_window window = {{0}, {0}, {0}, {0}};
  for (int a = 0; a < s->spatial_rank; a++) {
    window.strides[a] = s->stride[a];
    window.gaps[a] = s->dilation[a] - 1;
    window.before[a] = s->pad_before[a];
    window.after[a] = s->pad_after[a];
  }
  return window;
}

// The kernel takes eight channels of a pixel at a time: channels-last, they are far from those of
// the next pixel. By turns on an AMD EPYC (Zen 3, two threads, 3x3, channels in and out alike), times of
// channels-last over blocks, reorders included: forward 24 channels 0.6 to 1.0, 32 0.8 to 1.1, 40 1.2,
// 48 1.1 to 1.7, 64 1.0 to 1.5, 128 1.1 to 1.5, 256 1.1 to 1.2; gradient of weights 24 0.6 to 1.7,
// 32 2.0, 40 and more 1.0 to 2.5.
bool shape_gains_from_packing(const onednn_conv_shape *s, onednn_conv_kind kind) {
  const int64_t least = kind == ONEDNN_BACKWARD_WEIGHTS ? 32 : 40;
  return s->groups == 1 && s->in_channels % 8 == 0 && s->out_channels % 8 == 0
      && s->in_channels >= least && s->out_channels >= least;
}

// The forward kernel has three sums for each block of eight outputs, too few for the latency of its
// multiply-adds below four blocks; the gradient kernel takes as many as there are registers. It adds
// neither bias nor activation. By turns on the same machine, forward over gradient: 8 to 8 channels
// 1.4, 16 to 16 1.1, in volumes 27 to 12 1.1 and 12 to 6 1.6.
bool shape_gains_from_mirroring(const onednn_conv_shape *s) {
  if (s->has_bias || s->has_relu || s->groups > 1 || s->out_channels > 16 || s->in_channels < 8) {
    return false;
  }
  for (int a = 0; a < s->spatial_rank; a++) {
    if (s->stride[a] != 1 || s->dilation[a] != 1 || s->pad_before[a] >= s->kernel[a]
        || s->pad_after[a] >= s->kernel[a]) {
      return false;
    }
  }
  return true;
}

onednn_conv_shape shape_mirrored(const onednn_conv_shape *s) {
  onednn_conv_shape m = *s;
  m.in_channels = s->out_channels;
  m.out_channels = s->in_channels;
  for (int a = 0; a < s->spatial_rank; a++) {
    m.in_size[a] = s->out_size[a];
    m.out_size[a] = s->in_size[a];
    m.pad_before[a] = s->kernel[a] - 1 - s->pad_before[a];
    m.pad_after[a] = s->kernel[a] - 1 - s->pad_after[a];
  }
  return m;
}

void shape_mirror_weights(float *to, const float *from, const onednn_conv_shape *s) {
  size_t taps = 1;
  for (int a = 0; a < s->spatial_rank; a++) taps *= (size_t)s->kernel[a];
  const size_t outputs = (size_t)s->out_channels, inputs = (size_t)s->in_channels;
  for (size_t o = 0; o < outputs; o++) {
    for (size_t i = 0; i < inputs; i++) {
      for (size_t t = 0; t < taps; t++) {
        to[(i * outputs + o) * taps + taps - 1 - t] = from[(o * inputs + i) * taps + t];
      }
    }
  }
}

// A 1x1 convolution with a stride first copies the pixels that it uses, whole vectors of channels a
// pixel, into a part of the scratch for each thread; where the channels do not fill the last vector,
// version 2.6 asks for too little and writes behind the end (seen up to 128 floats).
size_t shape_scratch_slack(const onednn_conv_shape *s, int threads) {
  size_t pixels = 1;
  bool strided = false;
  for (int axis = 0; axis < s->spatial_rank; axis++) {
    if (s->kernel[axis] != 1) return 0;
    strided = strided || s->stride[axis] > 1;
    pixels *= (size_t)s->out_size[axis];
  }
  return strided && s->in_channels % 16 != 0 ? 16 * (size_t)threads * pixels : 0;
}
