#include <inttypes.h>
#include <stdlib.h>

#include "OneDNNBridge.h"
#include "runtime.h"

struct onednn_inner_product {
  int threads;
  bool has_bias;
  dnnl_primitive_t primitive, reorder;
  bridge_memory src, dst, weights, bias, scratch, plain, reorder_scratch;
  size_t weight_floats, scratch_floats;
};

// Layouts that a creation needs, freed together at its end.
typedef struct {
  api_layout src, dst, any_weights, plain_weights, bias;
} layouts;

static bool describe(layouts *l, int64_t rows, int64_t inputs, int64_t outputs) {
  const dnnl_dims_t src = {rows, inputs}, dst = {rows, outputs};
  const dnnl_dims_t weights = {outputs, inputs}, bias = {outputs};
  dnnl_status_t status = api_layout_init(&l->src, 2, src, dnnl_ab);
  if (status == dnnl_success) status = api_layout_init(&l->dst, 2, dst, dnnl_ab);
  if (status == dnnl_success) {
    status = api_layout_init(&l->any_weights, 2, weights, dnnl_format_tag_any);
  }
  if (status == dnnl_success) status = api_layout_init(&l->plain_weights, 2, weights, dnnl_ab);
  if (status == dnnl_success) status = api_layout_init(&l->bias, 1, bias, dnnl_a);
  return bridge_check(status, "inner product: layout");
}

static bool build(
    onednn_inner_product *product, const layouts *l, dnnl_primitive_attr_t attributes,
    dnnl_primitive_desc_t *description) {
  const api_operands operands = {
      api_ref(&l->src), api_ref(&l->any_weights), product->has_bias ? api_ref(&l->bias) : NULL,
      api_ref(&l->dst)};
  bridge_use_threads(product->threads);
  if (!bridge_check(
          api_inner_product(description, bridge_engine(), operands, attributes),
          "inner product")) {
    return false;
  }
  const api_layout_ref plain = api_ref(&l->plain_weights);
  const api_layout_ref packed =
      dnnl.primitive_desc_query_md(*description, dnnl_query_weights_md, 0);
  size_t scratch = 0, reorder_scratch = 0;
  if (!bridge_primitive_create(&product->primitive, *description)
      || !bridge_scratch_create(&product->scratch, &scratch, *description)
      || !bridge_memory_create(&product->src, api_ref(&l->src))
      || !bridge_memory_create(&product->dst, api_ref(&l->dst))
      || !bridge_memory_create(&product->bias, api_ref(&l->bias))
      || !bridge_memory_create(&product->weights, packed)
      || !bridge_memory_create(&product->plain, plain)
      || !bridge_reorder_create(
          &product->reorder, &product->reorder_scratch, &reorder_scratch, plain, packed, NULL)) {
    return false;
  }
  product->weight_floats = bridge_floats(dnnl.memory_desc_get_size(packed));
  product->scratch_floats = bridge_floats(scratch);
  return true;
}

onednn_inner_product *onednn_inner_product_create(
    int64_t rows, int64_t inputs, int64_t outputs, bool has_bias) {
  if (rows < 1 || inputs < 1 || outputs < 1) {
    bridge_fail(
        "inner product: [%" PRId64 ", %" PRId64 "] x [%" PRId64 ", %" PRId64 "]^T is empty", rows,
        inputs, outputs, inputs);
    return NULL;
  }
  onednn_inner_product *product = calloc(1, sizeof *product);
  if (product == NULL) {
    bridge_fail("inner product: out of memory");
    return NULL;
  }
  product->threads = bridge_threads();
  product->has_bias = has_bias;
  layouts l = {0};
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t description = NULL;
  const bool ok = bridge_engine() != NULL && describe(&l, rows, inputs, outputs)
      && bridge_attributes(&attributes) && build(product, &l, attributes, &description);
  if (description != NULL) dnnl.primitive_desc_destroy(description);
  if (attributes != NULL) dnnl.primitive_attr_destroy(attributes);
  api_layout_free(&l.src);
  api_layout_free(&l.dst);
  api_layout_free(&l.any_weights);
  api_layout_free(&l.plain_weights);
  api_layout_free(&l.bias);
  if (ok) return product;
  onednn_inner_product_destroy(product);
  return NULL;
}

void onednn_inner_product_destroy(onednn_inner_product *product) {
  if (product == NULL) return;
  bridge_memory *memories[] = {&product->src,     &product->dst,   &product->weights,
                               &product->bias,    &product->scratch, &product->plain,
                               &product->reorder_scratch};
  for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
    bridge_memory_destroy(memories[i]);
  }
  if (product->reorder != NULL) dnnl.primitive_destroy(product->reorder);
  if (product->primitive != NULL) dnnl.primitive_destroy(product->primitive);
  free(product);
}

size_t onednn_inner_product_prepared_count(const onednn_inner_product *product) {
  return product->weight_floats;
}

size_t onednn_inner_product_scratch_count(const onednn_inner_product *product) {
  return product->scratch_floats;
}

bool onednn_inner_product_prepare(
    onednn_inner_product *product, float *prepared, const float *weights) {
  bridge_use_threads(product->threads);
  if (!bridge_bind(&product->plain, weights) || !bridge_bind(&product->weights, prepared)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, product->plain.memory}, {DNNL_ARG_TO, product->weights.memory}};
  return bridge_run(product->reorder, 2, arguments);
}

bool onednn_inner_product_execute(
    onednn_inner_product *product, float *dst, const float *src, const float *prepared,
    const float *bias, float *scratch) {
  if (product->has_bias != (bias != NULL)) {
    return bridge_fail("inner product: bias and creation do not agree");
  }
  bridge_use_threads(product->threads);
  if (!bridge_bind(&product->dst, dst) || !bridge_bind(&product->src, src)
      || !bridge_bind(&product->weights, prepared)
      || !bridge_bind(&product->bias, bias) || !bridge_bind(&product->scratch, scratch)) {
    return false;
  }
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_DST, product->dst.memory},
      {DNNL_ARG_SRC, product->src.memory},
      {DNNL_ARG_WEIGHTS, product->weights.memory},
      {DNNL_ARG_SCRATCHPAD, product->scratch.memory},
      {DNNL_ARG_BIAS, product->bias.memory}};
  return bridge_run(product->primitive, product->has_bias ? 5 : 4, arguments);
}
