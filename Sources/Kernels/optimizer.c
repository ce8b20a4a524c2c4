#include "include/optimizer.h"

#include "dispatch_internal.h"

K_DISPATCHED(adam_step)

void k_adam_step(float *weights, float *m, float *v, const float *gradient, const k_adam *step,
                 size_t n) {
  K_CALL(adam_step)(weights, m, v, gradient, step, n);
}
