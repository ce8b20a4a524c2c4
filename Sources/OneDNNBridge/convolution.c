#include <stdlib.h>
#include <string.h>

#include "OneDNNBridge.h"
#include "activation.h"
#include "convolution_shape.h"
#include "runtime.h"

struct onednn_conv {
  onednn_conv_kind kind;
  // The forward pass of a convolution is computed as the gradient of its mirror image's input:
  // `src` and `dst` are those of the mirror image.
  bool is_mirrored;
  onednn_conv_shape shape;
  int threads;
  bool has_bias;
  const char *implementation;
  dnnl_primitive_desc_t description;  // kept: owns the name of the implementation
  dnnl_primitive_t primitive;
  // Images or gradients, according to the kind.
  activation src, dst;
  // `weights` has the order of the primitive.
  bridge_memory weights, bias, scratch;
  // From plain to primitive order; for ONEDNN_BACKWARD_WEIGHTS the other way round.
  dnnl_primitive_t reorder;
  bridge_memory plain, reorder_scratch;
  size_t plain_weight_bytes, weight_floats;
  size_t activation_floats, scratch_floats, reorder_scratch_floats;
};

// MARK: - Creation

// Layouts that a creation needs, freed together at its end.
typedef struct {
  api_layout src, dst, packed_src, packed_dst, any_weights, plain_weights, bias;
} layouts;

