#include <inttypes.h>
#include <stdlib.h>

#include "OneDNNBridge.h"
#include "runtime.h"

struct onednn_conv {
  onednn_conv_kind kind;
  int threads;
  bool has_bias;
  const char *implementation;
  dnnl_primitive_desc_t description;  // kept: owns the name of the implementation
  dnnl_primitive_t primitive;
  // Sources or their gradients, according to the kind. `weights` has the order of the primitive.
  bridge_memory src, dst, weights, bias, scratch;
  // From plain to primitive order; for ONEDNN_BACKWARD_WEIGHTS the other way round.
  dnnl_primitive_t reorder;
  bridge_memory plain, reorder_scratch;
  size_t weight_floats, scratch_floats, reorder_scratch_floats;
};

// MARK: - Geometry

static const char *const axis_names[3][3] = {
    {"width", "", ""}, {"height", "width", ""}, {"depth", "height", "width"}};

static bool check_shape(const onednn_conv_shape *s) {
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

static api_window window_of(const onednn_conv_shape *s) {
  api_window window = {{0}, {0}, {0}, {0}};
  for (int a = 0; a < s->spatial_rank; a++) {
    window.strides[a] = s->stride[a];
    window.gaps[a] = s->dilation[a] - 1;
    window.before[a] = s->pad_before[a];
    window.after[a] = s->pad_after[a];
  }
  return window;
}

// MARK: - Creation

// Layouts that a creation needs, freed together at its end.
typedef struct {
  api_layout src, dst, any_weights, plain_weights, bias;
} layouts;

static bool describe(layouts *l, const onednn_conv_shape *s) {
  static const dnnl_format_tag_t activation_tags[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
  static const dnnl_format_tag_t plain_tags[] = {dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef};
  const int rank = s->spatial_rank, grouped = s->groups > 1;
  dnnl_dims_t src = {s->batch, s->in_channels}, dst = {s->batch, s->out_channels};
  dnnl_dims_t weights = {
      s->groups, s->out_channels / s->groups, s->in_channels / s->groups};
  dnnl_dims_t bias = {s->out_channels};
  for (int a = 0; a < rank; a++) {
    src[2 + a] = s->in_size[a];
    dst[2 + a] = s->out_size[a];
    weights[3 + a] = s->kernel[a];
  }
  // [G, O/G, I/G, k...] is [O, I/G, k...] with its first axis split; without groups G is left out.
  const dnnl_dim_t *kernel = grouped ? weights : weights + 1;
  dnnl_status_t status = api_layout_init(&l->src, 2 + rank, src, activation_tags[rank - 1]);
  if (status == dnnl_success) {
    status = api_layout_init(&l->dst, 2 + rank, dst, activation_tags[rank - 1]);
  }
  if (status == dnnl_success) {
    status = api_layout_init(&l->any_weights, 2 + rank + grouped, kernel, dnnl_format_tag_any);
  }
  if (status == dnnl_success) {
    status = api_layout_init(
        &l->plain_weights, 2 + rank + grouped, kernel, plain_tags[rank - 1 + grouped]);
  }
  if (status == dnnl_success) status = api_layout_init(&l->bias, 1, bias, dnnl_a);
  return bridge_check(status, "convolution: layout");
}

static bool choose(
    onednn_conv *conv, const onednn_conv_shape *shape, const layouts *l,
    dnnl_primitive_attr_t attributes) {
  const api_window window = window_of(shape);
  const api_operands operands = {
      api_ref(&l->src), api_ref(&l->any_weights), conv->has_bias ? api_ref(&l->bias) : NULL,
      api_ref(&l->dst)};
  const dnnl_engine_t engine = bridge_engine();
  if (conv->kind == ONEDNN_FORWARD) {
    return bridge_check(
        api_conv_forward(&conv->description, engine, operands, &window, attributes),
        "convolution");
  }
  // The backward descriptors want that of the forward pass as a hint.
  dnnl_primitive_desc_t forward = NULL;
  if (!bridge_check(
          api_conv_forward(&forward, engine, operands, &window, attributes), "convolution")) {
    return false;
  }
  dnnl_status_t status =
      conv->kind == ONEDNN_BACKWARD_DATA
          ? api_conv_backward_data(
              &conv->description, engine, operands, &window, attributes, forward)
          : api_conv_backward_weights(
              &conv->description, engine, operands, &window, attributes, forward);
  dnnl.primitive_desc_destroy(forward);
  return bridge_check(status, "convolution, backward");
}

// Floats of scratch beyond what oneDNN asks for.
//
// A 1x1 convolution with a stride first copies the pixels that it uses, whole vectors of channels a
// pixel, into a part of the scratch for each thread; where the channels do not fill the last vector,
// version 2.6 asks for too little and writes behind the end (seen up to 128 floats).
static size_t strided_slack(const onednn_conv_shape *s, int threads) {
  size_t pixels = 1;
  bool strided = false;
  for (int axis = 0; axis < s->spatial_rank; axis++) {
    if (s->kernel[axis] != 1) return 0;
    strided = strided || s->stride[axis] > 1;
    pixels *= (size_t)s->out_size[axis];
  }
  return strided && s->in_channels % 16 != 0 ? 16 * (size_t)threads * pixels : 0;
}

// Lets the primitive apply the activation while the result is in registers.
static bool append_relu(dnnl_primitive_attr_t attributes, float slope) {
  dnnl_post_ops_t post_ops = NULL;
  if (!bridge_check(dnnl.post_ops_create(&post_ops), "convolution: activation")) return false;
  dnnl_status_t status = api_append_relu(post_ops, slope);
  if (status == dnnl_success) status = dnnl.primitive_attr_set_post_ops(attributes, post_ops);
  dnnl.post_ops_destroy(post_ops);
  return bridge_check(status, "convolution: activation");
}

static bool build(
    onednn_conv *conv, const onednn_conv_shape *shape, layouts *l,
    dnnl_primitive_attr_t *attributes) {
  if (bridge_engine() == NULL) return false;
  bridge_use_threads(conv->threads);
  if (!describe(l, shape) || !bridge_attributes(attributes)) return false;
  const bool has_relu = shape->has_relu && conv->kind == ONEDNN_FORWARD;
  if ((has_relu && !append_relu(*attributes, shape->relu_slope))
      || !choose(conv, shape, l, *attributes)) {
    return false;
  }
  const bool of_weights = conv->kind == ONEDNN_BACKWARD_WEIGHTS;
  const api_layout_ref plain = api_ref(&l->plain_weights);
  const api_layout_ref packed = dnnl.primitive_desc_query_md(
      conv->description, of_weights ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
  size_t scratch = 0, reorder_scratch = 0;
  if (!bridge_primitive_create(&conv->primitive, conv->description)
      || !bridge_scratch_create(&conv->scratch, &scratch, conv->description)
      || !bridge_memory_create(&conv->src, api_ref(&l->src))
      || !bridge_memory_create(&conv->dst, api_ref(&l->dst))
      || !bridge_memory_create(&conv->bias, api_ref(&l->bias))
      || !bridge_memory_create(&conv->weights, packed)
      || !bridge_memory_create(&conv->plain, plain)
      || !bridge_reorder_create(
          &conv->reorder, &conv->reorder_scratch, &reorder_scratch, of_weights ? packed : plain,
          of_weights ? plain : packed, of_weights ? *attributes : NULL)) {
    return false;
  }
  const char *name = NULL;
  dnnl.primitive_desc_query(conv->description, dnnl_query_impl_info_str, 0, &name);
  conv->implementation = name == NULL ? "" : name;
  conv->weight_floats = bridge_floats(dnnl.memory_desc_get_size(packed));
  conv->scratch_floats = bridge_floats(scratch) + strided_slack(shape, conv->threads);
  conv->reorder_scratch_floats = of_weights ? bridge_floats(reorder_scratch) : 0;
  return true;
}

onednn_conv *onednn_conv_create(const onednn_conv_shape *shape, onednn_conv_kind kind) {
  if (!check_shape(shape)) return NULL;
  onednn_conv *conv = calloc(1, sizeof *conv);
  if (conv == NULL) {
    bridge_fail("convolution: out of memory");
    return NULL;
  }
  conv->kind = kind;
  conv->threads = bridge_threads();
  conv->has_bias = shape->has_bias && kind != ONEDNN_BACKWARD_DATA;
  layouts l = {0};
  dnnl_primitive_attr_t attributes = NULL;
  const bool ok = build(conv, shape, &l, &attributes);
  if (attributes != NULL) dnnl.primitive_attr_destroy(attributes);
  api_layout_free(&l.src);
  api_layout_free(&l.dst);
  api_layout_free(&l.any_weights);
  api_layout_free(&l.plain_weights);
  api_layout_free(&l.bias);
  if (ok) return conv;
  onednn_conv_destroy(conv);
  return NULL;
}

void onednn_conv_destroy(onednn_conv *conv) {
  if (conv == NULL) return;
  bridge_memory *memories[] = {&conv->src,   &conv->dst,     &conv->weights,
                               &conv->bias,  &conv->scratch, &conv->plain,
                               &conv->reorder_scratch};
  for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
    bridge_memory_destroy(memories[i]);
  }
  if (conv->reorder != NULL) dnnl.primitive_destroy(conv->reorder);
  if (conv->primitive != NULL) dnnl.primitive_destroy(conv->primitive);
  if (conv->description != NULL) dnnl.primitive_desc_destroy(conv->description);
  free(conv);
}

// MARK: - Sizes

size_t onednn_conv_prepared_count(const onednn_conv *conv) {
  return conv->kind == ONEDNN_BACKWARD_WEIGHTS ? 0 : conv->weight_floats;
}

size_t onednn_conv_scratch_count(const onednn_conv *conv) {
  if (conv->kind != ONEDNN_BACKWARD_WEIGHTS) return conv->scratch_floats;
  // The primitive and the reorder run one after the other and share what follows the weights.
  return conv->weight_floats
      + (conv->scratch_floats > conv->reorder_scratch_floats ? conv->scratch_floats
                                                             : conv->reorder_scratch_floats);
}

const char *onednn_conv_implementation(const onednn_conv *conv) { return conv->implementation; }

// MARK: - Execution

static bool check_call(const onednn_conv *conv, onednn_conv_kind kind, const void *bias) {
  if (conv->kind != kind) {
    return bridge_fail("convolution: called as kind %d, created as %d", kind, conv->kind);
  }
  if (conv->has_bias != (bias != NULL)) {
    return bridge_fail("convolution: bias and shape do not agree");
  }
  bridge_use_threads(conv->threads);
  return true;
}

bool onednn_conv_prepare(onednn_conv *conv, float *prepared, const float *weights) {
  if (conv->kind == ONEDNN_BACKWARD_WEIGHTS) {
    return bridge_fail("convolution: this kind has no weights to prepare");
  }
  bridge_use_threads(conv->threads);
  if (!bridge_bind(&conv->plain, weights) || !bridge_bind(&conv->weights, prepared)) return false;
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, conv->plain.memory}, {DNNL_ARG_TO, conv->weights.memory}};
  return bridge_run(conv->reorder, 2, arguments);
}

