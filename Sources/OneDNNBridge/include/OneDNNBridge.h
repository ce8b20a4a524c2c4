/// Dense convolution and inner product by oneDNN, behind an interface without oneDNN types.
///
/// All data is float32. Activations are channels-last and dense: `[N, W, C]`, `[N, H, W, C]` or
/// `[N, D, H, W, C]`. Weights come in the layout of checkpoints, `[O, I/groups, k...]`, and are
/// re-laid out once per change ("prepared") into whatever order the primitive works fastest with.
///
/// Threads: objects are not thread-safe, and libgomp keeps one team of workers per calling thread,
/// so one thread should create, prepare and execute everything. Each object runs on the number of
/// threads in force at its creation; the same input on the same number gives the same bits.
///
/// Waiting: idle OpenMP workers sleep instead of spinning, unless `OMP_WAIT_POLICY` or
/// `GOMP_SPINCOUNT` is set in the environment or the host program loaded OpenMP before (see api.c).
///
/// Memory: execute functions allocate nothing. Buffers belong to the caller; prepared and scratch
/// buffers are aligned to 64 bytes, others to 4. No output may overlap another argument.
///
/// Instruction set: `RESTORE_ISA` (`base`, `avx2`, `avx512`) caps oneDNN as it caps our kernels;
/// `base` means SSE4.1 here, the lowest level for which oneDNN generates code.
#ifndef RESTORE_ONEDNN_BRIDGE_H
#define RESTORE_ONEDNN_BRIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Which of the three computations of a convolution a primitive performs.
typedef enum {
  ONEDNN_FORWARD = 0,
  ONEDNN_BACKWARD_DATA = 1,  // also the forward pass of a transposed convolution, see below
  ONEDNN_BACKWARD_WEIGHTS = 2,
} onednn_conv_kind;

/// Geometry of a convolution; entry 0 of each array is the slowest spatial axis (depth or height).
///
/// Along each axis, rounded down,
/// `out = (in + pad_before + pad_after - dilation * (kernel - 1) - 1) / stride + 1`.
///
/// A transposed convolution from `[N, h..., A]` to `[N, H..., B]` with weights
/// `[A, B/groups, k...]` is `ONEDNN_BACKWARD_DATA` of the shape with `in_channels = B`,
/// `in_size = H`, `out_channels = A`, `out_size = h` and the same weights: its input is `ddst`, its
/// output is `dsrc`, and a bias is added by the caller.
typedef struct {
  int spatial_rank;  // 1, 2 or 3; later entries of the arrays are ignored
  int64_t batch, in_channels, out_channels, groups;
  int64_t in_size[3], out_size[3], kernel[3], stride[3];
  int64_t dilation[3];  // 1 = dense
  int64_t pad_before[3], pad_after[3];
  bool has_bias;  // ignored by ONEDNN_BACKWARD_DATA
  // ONEDNN_FORWARD only: whether dst becomes `y > 0 ? y : relu_slope · y`.
  bool has_relu;
  float relu_slope;
} onednn_conv_shape;

/// Sets the number of threads, at least 1, of the objects created from now on, by any thread.
///
/// It is 1 before the first call. Objects that exist keep theirs.
void onednn_set_threads(int threads);

/// A convolution of one shape, kind and number of threads, ready to run.
typedef struct onednn_conv onednn_conv;

/// Generates code for a convolution, which takes some milliseconds: keep the result.
///
/// Returns NULL, with the reason in `onednn_last_error`, if the geometry contradicts itself or
/// oneDNN refuses it.
onednn_conv *onednn_conv_create(const onednn_conv_shape *shape, onednn_conv_kind kind);

/// Releases a convolution; NULL is allowed.
void onednn_conv_destroy(onednn_conv *conv);

/// Floats in the buffer of prepared weights; 0 for `ONEDNN_BACKWARD_WEIGHTS`.
///
/// The prepared order depends on shape, kind and threads: do not share a buffer between objects.
size_t onednn_conv_prepared_count(const onednn_conv *conv);