static bool describe(layouts *l, const onednn_conv_shape *s) {
  static const dnnl_format_tag_t activation_tags[] = {dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
  static const dnnl_format_tag_t packed_tags[] = {dnnl_nCw8c, dnnl_nChw8c, dnnl_nCdhw8c};
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
    status = api_layout_init(&l->packed_src, 2 + rank, src, packed_tags[rank - 1]);
  }
  if (status == dnnl_success) {
    status = api_layout_init(&l->packed_dst, 2 + rank, dst, packed_tags[rank - 1]);
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

// What the primitive computes.
static onednn_conv_kind primitive_kind(const onednn_conv *conv) {
  return conv->is_mirrored ? ONEDNN_BACKWARD_DATA : conv->kind;
}

static bool choose(
    onednn_conv *conv, const onednn_conv_shape *shape, const layouts *l, bool is_packed,
    dnnl_primitive_attr_t attributes) {
  const onednn_conv_kind kind = primitive_kind(conv);
  const api_window window = shape_window(shape);
  const api_operands operands = {
      api_ref(is_packed ? &l->packed_src : &l->src), api_ref(&l->any_weights),
      conv->has_bias ? api_ref(&l->bias) : NULL, api_ref(is_packed ? &l->packed_dst : &l->dst)};
  const dnnl_engine_t engine = bridge_engine();
  if (kind == ONEDNN_FORWARD) {
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
      kind == ONEDNN_BACKWARD_DATA
          ? api_conv_backward_data(
              &conv->description, engine, operands, &window, attributes, forward)
          : api_conv_backward_weights(
              &conv->description, engine, operands, &window, attributes, forward);
  dnnl.primitive_desc_destroy(forward);
  return bridge_check(status, "convolution, backward");
}

// The name of oneDNN's kernels for AVX2 that are worth a detour; 1x1 convolutions and AVX-512 have
// others, which lose nothing by channels-last.
static const char direct_avx2[] = "jit:avx2";

static const char *implementation_of(const onednn_conv *conv) {
  const char *name = NULL;
  dnnl.primitive_desc_query(conv->description, dnnl_query_impl_info_str, 0, &name);
  return name == NULL ? "" : name;
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
      || !choose(conv, shape, l, false, *attributes)) {
    return false;
  }
  const bool is_packed = !conv->is_mirrored && strcmp(implementation_of(conv), direct_avx2) == 0
      && shape_gains_from_packing(shape, conv->kind);
  if (is_packed) {
    dnnl.primitive_desc_destroy(conv->description);
    conv->description = NULL;
    if (!choose(conv, shape, l, true, *attributes)) return false;
  }
  const bool of_weights = conv->kind == ONEDNN_BACKWARD_WEIGHTS;
  const api_layout_ref plain = api_ref(&l->plain_weights);
  const api_layout_ref packed = dnnl.primitive_desc_query_md(
      conv->description, of_weights ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
  size_t scratch = 0, reorder_scratch = 0;
  if (!bridge_primitive_create(&conv->primitive, conv->description)
      || !bridge_scratch_create(&conv->scratch, &scratch, conv->description)
      || !activation_create(
          &conv->src, api_ref(&l->src), is_packed ? api_ref(&l->packed_src) : NULL,
          primitive_kind(conv) == ONEDNN_BACKWARD_DATA)
      || !activation_create(
          &conv->dst, api_ref(&l->dst), is_packed ? api_ref(&l->packed_dst) : NULL,
          primitive_kind(conv) == ONEDNN_FORWARD)
      || !bridge_memory_create(&conv->bias, api_ref(&l->bias))
      || !bridge_memory_create(&conv->weights, packed)
      || !bridge_memory_create(&conv->plain, plain)
      || !bridge_reorder_create(
          &conv->reorder, &conv->reorder_scratch, &reorder_scratch, of_weights ? packed : plain,
          of_weights ? plain : packed, of_weights ? *attributes : NULL)) {
    return false;
  }
  conv->implementation = implementation_of(conv);
  conv->plain_weight_bytes = dnnl.memory_desc_get_size(plain);
  conv->weight_floats = bridge_floats(dnnl.memory_desc_get_size(packed));
  conv->activation_floats = conv->src.packed_floats + conv->dst.packed_floats;
  conv->scratch_floats = bridge_floats(scratch) + shape_scratch_slack(shape, conv->threads);
  conv->reorder_scratch_floats = of_weights ? bridge_floats(reorder_scratch) : 0;
  return true;
}

// Creates what `conv`, with its kind and shape, needs to run.
static bool create(onednn_conv *conv, const onednn_conv_shape *shape) {
  layouts l = {0};
  dnnl_primitive_attr_t attributes = NULL;
  const bool ok = build(conv, shape, &l, &attributes);
  if (attributes != NULL) dnnl.primitive_attr_destroy(attributes);
  api_layout_free(&l.src);
  api_layout_free(&l.dst);
  api_layout_free(&l.packed_src);
  api_layout_free(&l.packed_dst);
  api_layout_free(&l.any_weights);
  api_layout_free(&l.plain_weights);
  api_layout_free(&l.bias);
  return ok;
}

static onednn_conv *new_conv(
    const onednn_conv_shape *shape, onednn_conv_kind kind, bool is_mirrored) {
  onednn_conv *conv = calloc(1, sizeof *conv);
  if (conv == NULL) {
    bridge_fail("convolution: out of memory");
    return NULL;
  }
  conv->kind = kind;
  conv->is_mirrored = is_mirrored;
  conv->shape = *shape;
  conv->threads = bridge_threads();
  conv->has_bias = shape->has_bias && kind != ONEDNN_BACKWARD_DATA;
  const onednn_conv_shape mirror = is_mirrored ? shape_mirrored(shape) : *shape;
  if (create(conv, &mirror)) return conv;
  onednn_conv_destroy(conv);
  return NULL;
}

onednn_conv *onednn_conv_create(const onednn_conv_shape *shape, onednn_conv_kind kind) {
  if (!shape_check(shape)) return NULL;
  onednn_conv *conv = new_conv(shape, kind, false);
  if (conv == NULL || kind != ONEDNN_FORWARD || strcmp(conv->implementation, direct_avx2) != 0
      || !shape_gains_from_mirroring(shape)) {
    return conv;
  }
  onednn_conv *mirror = new_conv(shape, kind, true);
  if (mirror == NULL || strcmp(mirror->implementation, direct_avx2) != 0) {
    onednn_conv_destroy(mirror);
    return conv;
  }
  onednn_conv_destroy(conv);
  return mirror;
}

void onednn_conv_destroy(onednn_conv *conv) {
  if (conv == NULL) return;
  activation_destroy(&conv->src);
  activation_destroy(&conv->dst);
  bridge_memory *memories[] = {
      &conv->weights, &conv->bias, &conv->scratch, &conv->plain, &conv->reorder_scratch};
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
  if (conv->kind != ONEDNN_BACKWARD_WEIGHTS) return conv->activation_floats + conv->scratch_floats;
  // The primitive and the reorder run one after the other and share what follows the weights.
  return conv->activation_floats + conv->weight_floats
      + (conv->scratch_floats > conv->reorder_scratch_floats ? conv->scratch_floats
                                                             : conv->reorder_scratch_floats);
}

const char *onednn_conv_implementation(const onednn_conv *conv) { return conv->implementation; }

bool onednn_conv_is_faster_bare(const onednn_conv *conv) { return conv->is_mirrored; }

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
  float *copy = NULL;
  if (conv->is_mirrored) {
    copy = malloc(conv->plain_weight_bytes);
    if (copy == NULL) return bridge_fail("convolution: out of memory");
    shape_mirror_weights(copy, weights, &conv->shape);
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, conv->plain.memory}, {DNNL_ARG_TO, conv->weights.memory}};
  const bool ok = bridge_bind(&conv->plain, copy == NULL ? weights : copy)
      && bridge_bind(&conv->weights, prepared) && bridge_run(conv->reorder, 2, arguments);
  free(copy);
  return ok;
}

// Runs a gradient of the input, or a mirrored forward pass.
static bool run_backward_data(
    onednn_conv *conv, float *dsrc, const float *ddst, const float *prepared, float *scratch) {
  if (!activation_begin(&conv->src, dsrc, &scratch) || !activation_begin(&conv->dst, ddst, &scratch)
      || !bridge_bind(&conv->weights, prepared) || !bridge_bind(&conv->scratch, scratch)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DIFF_SRC, activation_memory(&conv->src)},
      {DNNL_ARG_DIFF_DST, activation_memory(&conv->dst)},
      {DNNL_ARG_WEIGHTS, conv->weights.memory},
      {DNNL_ARG_SCRATCHPAD, conv->scratch.memory}};
  return bridge_run(conv->primitive, 4, arguments) && activation_end(&conv->src);
}

