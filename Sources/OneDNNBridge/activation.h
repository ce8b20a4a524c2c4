// A convolution's activations: the caller's, channels-last, and if the primitive wants another order
// a copy of them in the scratch memory.
#ifndef RESTORE_ONEDNN_ACTIVATION_H
#define RESTORE_ONEDNN_ACTIVATION_H

#include "runtime.h"

typedef struct {
  bridge_memory plain;   // the caller's
  bridge_memory packed;  // the copy; without memory if there is none
  dnnl_primitive_t reorder;
  bool is_output;
  size_t packed_floats;  // 0 without a copy
} activation;

// Plain alone if `packed` is NULL.
bool activation_create(
    activation *a, api_layout_ref plain, api_layout_ref packed, bool is_output);
void activation_destroy(activation *a);

// Takes the caller's buffer, and from `*scratch` what the copy needs; fills the copy of an input.
bool activation_begin(activation *a, const float *buffer, float **scratch);

// What the primitive gets.
dnnl_memory_t activation_memory(const activation *a);

// Brings an output to the caller's buffer.
bool activation_end(activation *a);

#endif