bool onednn_conv_forward(
    onednn_conv *conv, float *dst, const float *src, const float *prepared, const float *bias,
    float *scratch) {
  if (!check_call(conv, ONEDNN_FORWARD, bias) || !bridge_bind(&conv->dst, dst)
      || !bridge_bind(&conv->src, src) || !bridge_bind(&conv->weights, prepared)
      || !bridge_bind(&conv->bias, bias) || !bridge_bind(&conv->scratch, scratch)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DST, conv->dst.memory},
      {DNNL_ARG_SRC, conv->src.memory},
      {DNNL_ARG_WEIGHTS, conv->weights.memory},
      {DNNL_ARG_SCRATCHPAD, conv->scratch.memory},
      {DNNL_ARG_BIAS, conv->bias.memory}};
  return bridge_run(conv->primitive, conv->has_bias ? 5 : 4, arguments);
}

bool onednn_conv_backward_data(
    onednn_conv *conv, float *dsrc, const float *ddst, const float *prepared, float *scratch) {
  if (!check_call(conv, ONEDNN_BACKWARD_DATA, NULL) || !bridge_bind(&conv->src, dsrc)
      || !bridge_bind(&conv->dst, ddst) || !bridge_bind(&conv->weights, prepared)
      || !bridge_bind(&conv->scratch, scratch)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DIFF_SRC, conv->src.memory},
      {DNNL_ARG_DIFF_DST, conv->dst.memory},
      {DNNL_ARG_WEIGHTS, conv->weights.memory},
      {DNNL_ARG_SCRATCHPAD, conv->scratch.memory}};
  return bridge_run(conv->primitive, 4, arguments);
}

