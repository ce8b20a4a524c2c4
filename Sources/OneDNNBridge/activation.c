#include "activation.h"

bool activation_create(
    activation *a, api_layout_ref plain, api_layout_ref packed, bool is_output) {
  a->is_output = is_output;
  if (!bridge_memory_create(&a->plain, plain)) return false;
  if (packed == NULL) return true;
  a->packed_floats = bridge_floats(dnnl.memory_desc_get_size(packed));
  // Between two layouts of whole blocks a reorder needs no scratch memory.
  bridge_memory scratch = {0};
  size_t scratch_bytes = 0;
  const bool ok = bridge_memory_create(&a->packed, packed)
      && bridge_reorder_create(
          &a->reorder, &scratch, &scratch_bytes, is_output ? packed : plain,
          is_output ? plain : packed, NULL);
  bridge_memory_destroy(&scratch);
  return ok;
}

void activation_destroy(activation *a) {
  bridge_memory_destroy(&a->plain);
  bridge_memory_destroy(&a->packed);
  if (a->reorder != NULL) dnnl.primitive_destroy(a->reorder);
}

static bool reorder(const activation *a) {
  const dnnl_exec_arg_t arguments[] = {
      {DNNL_ARG_FROM, a->is_output ? a->packed.memory : a->plain.memory},
      {DNNL_ARG_TO, a->is_output ? a->plain.memory : a->packed.memory}};
  return bridge_run(a->reorder, 2, arguments);
}

bool activation_begin(activation *a, const float *buffer, float **scratch) {
  if (!bridge_bind(&a->plain, buffer)) return false;
  if (a->reorder == NULL) return true;
  if (!bridge_bind(&a->packed, *scratch)) return false;
  *scratch += a->packed_floats;
  return a->is_output || reorder(a);
}

dnnl_memory_t activation_memory(const activation *a) {
  return a->reorder == NULL ? a->plain.memory : a->packed.memory;
}

bool activation_end(activation *a) {
  return a->reorder == NULL || !a->is_output || reorder(a);
}
