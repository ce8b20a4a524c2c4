/// Optimiser steps on a range of weights.
#ifndef RESTORE_KERNELS_OPTIMIZER_H
#define RESTORE_KERNELS_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>

/// The numbers of one Adam step.
typedef struct {
  float learning_rate;
  float beta1, beta2;
  float epsilon;
  float weight_decay;
  bool decoupled;         // AdamW: the decay shrinks the weights, not the gradient
  float bias_correction1;  // 1 − beta1^t
  float bias_correction2;  // 1 − beta2^t
  float gradient_scale;   // the gradient is multiplied by this first (clipping, averaging)
} k_adam;

/// One Adam or AdamW step on `weights, m, v, gradient: [n]`; weights and both moments are updated
/// in place, the gradient is read only:
/// `m = β₁m + (1−β₁)g`, `v = β₂v + (1−β₂)g²`,
/// `w −= lr · (m / bc₁) / (√(v / bc₂) + ε)`.
///
/// Source: Kingma and Ba, ICLR 2015; Loshchilov and Hutter, ICLR 2019.
void k_adam_step(float *weights, float *m, float *v, const float *gradient, const k_adam *step,
                 size_t n);

#endif