bool onednn_conv_forward(
    onednn_conv *conv, float *dst, const float *src, const float *prepared, const float *bias,
    float *scratch) {
  if (!check_call(conv, ONEDNN_FORWARD, bias)) return false;
  if (conv->is_mirrored) return run_backward_data(conv, dst, src, prepared, scratch);
  if (!activation_begin(&conv->dst, dst, &scratch)
      || !activation_begin(&conv->src, src, &scratch) || !bridge_bind(&conv->weights, prepared)
      || !bridge_bind(&conv->bias, bias) || !bridge_bind(&conv->scratch, scratch)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DST, activation_memory(&conv->dst)},
      {DNNL_ARG_SRC, activation_memory(&conv->src)},
      {DNNL_ARG_WEIGHTS, conv->weights.memory},
      {DNNL_ARG_SCRATCHPAD, conv->scratch.memory},
      {DNNL_ARG_BIAS, conv->bias.memory}};
  return bridge_run(conv->primitive, conv->has_bias ? 5 : 4, arguments)
      && activation_end(&conv->dst);
}

bool onednn_conv_backward_data(
    onednn_conv *conv, float *dsrc, const float *ddst, const float *prepared, float *scratch) {
  return check_call(conv, ONEDNN_BACKWARD_DATA, NULL)
      && run_backward_data(conv, dsrc, ddst, prepared, scratch);
}

bool onednn_conv_backward_weights(
    onednn_conv *conv, float *dweights, float *dbias, const float *src, const float *ddst,
    float *scratch) {
  if (!check_call(conv, ONEDNN_BACKWARD_WEIGHTS, dbias)
      || !activation_begin(&conv->src, src, &scratch)
      || !activation_begin(&conv->dst, ddst, &scratch)) {
    return false;
  }
  float *rest = scratch + conv->weight_floats;
  if (!bridge_bind(&conv->plain, dweights) || !bridge_bind(&conv->weights, scratch)
      || !bridge_bind(&conv->bias, dbias) || !bridge_bind(&conv->scratch, rest)
      || !bridge_bind(&conv->reorder_scratch, rest)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DIFF_WEIGHTS, conv->weights.memory},
      {DNNL_ARG_SRC, activation_memory(&conv->src)},
      {DNNL_ARG_DIFF_DST, activation_memory(&conv->dst)},
      {DNNL_ARG_SCRATCHPAD, conv->scratch.memory},
      {DNNL_ARG_DIFF_BIAS, conv->bias.memory}};
  const dnnl_exec_arg_t unpack[] = {
      {DNNL_ARG_FROM, conv->weights.memory},
      {DNNL_ARG_TO, conv->plain.memory},
      {DNNL_ARG_SCRATCHPAD, conv->reorder_scratch.memory}};
  return bridge_run(conv->primitive, conv->has_bias ? 5 : 4, arguments)
      && bridge_run(conv->reorder, 3, unpack);
}
