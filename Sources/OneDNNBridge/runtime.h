// What the primitives of this target share: engine, threads, error text, bound memory.
#ifndef RESTORE_ONEDNN_RUNTIME_H
#define RESTORE_ONEDNN_RUNTIME_H

#include <stddef.h>

#include "api.h"

// The CPU engine of the process, created at first use together with its stream; NULL on failure.
dnnl_engine_t bridge_engine(void);

// The number of threads for new objects.
int bridge_threads(void);

// Makes OpenMP regions of the calling thread run on `threads` threads.
void bridge_use_threads(int threads);

// Stores the text of `onednn_last_error` and returns false.
__attribute__((format(printf, 1, 2))) bool bridge_fail(const char *format, ...);

// True for success; otherwise stores "what: name of the status" and returns false.
bool bridge_check(dnnl_status_t status, const char *what);

// Attributes for exact float32 arithmetic and scratch memory supplied by the caller.
bool bridge_attributes(dnnl_primitive_attr_t *attributes);

// A memory object whose buffer is given at each execution.
typedef struct {
  dnnl_memory_t memory;
  const void *bound;
} bridge_memory;

bool bridge_memory_create(bridge_memory *memory, api_layout_ref layout);
bool bridge_bind(bridge_memory *memory, const void *buffer);
void bridge_memory_destroy(bridge_memory *memory);

// A primitive with the descriptor `description`.
bool bridge_primitive_create(dnnl_primitive_t *primitive, dnnl_primitive_desc_t description);

// A reordering between two layouts. `attributes` may be NULL: then oneDNN owns the scratch memory.
bool bridge_reorder_create(
    dnnl_primitive_t *primitive, bridge_memory *scratch, size_t *scratch_bytes,
    api_layout_ref from, api_layout_ref to, dnnl_primitive_attr_t attributes);

// Creates the memory object for the scratch memory of `description` and states its size.
bool bridge_scratch_create(
    bridge_memory *scratch, size_t *bytes, const_dnnl_primitive_desc_t description);

// Runs a primitive to its end.
bool bridge_run(dnnl_primitive_t primitive, int count, const dnnl_exec_arg_t *arguments);

// Floats that hold `bytes`, rounded up to whole cache lines so that parts stay aligned.
size_t bridge_floats(size_t bytes);

#endif
