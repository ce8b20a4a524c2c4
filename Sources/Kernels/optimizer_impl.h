#include "include/optimizer.h"

K_IMPLEMENTS(adam_step);

void K_FN(adam_step)(float *weights, float *m, float *v, const float *gradient, const k_adam *step,
                     size_t n) {
  const vf beta1 = v_set1(step->beta1), rest1 = v_set1(1.0f - step->beta1);
  const vf beta2 = v_set1(step->beta2), rest2 = v_set1(1.0f - step->beta2);
  const vf rate = v_set1(step->learning_rate / step->bias_correction1);
  const vf root_correction = v_set1(1.0f / sqrtf(step->bias_correction2));
  const vf epsilon = v_set1(step->epsilon), scale = v_set1(step->gradient_scale);
  const vf keep =
    v_set1(step->decoupled ? 1.0f - step->learning_rate * step->weight_decay : 1.0f);
  const vf decay = v_set1(step->decoupled ? 0.0f : step->weight_decay);
  for (size_t i = 0; i < n; i += VL) {
    const size_t left = n - i;
    vf w = v_load_n(weights + i, left);
    const vf g = scale * v_load_n(gradient + i, left) + decay * w;
    const vf first = beta1 * v_load_n(m + i, left) + rest1 * g;
    const vf second = beta2 * v_load_n(v + i, left) + rest2 * (g * g);
    w = keep * w - rate * first / (v_sqrt(second) * root_correction + epsilon);
    v_store_n(weights + i, w, left);
    v_store_n(m + i, first, left);
    v_store_n(v + i, second, left);
  }
}