bool onednn_conv_backward_weights(
    onednn_conv *conv, float *dweights, float *dbias, const float *src, const float *ddst,
    float *scratch) {
  float *rest = scratch + conv->weight_floats;
  if (!check_call(conv, ONEDNN_BACKWARD_WEIGHTS, dbias) || !bridge_bind(&conv->plain, dweights)
      || !bridge_bind(&conv->weights, scratch) || !bridge_bind(&conv->bias, dbias)
      || !bridge_bind(&conv->src, src) || !bridge_bind(&conv->dst, ddst)
      || !bridge_bind(&conv->scratch, rest) || !bridge_bind(&conv->reorder_scratch, rest)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DIFF_WEIGHTS, conv->weights.memory},
      {DNNL_ARG_SRC, conv->src.memory},
      {DNNL_ARG_DIFF_DST, conv->dst.memory},
      {DNNL_ARG_SCRATCHPAD, conv->scratch.memory},
      {DNNL_ARG_DIFF_BIAS, conv->bias.memory}};
  const dnnl_exec_arg_t unpack[] = {
      {DNNL_ARG_FROM, conv->weights.memory},
      {DNNL_ARG_TO, conv->plain.memory},
      {DNNL_ARG_SCRATCHPAD, conv->reorder_scratch.memory}};
  return bridge_run(conv->primitive, conv->has_bias ? 5 : 4, arguments)
      && bridge_run(conv->reorder, 3, unpack);
}
