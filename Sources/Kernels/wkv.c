#include "wkv.h"

#include <math.h>

#include "dispatch_internal.h"
#include "wkv_layout.h"

K_DISPATCHED(wkv_sums)
K_DISPATCHED(wkv_carry)
K_DISPATCHED(wkv_forward_scan)
K_DISPATCHED(wkv_backward_sums)
K_DISPATCHED(wkv_backward_carry)
K_DISPATCHED(wkv_backward_scan)

bool k_wkv_fast_is_safe(const float *w, const float *u, size_t tokens, size_t channels) {
  if (tokens == 1) return false;
  for (size_t c = 0; c < channels; c++) {
    // Written so that NaN fails.
    if (!(fabsf(w[c]) * (float)tokens <= 30.0f && fabsf(u[c]) <= 30.0f)) return false;
  }
  return true;
}

static size_t in_steps(size_t count, size_t step) { return (count + step - 1) / step * step; }

k_wkv_plan k_wkv_make_plan(k_wkv_form form, size_t batch, size_t segments, size_t steps,
                           size_t channels, size_t token_stride, size_t segment_stride) {
  // Token values that an item should have: some ten microseconds.
  enum { ITEM = 24576 };
  k_wkv_plan plan = {.form = form, .batch = batch, .channels = channels};
  plan.batch_stride = segments * steps * channels;
  plan.token_stride = token_stride;
  plan.segment_stride = segment_stride;
  if (segment_stride == steps * token_stride) {
    steps *= segments;  // one run: chunks need not end where rows do
    segments = 1;
  }
  plan.segments = segments;
  plan.steps = steps;
  plan.part = steps < WKV_PART ? steps : WKV_PART;
  plan.parts = (steps + plan.part - 1) / plan.part;
  plan.group = 1;
  if (segments > 1 && segment_stride == channels) {
    size_t wanted = WKV_GROUP_LANES / channels;
    plan.group = wanted < 1 ? 1 : wanted < segments ? wanted : segments;
  }
  plan.panels = batch * plan.parts * ((segments + plan.group - 1) / plan.group);
  size_t panels = ITEM / (plan.part * plan.group * channels);
  plan.panels_per_item = panels < 1 ? 1 : panels;
  plan.items = (plan.panels + plan.panels_per_item - 1) / plan.panels_per_item;
  plan.carries = batch * ((channels + WKV_CARRY_CHANNELS - 1) / WKV_CARRY_CHANNELS);

  plan.table_stride = in_steps(plan.group * channels, 16);
  plan.chunk_stride = in_steps(batch * plan.parts * segments * channels, 16);
  plan.token_floats = in_steps(batch * plan.batch_stride, 16);
  plan.forward_scratch = wkv_chunks(&plan, wkv_forward_chunk_values(&plan));
  plan.backward_scratch = (form == K_WKV_SAFE ? wkv_g_exponent(&plan) : wkv_g(&plan)) +
                          plan.token_floats;
  return plan;
}

// x as a float and the remainder of its rounding.
static void split(float *table, size_t stride, double x) {
  table[0] = (float)x;
  table[stride] = (float)(x - (double)table[0]);
}

void k_wkv_prepare(float *scratch, const float *w, const float *u, const k_wkv_plan *plan) {
  size_t last = plan->steps - (plan->parts - 1) * plan->part, stride = plan->table_stride;
  bool safe = plan->form == K_WKV_SAFE;
  for (size_t c = 0; c < plan->channels; c++) {
    float *table = scratch + c;
    table[WKV_W * stride] = w[c];
    table[WKV_U * stride] = u[c];
    if (safe) continue;
    double decay = -(double)w[c];
    table[WKV_BONUS * stride] = expf(u[c]);
    split(table + WKV_DECAY * stride, stride, exp(decay));
    split(table + WKV_PART_DECAY * stride, stride, exp(decay * (double)plan->part));
    split(table + WKV_LAST_DECAY * stride, stride, exp(decay * (double)last));
  }
  for (size_t i = 0; i < (safe ? WKV_SAFE_TABLES : WKV_TABLES); i++) {
    float *table = scratch + wkv_table(plan, i);
    for (size_t lane = plan->channels; lane < plan->group * plan->channels; lane++) {
      table[lane] = table[lane - plan->channels];
    }
  }
}

void k_wkv_sums(float *scratch, const float *k, const float *v, const k_wkv_plan *plan,
                size_t index) {
  K_CALL(wkv_sums)(scratch, k, v, plan, index);
}

void k_wkv_carry(float *scratch, const k_wkv_plan *plan, size_t index) {
  K_CALL(wkv_carry)(scratch, plan, index);
}

void k_wkv_forward_scan(float *y, float *e, const float *scratch, const float *k, const float *v,
                        const k_wkv_plan *plan, size_t index) {
  K_CALL(wkv_forward_scan)(y, e, scratch, k, v, plan, index);
}

void k_wkv_backward_sums(float *e, float *scratch, const float *k, const float *v, const float *y,
                         const float *gy, const k_wkv_plan *plan, size_t index) {
  K_CALL(wkv_backward_sums)(e, scratch, k, v, y, gy, plan, index);
}

void k_wkv_backward_carry(float *scratch, const k_wkv_plan *plan, size_t index) {
  K_CALL(wkv_backward_carry)(scratch, plan, index);
}

void k_wkv_backward_scan(float *gk, float *gv, bool adds, float *scratch, const float *k,
                         const float *v, const float *y, const k_wkv_plan *plan, size_t index) {
  K_CALL(wkv_backward_scan)(gk, gv, adds, scratch, k, v, y, plan, index);
}

void k_wkv_backward_finish(float *gw, float *gu, const float *scratch, const k_wkv_plan *plan) {
  const float *shares[2] = {scratch + wkv_share_gw(plan), scratch + wkv_share_gu(plan)};
  float *totals[2] = {gw, gu};
  size_t chunks = plan->batch * plan->parts * plan->segments, channels = plan->channels;
  for (int i = 0; i < 2; i++) {
    for (size_t first = 0; first < channels; first += 16) {
      size_t count = channels - first < 16 ? channels - first : 16;
      double sum[16] = {0};
      for (size_t chunk = 0; chunk < chunks; chunk++) {
        const float *share = shares[i] + chunk * channels + first;
        for (size_t c = 0; c < count; c++) sum[c] += (double)share[c];
      }
      for (size_t c = 0; c < count; c++) totals[i][first + c] += (float)sum[c];
    }
  }
}
