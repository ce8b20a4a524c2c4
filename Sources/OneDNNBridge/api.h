// The part of oneDNN's C API that this target uses, with the differences between its versions 2
// (Debian 12) and 3 kept in this one file.
//
// Version 2 describes memory by value and an operation by an "op descriptor"; version 3 has opaque
// memory descriptors and creates primitive descriptors directly.
//
// The library is not linked but loaded at first use (api.c says why); its functions are the members
// of `dnnl`: `dnnl.engine_create` is `dnnl_engine_create`.
#ifndef RESTORE_ONEDNN_API_H
#define RESTORE_ONEDNN_API_H

#include <dnnl.h>
#include <stdbool.h>

#if DNNL_VERSION_MAJOR < 2
#error "oneDNN 2 or 3 is required"
#endif
#if DNNL_CPU_RUNTIME != DNNL_RUNTIME_OMP
#error "an OpenMP build of oneDNN is required: its number of threads is set through OpenMP"
#endif

// MARK: - Functions

// clang-format off
#define API_COMMON(X) \
  X(engine_create) X(engine_destroy) X(memory_create) X(memory_desc_get_size) X(memory_destroy) \
  X(memory_set_data_handle) X(post_ops_append_eltwise) X(post_ops_create) X(post_ops_destroy) \
  X(primitive_attr_create) X(primitive_attr_destroy) \
  X(primitive_attr_set_fpmath_mode) X(primitive_attr_set_post_ops) \
  X(primitive_attr_set_scratchpad_mode) X(primitive_create) \
  X(primitive_desc_destroy) X(primitive_desc_query) X(primitive_desc_query_md) \
  X(primitive_destroy) X(primitive_execute) X(reorder_primitive_desc_create) \
  X(set_max_cpu_isa) X(stream_create) X(stream_destroy) X(stream_wait) X(version)
#if DNNL_VERSION_MAJOR >= 3
#define API_FUNCTIONS(X) \
  API_COMMON(X) X(convolution_backward_data_primitive_desc_create) \
  X(convolution_backward_weights_primitive_desc_create) \
  X(convolution_forward_primitive_desc_create) X(inner_product_forward_primitive_desc_create) \
  X(memory_desc_create_with_tag) X(memory_desc_destroy)
#else
#define API_FUNCTIONS(X) \
  API_COMMON(X) X(dilated_convolution_backward_data_desc_init) \
  X(dilated_convolution_backward_weights_desc_init) X(dilated_convolution_forward_desc_init) \
  X(inner_product_forward_desc_init) X(memory_desc_init_by_tag) X(primitive_desc_create)
#endif
// clang-format on

typedef struct {
#define API_MEMBER(name) __typeof__(&dnnl_##name) name;
  API_FUNCTIONS(API_MEMBER)
#undef API_MEMBER
  void (*set_openmp_threads)(int);  // omp_set_num_threads of the OpenMP library that oneDNN uses
} api_functions;

extern api_functions dnnl;

// Loads the library and fills `dnnl`; NULL, or a text that says what is missing.
const char *api_load(void);

// MARK: - Memory layouts

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t api_layout;            // owned, to be freed
typedef const_dnnl_memory_desc_t api_layout_ref;  // borrowed

static inline api_layout_ref api_ref(const api_layout *layout) { return *layout; }

static inline dnnl_status_t api_layout_init(
    api_layout *layout, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
  return dnnl.memory_desc_create_with_tag(layout, rank, dims, dnnl_f32, tag);
}

static inline void api_layout_free(api_layout *layout) {
  if (*layout != NULL) dnnl.memory_desc_destroy(*layout);
}

#else

typedef dnnl_memory_desc_t api_layout;
typedef const dnnl_memory_desc_t *api_layout_ref;

static inline api_layout_ref api_ref(const api_layout *layout) { return layout; }

static inline dnnl_status_t api_layout_init(
    api_layout *layout, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
  return dnnl.memory_desc_init_by_tag(layout, rank, dims, dnnl_f32, tag);
}

static inline void api_layout_free(api_layout *layout) { (void)layout; }

#endif

// MARK: - Operations

// Source, weights, bias (NULL = none) and destination of an operation, or their gradients.
typedef struct {
  api_layout_ref src, weights, bias, dst;
} api_operands;

// Strides, dilation minus one, and padding before and after, per spatial axis.
typedef struct {
  dnnl_dims_t strides, gaps, before, after;
} api_window;

static inline dnnl_status_t api_conv_forward(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, api_operands o, const api_window *w,
    dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl.convolution_forward_primitive_desc_create(
      result, engine, dnnl_forward_training, dnnl_convolution_direct, o.src, o.weights, o.bias,
      o.dst, w->strides, w->gaps, w->before, w->after, attributes);
#else
  dnnl_convolution_desc_t operation;
  dnnl_status_t status = dnnl.dilated_convolution_forward_desc_init(
      &operation, dnnl_forward_training, dnnl_convolution_direct, o.src, o.weights, o.bias, o.dst,
      w->strides, w->gaps, w->before, w->after);
  if (status != dnnl_success) return status;
  return dnnl.primitive_desc_create(result, &operation, attributes, engine, NULL);
#endif
}

static inline dnnl_status_t api_conv_backward_data(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, api_operands o, const api_window *w,
    dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t forward) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl.convolution_backward_data_primitive_desc_create(
      result, engine, dnnl_convolution_direct, o.src, o.weights, o.dst, w->strides, w->gaps,
      w->before, w->after, forward, attributes);
#else
  dnnl_convolution_desc_t operation;
  dnnl_status_t status = dnnl.dilated_convolution_backward_data_desc_init(
      &operation, dnnl_convolution_direct, o.src, o.weights, o.dst, w->strides, w->gaps, w->before,
      w->after);
  if (status != dnnl_success) return status;
  return dnnl.primitive_desc_create(result, &operation, attributes, engine, forward);
#endif
}

static inline dnnl_status_t api_conv_backward_weights(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, api_operands o, const api_window *w,
    dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t forward) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl.convolution_backward_weights_primitive_desc_create(
      result, engine, dnnl_convolution_direct, o.src, o.weights, o.bias, o.dst, w->strides,
      w->gaps, w->before, w->after, forward, attributes);
#else
  dnnl_convolution_desc_t operation;
  dnnl_status_t status = dnnl.dilated_convolution_backward_weights_desc_init(
      &operation, dnnl_convolution_direct, o.src, o.weights, o.bias, o.dst, w->strides, w->gaps,
      w->before, w->after);
  if (status != dnnl_success) return status;
  return dnnl.primitive_desc_create(result, &operation, attributes, engine, forward);
#endif
}

// Appends `y > 0 ? y : slope · y` to what is done to a result.
static inline dnnl_status_t api_append_relu(dnnl_post_ops_t post_ops, float slope) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl.post_ops_append_eltwise(post_ops, dnnl_eltwise_relu, slope, 0);
#else
  return dnnl.post_ops_append_eltwise(post_ops, 1, dnnl_eltwise_relu, slope, 0);
#endif
}

static inline dnnl_status_t api_inner_product(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, api_operands o,
    dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl.inner_product_forward_primitive_desc_create(
      result, engine, dnnl_forward_inference, o.src, o.weights, o.bias, o.dst, attributes);
#else
  dnnl_inner_product_desc_t operation;
  dnnl_status_t status = dnnl.inner_product_forward_desc_init(
      &operation, dnnl_forward_inference, o.src, o.weights, o.bias, o.dst);
  if (status != dnnl_success) return status;
  return dnnl.primitive_desc_create(result, &operation, attributes, engine, NULL);
#endif
}

#endif
