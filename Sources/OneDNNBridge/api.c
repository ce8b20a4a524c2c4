#include "api.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// Why oneDNN is loaded and not linked: libgomp reads its environment once, in a constructor that
// runs when the library is mapped, and has no function to change the waiting policy later. As a
// linked library it would be initialised before any line of ours. Its default lets idle workers
// spin for milliseconds after each call. Measured on two cores with libgomp 12: on a quiet machine
// the policies differ by less than the noise (3x3 convolution, 128 x 128 x 48: 3.0 ms either way);
// next to one busy process spinning costs 8.0 ms and sleeping 6.0 ms per convolution, and every
// call left alone burns 6.5 ms of CPU time after its end.

api_functions dnnl;

#define API_TEXT(x) #x
#define API_TEXT_OF(x) API_TEXT(x)
#if defined(__APPLE__)
#define API_LIBRARY "libdnnl." API_TEXT_OF(DNNL_VERSION_MAJOR) ".dylib"
#else
#define API_LIBRARY "libdnnl.so." API_TEXT_OF(DNNL_VERSION_MAJOR)
#endif

// In a constructor because the environment may only be changed while there is one thread.
__attribute__((constructor)) static void wait_passively(void) {
  if (getenv("GOMP_SPINCOUNT") == NULL) setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
}

// Function pointers are copied as bytes: ISO C has no conversion from `void *`.
static bool find(void *library, const char *name, void *function) {
  void *symbol = dlsym(library, name);
  memcpy(function, &symbol, sizeof symbol);
  return symbol != NULL;
}

const char *api_load(void) {
  // The major version in the name is that of the headers: it stands for the binary interface.
  void *library = dlopen(API_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return API_LIBRARY " is not installed (Debian: libdnnl-dev)";
#define API_FIND(name) \
  if (!find(library, "dnnl_" #name, &dnnl.name)) return API_LIBRARY " lacks dnnl_" #name;
  API_FUNCTIONS(API_FIND)
#undef API_FIND
  if (!find(library, "omp_set_num_threads", &dnnl.set_openmp_threads)) {
    return API_LIBRARY " was built without OpenMP";
  }
  return NULL;
}
