// How a public kernel finds the version for the active level.
//
// In `<family>.c`:   K_DISPATCHED(saxpy)
//                    void k_saxpy(float *y, const float *x, size_t n) { K_CALL(saxpy)(y, x, n); }
// In `<family>_impl.h`, included once per level:
//                    K_IMPLEMENTS(saxpy);
//                    void K_FN(saxpy)(float *y, const float *x, size_t n) { ... }
// All signatures are those of the public header: a mismatch does not compile.
#ifndef RESTORE_KERNELS_DISPATCH_INTERNAL_H
#define RESTORE_KERNELS_DISPATCH_INTERNAL_H

#include "dispatch.h"

extern k_isa k_isa_of_process;  // set before main by dispatch.c

// A level of the calling thread's own, or K_NO_ISA. The cheapest thread-local model is safe because
// this code is linked into the program, not loaded later.
enum { K_NO_ISA = -1 };
#if defined(__ELF__)
#define K_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#else
#define K_INITIAL_EXEC
#endif
extern _Thread_local int k_isa_of_thread K_INITIAL_EXEC;
#define K_ISA_IN_USE \
  (k_isa_of_thread == K_NO_ISA ? k_isa_of_process : (k_isa)k_isa_of_thread)

#if defined(__x86_64__)
#define K_VERSIONS(result, name, parameters) \
  result name##_base parameters;             \
  result name##_avx2 parameters;             \
  result name##_avx512 parameters;
#define K_DISPATCHED(name) \
  extern __typeof__(k_##name) name##_base, name##_avx2, name##_avx512;
#define K_CALL(name)                                                                       \
  (K_ISA_IN_USE == K_ISA_AVX512 ? name##_avx512 : K_ISA_IN_USE == K_ISA_AVX2 ? name##_avx2 \
                                                                             : name##_base)
#else
#define K_VERSIONS(result, name, parameters) result name##_base parameters;
#define K_DISPATCHED(name) extern __typeof__(k_##name) name##_base;
#define K_CALL(name) (name##_base)
#endif

#endif