/// Floats of scratch memory that one execution needs, possibly 0. Its content need not be kept.
size_t onednn_conv_scratch_count(const onednn_conv *conv);

/// Name of the implementation that oneDNN chose, for example `brgconv:avx512_core`.
const char *onednn_conv_implementation(const onednn_conv *conv);

/// Whether a forward pass runs on a kernel that is faster than those that add a bias or an activation.
///
/// Only shapes without either can have it: who adds them somewhere else, at no cost, gains by that.
bool onednn_conv_is_faster_bare(const onednn_conv *conv);

/// Writes `weights: [O, I/groups, k...]` into `prepared` in the order of the primitive.
///
/// Not for `ONEDNN_BACKWARD_WEIGHTS`. Like all functions below, returns false with the reason in
/// `onednn_last_error` if it fails, which after a successful creation means a programming error.
bool onednn_conv_prepare(onednn_conv *conv, float *prepared, const float *weights);

/// `dst = src * weights + bias`. For `ONEDNN_FORWARD`.
///
/// Writes `dst: [N, out..., O]`; reads `src: [N, in..., I]`, `prepared`, and `bias: [O]`, which is
/// NULL exactly if the shape has no bias.
bool onednn_conv_forward(
    onednn_conv *conv, float *dst, const float *src, const float *prepared, const float *bias,
    float *scratch);

/// Gradient with respect to the input. For `ONEDNN_BACKWARD_DATA`.
///
/// Writes (does not add to) `dsrc: [N, in..., I]`; reads `ddst: [N, out..., O]` and `prepared`.
bool onednn_conv_backward_data(
    onednn_conv *conv, float *dsrc, const float *ddst, const float *prepared, float *scratch);

/// Gradients with respect to weights and bias. For `ONEDNN_BACKWARD_WEIGHTS`.
///
/// Writes (does not add to) `dweights: [O, I/groups, k...]` and `dbias: [O]`, which is NULL exactly
/// if the shape has no bias; reads `src: [N, in..., I]` and `ddst: [N, out..., O]`.
bool onednn_conv_backward_weights(
    onednn_conv *conv, float *dweights, float *dbias, const float *src, const float *ddst,
    float *scratch);

/// An inner product of one shape and number of threads, ready to run.
///
/// The engine's own matrix product does this work; here oneDNN is its oracle and opponent.
typedef struct onednn_inner_product onednn_inner_product;

/// Prepares code for `dst = src * weights^T + bias` with `src: [rows, inputs]` and
/// `weights: [outputs, inputs]`. Returns NULL, with the reason in `onednn_last_error`, on failure.
onednn_inner_product *onednn_inner_product_create(
    int64_t rows, int64_t inputs, int64_t outputs, bool has_bias);

/// Releases an inner product; NULL is allowed.
void onednn_inner_product_destroy(onednn_inner_product *product);

/// Floats in the buffer of prepared weights.
size_t onednn_inner_product_prepared_count(const onednn_inner_product *product);

/// Floats of scratch memory that one execution needs, possibly 0.
size_t onednn_inner_product_scratch_count(const onednn_inner_product *product);

/// Writes `weights: [outputs, inputs]` into `prepared` in the order of the primitive.
bool onednn_inner_product_prepare(
    onednn_inner_product *product, float *prepared, const float *weights);

/// Writes `dst: [rows, outputs]`; reads `src: [rows, inputs]`, `prepared`, and `bias: [outputs]`,
/// which is NULL exactly if the product was created without bias.
bool onednn_inner_product_execute(
    onednn_inner_product *product, float *dst, const float *src, const float *prepared,
    const float *bias, float *scratch);

/// Why the last call of this thread failed; the empty string before the first failure.
///
/// Valid until the next failure on the same thread.
const char *onednn_last_error(void);

/// Version of the oneDNN library in use, for example `2.6.3`; the empty string, with the reason in
/// `onednn_last_error`, if it cannot be loaded.
const char *onednn_version(void);

#endif
