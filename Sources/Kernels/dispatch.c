#include "dispatch_internal.h"

#include <stdlib.h>
#include <string.h>

k_isa k_isa_of_process = K_ISA_BASE;
_Thread_local int k_isa_of_thread K_INITIAL_EXEC = K_NO_ISA;

k_isa k_active_isa(void) { return K_ISA_IN_USE; }

k_isa k_best_isa(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("x86-64-v4")) return K_ISA_AVX512;
  if (__builtin_cpu_supports("x86-64-v3")) return K_ISA_AVX2;
#endif
  return K_ISA_BASE;
}

bool k_select_isa(k_isa isa) {
  if (isa > k_best_isa()) return false;
  k_isa_of_thread = (int)isa;
  return true;
}

void k_release_isa(void) { k_isa_of_thread = K_NO_ISA; }

bool k_select_isa_for_process(k_isa isa) {
  if (isa > k_best_isa()) return false;
  k_isa_of_process = isa;
  return true;
}

bool k_has_bf16(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return k_active_isa() == K_ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

const char *k_isa_name(k_isa isa) {
  switch (isa) {
    case K_ISA_AVX512: return "avx512";
    case K_ISA_AVX2: return "avx2";
    default: return "base";
  }
}

// Before main, so that no kernel call has to check whether the choice was made.
__attribute__((constructor)) static void choose_isa(void) {
  k_isa_of_process = k_best_isa();
  const char *forced = getenv("RESTORE_ISA");
  if (forced == NULL) return;
  for (k_isa isa = K_ISA_BASE; isa <= K_ISA_AVX512; isa++) {
    if (strcmp(forced, k_isa_name(isa)) == 0) k_select_isa_for_process(isa);
  }
}
