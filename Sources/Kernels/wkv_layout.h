// Where the pieces of a plan's scratch lie, and which tokens a panel holds.
#ifndef RESTORE_KERNELS_WKV_LAYOUT_H
#define RESTORE_KERNELS_WKV_LAYOUT_H

#include "wkv.h"

// Tokens of a chunk: what a scan keeps per token must stay in the first or second cache level (and
// on the stack). Channels of one carry call. Lanes of a panel of several segments, whose keys and values
// the forward copies to the second level.
enum { WKV_PART = 64, WKV_CARRY_CHANNELS = 16, WKV_GROUP_LANES = 192 };

// Tables of one value per channel, repeated for each segment of a group so that a panel's lanes read
// them like tokens. The factors exist as the sum of two floats: rounding exp(−w) to one would scale
// what a token of 65 536 sees at the far end by up to 0.4 %. The largest keys follow, one table per
// batch item.
enum {
  WKV_W,
  WKV_U,
  WKV_SAFE_TABLES,
  WKV_DECAY = WKV_SAFE_TABLES,      // exp(−w), its remainder next
  WKV_DECAY_REST,
  WKV_BONUS,      // exp(u)
  WKV_PART_DECAY,  // over a whole chunk: exp(−w·part), remainder
  WKV_PART_DECAY_REST,
  WKV_LAST_DECAY,  // over the last chunk of a segment, remainder
  WKV_LAST_DECAY_REST,
  WKV_TABLES,
};

// Values kept per chunk and channel, [batch, part, segment, channels] each.
enum {
  // Numerator, denominator, exponent as key and age, both sums' derivatives; before, then behind.
  WKV_SAFE_STATE = 6,
  // Numerator and denominator before, behind; largest key.
  WKV_FAST_FORWARD = 5,
  WKV_FAST_MAX = 4,
  // G, H, exponent as key and age; before, then behind.
  WKV_SAFE_GRADIENT = 4,
  // G, H, dG/dw, dH/dw; before, then behind.
  WKV_FAST_GRADIENT = 4,
};

static inline size_t wkv_forward_chunk_values(const k_wkv_plan *plan) {
  return plan->form == K_WKV_SAFE ? 2 * WKV_SAFE_STATE : WKV_FAST_FORWARD;
}

static inline size_t wkv_gradient_chunk_values(const k_wkv_plan *plan) {
  return 2 * (size_t)(plan->form == K_WKV_SAFE ? WKV_SAFE_GRADIENT : WKV_FAST_GRADIENT);
}

static inline size_t wkv_table(const k_wkv_plan *plan, size_t i) { return i * plan->table_stride; }
static inline size_t wkv_max_table(const k_wkv_plan *plan, size_t batch) {
  return wkv_table(plan, WKV_TABLES + batch);
}

// The forward's value i of all chunks.
static inline size_t wkv_chunks(const k_wkv_plan *plan, size_t i) {
  return wkv_max_table(plan, plan->batch) + i * plan->chunk_stride;
}

// The gradient's value i of all chunks.
static inline size_t wkv_gradient_chunks(const k_wkv_plan *plan, size_t i) {
  return plan->forward_scratch + i * plan->chunk_stride;
}

// The shares of all chunks in gw and gu.
static inline size_t wkv_share_gw(const k_wkv_plan *plan) {
  return wkv_gradient_chunks(plan, wkv_gradient_chunk_values(plan));
}
static inline size_t wkv_share_gu(const k_wkv_plan *plan) {
  return wkv_share_gw(plan) + plan->chunk_stride;
}

// g = gy/D of all tokens, and in the safe form the exponent that is left out of it.
static inline size_t wkv_g(const k_wkv_plan *plan) {
  return wkv_share_gu(plan) + plan->chunk_stride;
}
static inline size_t wkv_g_exponent(const k_wkv_plan *plan) {
  return wkv_g(plan) + plan->token_floats;
}

typedef struct {
  size_t batch;   // its batch item
  size_t tokens;  // offset of its first token in k, v, y, …
  size_t chunk;   // offset in each value per chunk
  size_t lanes;   // neighbouring segments × channels
  size_t steps;   // tokens of each of its chunks
  size_t stride;  // floats from one token to the next
} wkv_panel;

static inline wkv_panel wkv_panel_at(const k_wkv_plan *plan, size_t index) {
  size_t groups = (plan->segments + plan->group - 1) / plan->group;
  size_t segment = index % groups * plan->group;
  size_t part = index / groups % plan->parts;
  size_t batch = index / groups / plan->parts;
  size_t left = plan->segments - segment, first = part * plan->part;
  size_t rest = plan->steps - first;
  return (wkv_panel){
      .batch = batch,
      .tokens = batch * plan->batch_stride + segment * plan->segment_stride +
                first * plan->token_stride,
      .chunk = ((batch * plan->parts + part) * plan->segments + segment) * plan->channels,
      .lanes = (left < plan->group ? left : plan->group) * plan->channels,
      .steps = rest < plan->part ? rest : plan->part,
      .stride = plan->token_stride,
  };
}

#endif
