/// Run-time choice of the instruction set.
///
/// Every kernel is compiled once per level from the same source (`*_impl.h`) and called through the
/// level chosen here: the best one that the CPU offers, or a lower one forced with the environment
/// variable `RESTORE_ISA` (`base`, `avx2`, `avx512`). Levels that the CPU lacks are never chosen.
#ifndef RESTORE_KERNELS_DISPATCH_H
#define RESTORE_KERNELS_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
  K_ISA_BASE = 0,    // SSE2 on x86-64, NEON on AArch64, the compiler's default elsewhere
  K_ISA_AVX2 = 1,    // x86-64-v3: AVX2, FMA, BMI2
  K_ISA_AVX512 = 2,  // x86-64-v4: AVX-512 F, BW, CD, DQ, VL
} k_isa;

/// The level that kernels called from this thread use.
k_isa k_active_isa(void);

/// The best level of this CPU, whatever is forced.
k_isa k_best_isa(void);

/// Forces a level for the kernels called from this thread, until `k_release_isa`: for tests and
/// benchmarks that run beside other work. Returns false, changing nothing, if the CPU lacks it.
bool k_select_isa(k_isa isa);

/// Lets this thread follow the process again.
void k_release_isa(void);

/// Forces a level for all threads that have none of their own. Returns false, changing nothing, if
/// the CPU lacks it. Not to be called while kernels run.
bool k_select_isa_for_process(k_isa isa);

/// Whether kernels called from this thread use AVX-512 and the CPU multiplies pairs of bfloat16
/// (AVX512_BF16).
bool k_has_bf16(void);

/// `base`, `avx2` or `avx512`.
const char *k_isa_name(k_isa isa);

#endif
