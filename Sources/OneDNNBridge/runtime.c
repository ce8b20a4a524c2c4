#include "runtime.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "OneDNNBridge.h"

// MARK: - Errors

static _Thread_local char last_error[256];

const char *onednn_last_error(void) { return last_error; }

bool bridge_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return false;
}

static const char *status_name(dnnl_status_t status) {
  switch (status) {
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "unimplemented";
    case dnnl_runtime_error: return "runtime error";
    default: return "failed";
  }
}

bool bridge_check(dnnl_status_t status, const char *what) {
  return status == dnnl_success || bridge_fail("%s: %s", what, status_name(status));
}

// MARK: - Engine

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static dnnl_stream_t stream;
static const char *failure;  // why there is no engine

// Must precede every other call of oneDNN, which looks at the limit once.
static void limit_instruction_set(void) {
#if defined(__x86_64__)
  const char *forced = getenv("RESTORE_ISA");
  if (forced == NULL) return;
  if (strcmp(forced, "base") == 0) dnnl.set_max_cpu_isa(dnnl_cpu_isa_sse41);
  if (strcmp(forced, "avx2") == 0) dnnl.set_max_cpu_isa(dnnl_cpu_isa_avx2);
#endif
}

static void start(void) {
  failure = api_load();
  if (failure != NULL) return;
  limit_instruction_set();
  if (dnnl.engine_create(&engine, dnnl_cpu, 0) == dnnl_success) {
    if (dnnl.stream_create(&stream, engine, dnnl_stream_default_flags) == dnnl_success) return;
    dnnl.engine_destroy(engine);
    engine = NULL;
  }
  failure = "no CPU engine could be created";
}

dnnl_engine_t bridge_engine(void) {
  pthread_once(&once, start);
  if (engine == NULL) bridge_fail("oneDNN: %s", failure);
  return engine;
}

const char *onednn_version(void) {
  static _Thread_local char text[32];
  text[0] = '\0';
  if (bridge_engine() == NULL) return text;
  const dnnl_version_t *version = dnnl.version();
  snprintf(text, sizeof text, "%d.%d.%d", version->major, version->minor, version->patch);
  return text;
}

// MARK: - Threads

static atomic_int threads_of_new_objects = 1;

void onednn_set_threads(int threads) { atomic_store(&threads_of_new_objects, threads); }

int bridge_threads(void) { return atomic_load(&threads_of_new_objects); }

void bridge_use_threads(int threads) {
  // OpenMP keeps the number per calling thread, hence the memory of what was set is per thread.
  static _Thread_local int in_force;
  if (in_force == threads) return;
  dnnl.set_openmp_threads(threads);
  in_force = threads;
}

// MARK: - Primitives and memory

bool bridge_attributes(dnnl_primitive_attr_t *attributes) {
  if (!bridge_check(dnnl.primitive_attr_create(attributes), "attributes")) return false;
  // Strict also when the environment asks oneDNN for bfloat16 arithmetic.
  return bridge_check(
             dnnl.primitive_attr_set_fpmath_mode(*attributes, dnnl_fpmath_mode_strict),
             "attributes")
      && bridge_check(
             dnnl.primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user),
             "attributes");
}

bool bridge_memory_create(bridge_memory *memory, api_layout_ref layout) {
  return bridge_check(
      dnnl.memory_create(&memory->memory, layout, bridge_engine(), DNNL_MEMORY_NONE), "memory");
}

bool bridge_bind(bridge_memory *memory, const void *buffer) {
  // Version 2 zeroes the padding of blocked layouts at every change of buffer; a reorder has
  // already done so. Skipping repeated buffers saves that pass.
  if (memory->bound == buffer) return true;
  memory->bound = buffer;
  return bridge_check(dnnl.memory_set_data_handle(memory->memory, (void *)buffer), "memory");
}

void bridge_memory_destroy(bridge_memory *memory) {
  if (memory->memory != NULL) dnnl.memory_destroy(memory->memory);
}

bool bridge_primitive_create(dnnl_primitive_t *primitive, dnnl_primitive_desc_t description) {
  return bridge_check(dnnl.primitive_create(primitive, description), "primitive");
}

bool bridge_scratch_create(
    bridge_memory *scratch, size_t *bytes, const_dnnl_primitive_desc_t description) {
  api_layout_ref layout = dnnl.primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
  *bytes = dnnl.memory_desc_get_size(layout);
  return bridge_memory_create(scratch, layout);
}

bool bridge_reorder_create(
    dnnl_primitive_t *primitive, bridge_memory *scratch, size_t *scratch_bytes,
    api_layout_ref from, api_layout_ref to, dnnl_primitive_attr_t attributes) {
  dnnl_primitive_desc_t description = NULL;
  bool ok =
      bridge_check(
          dnnl.reorder_primitive_desc_create(
              &description, from, bridge_engine(), to, bridge_engine(), attributes),
          "reorder")
      && bridge_scratch_create(scratch, scratch_bytes, description)
      && bridge_primitive_create(primitive, description);
  if (description != NULL) dnnl.primitive_desc_destroy(description);
  return ok;
}

bool bridge_run(dnnl_primitive_t primitive, int count, const dnnl_exec_arg_t *arguments) {
  return bridge_check(dnnl.primitive_execute(primitive, stream, count, arguments), "execute")
      && bridge_check(dnnl.stream_wait(stream), "execute");
}

size_t bridge_floats(size_t bytes) { return (bytes + 63) / 64 * 16; }
