// Bidirectional WKV, forward: chunk sums, carry, scan; safe and fast form of each.

// MARK: - Chunk sums

// The sums that a chunk alone gives the token after it, and the token in front of it.
K_INLINE void wkv_safe_sums(float *scratch, const float *k, const float *v,
                              const k_wkv_plan *plan, const wkv_panel *panel, size_t lane,
                              int vectors, size_t last) {
  float *chunk = scratch + wkv_chunks(plan, 0) + panel->chunk + lane;
  k += panel->tokens + lane;
  v += panel->tokens + lane;
  size_t stride = panel->stride;
  WKV_EACH {
    vf w = WKV_LOAD(scratch + wkv_table(plan, WKV_W) + lane, i);
    for (int behind = 0; behind < 2; behind++) {
      wkv_slope sum = wkv_flat(wkv_empty_sum());
      for (size_t j = 0; j < panel->steps; j++) {
        size_t t = behind ? panel->steps - 1 - j : j;
        vf key = WKV_LOAD(k + t * stride, i), value = WKV_LOAD(v + t * stride, i);
        sum = wkv_stepped_slope(sum, wkv_one_term(value, wkv_one(key), key), w);
      }
      float *values = chunk + behind * WKV_SAFE_STATE * plan->chunk_stride + i * VL;
      wkv_store_slope(values, plan->chunk_stride, sum, WKV_COUNT(i));
    }
  }
}

// As above, relative to the largest key of the chunk, which is stored too; or `k` holds weights. All
// numerators are 0 without `values`.
K_INLINE void wkv_fast_sums(bool weights, bool values, float *scratch, const float *k, const float *v,
                              const k_wkv_plan *plan, const wkv_panel *panel, size_t lane,
                              int vectors, size_t last) {
  float *chunk = scratch + wkv_chunks(plan, 0) + panel->chunk + lane;
  k += panel->tokens + lane;
  if (values) v += panel->tokens + lane;
  size_t stride = panel->stride, steps = panel->steps;
  vf max[WKV_VECTORS], decay[WKV_VECTORS], rest[WKV_VECTORS], power[WKV_VECTORS];
  vf n_before[WKV_VECTORS], d_before[WKV_VECTORS], n_behind[WKV_VECTORS], d_behind[WKV_VECTORS];
  WKV_EACH {
    decay[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY) + lane, i);
    rest[i] = wkv_correction(
      decay[i], WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY_REST) + lane, i));
    power[i] = v_set1(1);
    n_before[i] = d_before[i] = n_behind[i] = d_behind[i] = v_set1(0);
  }
  if (!weights) {
    vf poison[WKV_VECTORS];
    WKV_EACH {
      max[i] = WKV_LOAD(k, i);
      poison[i] = v_set1(0);
    }
    for (size_t t = 0; t < steps; t++) {
      WKV_EACH {
        vf key = WKV_LOAD(k + t * stride, i);
        max[i] = v_max(key, max[i]);
        poison[i] = poison[i] + wkv_poison(key);
      }
    }
    // NaN if any key of the chunk is not finite: so are then all weights.
    WKV_EACH max[i] = max[i] + poison[i];
    WKV_EACH WKV_STORE(chunk + WKV_FAST_MAX * plan->chunk_stride, i, max[i]);
  }
  const bool scattered = wkv_is_scattered(plan, panel);
  const size_t ahead = scattered ? WKV_FETCH_TOKENS * stride : wkv_ahead(panel, lane, vectors);
  for (size_t t = 0; t < steps; t++) {
    WKV_FETCH_FAR(k + t * stride + ahead);
    if (values) WKV_FETCH_FAR(v + t * stride + ahead);
    WKV_EACH {
      vf e = WKV_LOAD(k + t * stride, i);
      if (!weights) e = wkv_weight(e, max[i]);
      if (values) {
        vf ev = e * WKV_LOAD(v + t * stride, i);
        n_before[i] = n_before[i] * decay[i] + ev;
        n_behind[i] += power[i] * ev;
      }
      d_before[i] = d_before[i] * decay[i] + e;
      d_behind[i] += power[i] * e;
      power[i] = power[i] * decay[i];
    }
    if (t % WKV_CORRECTED == WKV_CORRECTED - 1) {
      WKV_EACH {
        n_before[i] = n_before[i] * rest[i] + n_before[i];
        d_before[i] = d_before[i] * rest[i] + d_before[i];
        power[i] = power[i] * rest[i] + power[i];
      }
    }
  }
  WKV_EACH {
    WKV_STORE(chunk, i, n_before[i]);
    WKV_STORE(chunk + plan->chunk_stride, i, d_before[i]);
    WKV_STORE(chunk + 2 * plan->chunk_stride, i, n_behind[i]);
    WKV_STORE(chunk + 3 * plan->chunk_stride, i, d_behind[i]);
  }
}

// The sums of one panel by the plan's form.
K_INLINE void wkv_panel_sums(float *scratch, const float *k, const float *v, const k_wkv_plan *plan,
                             const wkv_panel *panel) {
  if (plan->form == K_WKV_SAFE) {
    WKV_LINES(*panel, wkv_safe_sums, scratch, k, v, plan)
  } else if (plan->form == K_WKV_FAST && v != NULL) {
    WKV_LINES(*panel, wkv_fast_sums, false, true, scratch, k, v, plan)
  } else if (plan->form == K_WKV_FAST) {
    WKV_LINES(*panel, wkv_fast_sums, false, false, scratch, k, v, plan)
  } else if (v != NULL) {
    WKV_LINES(*panel, wkv_fast_sums, true, true, scratch, k, v, plan)
  } else {
    WKV_LINES(*panel, wkv_fast_sums, true, false, scratch, k, v, plan)
  }
}

K_IMPLEMENTS(wkv_sums);
void K_FN(wkv_sums)(float *scratch, const float *k, const float *v, const k_wkv_plan *plan,
                    size_t index) {
  WKV_PANELS(plan, index, panel) {
    wkv_copies copies;
    if (wkv_is_gathered(plan)) {
      K_FN(wkv_gather)(copies.k, k, &panel);
      if (v != NULL) K_FN(wkv_gather)(copies.v, v, &panel);
      panel = wkv_gathered(&panel);
      wkv_panel_sums(scratch, copies.k, v == NULL ? NULL : copies.v, plan, &panel);
    } else {
      wkv_panel_sums(scratch, k, v, plan, &panel);
    }
  }
}

// MARK: - Carry

// Number of chunks of a sequence; chunk i of it, as an offset in each value per chunk.
K_INLINE size_t wkv_chunk_count(const k_wkv_plan *plan) { return plan->segments * plan->parts; }
K_INLINE size_t wkv_chunk_at(const k_wkv_plan *plan, size_t batch, size_t i) {
  size_t segment = i / plan->parts, part = i % plan->parts;
  return ((batch * plan->parts + part) * plan->segments + segment) * plan->channels;
}
K_INLINE size_t wkv_chunk_steps(const k_wkv_plan *plan, size_t i) {
  return i % plan->parts + 1 < plan->parts ? plan->part
                                           : plan->steps - (plan->parts - 1) * plan->part;
}

K_INLINE void wkv_safe_carry(float *scratch, const k_wkv_plan *plan, size_t batch, size_t c,
                               size_t count) {
  size_t stride = plan->chunk_stride, chunks = wkv_chunk_count(plan);
  vf w = v_load_n(scratch + wkv_table(plan, WKV_W) + c, count);
  for (int behind = 0; behind < 2; behind++) {
    float *values = scratch + wkv_chunks(plan, behind * WKV_SAFE_STATE) + c;
    wkv_slope carried = wkv_flat(wkv_empty_sum());
    for (size_t j = 0; j < chunks; j++) {
      size_t i = behind ? chunks - 1 - j : j;
      float *chunk = values + wkv_chunk_at(plan, batch, i);
      wkv_slope own = wkv_load_slope(chunk, stride, count);
      wkv_store_slope(chunk, stride, carried, count);
      carried = wkv_aged_slope(carried, v_set1((float)wkv_chunk_steps(plan, i)));
      carried = wkv_merged_slope(carried, own, w, v_set1(0));
    }
  }
}

// A factor and the remainder of its rounding.
typedef struct {
  vf decay, rest;
} wkv_factor;

K_INLINE wkv_factor wkv_load_factor(const float *table, const k_wkv_plan *plan, size_t count) {
  return (wkv_factor){v_load_n(table, count), v_load_n(table + plan->table_stride, count)};
}

// Brings all chunk sums to the largest key of the sequence, and keeps that key for the scans.
K_INLINE void wkv_to_common_max(float *scratch, const k_wkv_plan *plan, size_t batch, size_t c,
                                  size_t count) {
  size_t stride = plan->chunk_stride, chunks = wkv_chunk_count(plan);
  float *values = scratch + wkv_chunks(plan, 0) + c;
  const float *own_max = values + WKV_FAST_MAX * stride;
  vf max = v_load_n(own_max + wkv_chunk_at(plan, batch, 0), count);
  for (size_t i = 1; i < chunks; i++) {
    max = v_max_nan(v_load_n(own_max + wkv_chunk_at(plan, batch, i), count), max);
  }
  for (size_t i = 0; i < chunks; i++) {
    float *chunk = values + wkv_chunk_at(plan, batch, i);
    vf factor = v_exp(v_load_n(chunk + WKV_FAST_MAX * stride, count) - max);
    for (size_t j = 0; j < WKV_FAST_MAX; j++) {
      v_store_n(chunk + j * stride, v_load_n(chunk + j * stride, count) * factor, count);
    }
  }
  for (size_t j = 0; j < plan->group; j++) {
    v_store_n(scratch + wkv_max_table(plan, batch) + j * plan->channels + c, max, count);
  }
}

K_INLINE void wkv_fast_carry(float *scratch, const k_wkv_plan *plan, size_t batch, size_t c,
                               size_t count) {
  size_t stride = plan->chunk_stride, chunks = wkv_chunk_count(plan);
  if (plan->form == K_WKV_FAST) wkv_to_common_max(scratch, plan, batch, c, count);
  wkv_factor whole = wkv_load_factor(scratch + wkv_table(plan, WKV_PART_DECAY) + c, plan, count);
  wkv_factor short_one =
      wkv_load_factor(scratch + wkv_table(plan, WKV_LAST_DECAY) + c, plan, count);
  for (int behind = 0; behind < 2; behind++) {
    float *values = scratch + wkv_chunks(plan, 2 * behind) + c;
    vf n = v_set1(0), d = v_set1(0);
    for (size_t j = 0; j < chunks; j++) {
      size_t i = behind ? chunks - 1 - j : j;
      wkv_factor factor = wkv_chunk_steps(plan, i) == plan->part ? whole : short_one;
      float *chunk = values + wkv_chunk_at(plan, batch, i);
      vf own_n = v_load_n(chunk, count), own_d = v_load_n(chunk + stride, count);
      v_store_n(chunk, n, count);
      v_store_n(chunk + stride, d, count);
      n = wkv_decayed(n, factor.decay, factor.rest, own_n);
      d = wkv_decayed(d, factor.decay, factor.rest, own_d);
    }
  }
}

// `body(batch, channel, count)` for the vectors of carry call `index`.
#define WKV_CARRY_VECTORS(plan, index, body)                                               \
  size_t blocks = (plan)->carries / (plan)->batch, batch = (index) / blocks;               \
  size_t first = (index) % blocks * WKV_CARRY_CHANNELS;                                    \
  for (size_t c = first; c < first + WKV_CARRY_CHANNELS && c < (plan)->channels; c += VL) { \
    size_t left = (plan)->channels - c;                                                    \
    if (left >= VL) body(scratch, plan, batch, c, VL);                                     \
    else body(scratch, plan, batch, c, left);                                              \
  }

K_IMPLEMENTS(wkv_carry);
void K_FN(wkv_carry)(float *scratch, const k_wkv_plan *plan, size_t index) {
  if (plan->form == K_WKV_SAFE) {
    WKV_CARRY_VECTORS(plan, index, wkv_safe_carry)
  } else {
    WKV_CARRY_VECTORS(plan, index, wkv_fast_carry)
  }
}

// MARK: - Scan

K_INLINE void wkv_safe_scan(float *y, const float *scratch, const float *k, const float *v,
                              const k_wkv_plan *plan, const wkv_panel *panel, size_t lane,
                              int vectors, size_t last) {
  const float *chunk = scratch + wkv_chunks(plan, 0) + panel->chunk + lane;
  k += panel->tokens + lane;
  v += panel->tokens + lane;
  y += panel->tokens + lane;
  size_t stride = panel->stride;
  WKV_EACH {
    wkv_sum behind[WKV_PART];
    vf w = WKV_LOAD(scratch + wkv_table(plan, WKV_W) + lane, i);
    vf u = WKV_LOAD(scratch + wkv_table(plan, WKV_U) + lane, i);
    wkv_sum sum = wkv_load_sum(chunk + WKV_SAFE_STATE * plan->chunk_stride + i * VL,
                               plan->chunk_stride, WKV_COUNT(i));
    for (size_t t = panel->steps; t-- > 0;) {
      vf key = WKV_LOAD(k + t * stride, i), value = WKV_LOAD(v + t * stride, i);
      behind[t] = sum;
      sum = wkv_stepped(sum, wkv_one_term(value, wkv_one(key), key), w);
    }
    sum = wkv_load_sum(chunk + i * VL, plan->chunk_stride, WKV_COUNT(i));
    for (size_t t = 0; t < panel->steps; t++) {
      vf key = WKV_LOAD(k + t * stride, i), value = WKV_LOAD(v + t * stride, i);
      wkv_sum own = wkv_one_term(value, wkv_one(key), key), total = wkv_merged(sum, behind[t], w);
      vf difference = wkv_difference(total.exponent, own.exponent, w) - u;
      total = wkv_scaled(wkv_scale(difference), total, own);
      WKV_STORE(y + t * stride, i, total.n / total.d);
      sum = wkv_stepped(sum, own, w);
    }
  }
}

K_INLINE void wkv_fast_scan(bool weights, bool streamed, float *y, float *e_out, const float *scratch,
                              const float *k, const float *v, const k_wkv_plan *plan,
                              const wkv_panel *panel, size_t lane, int vectors, size_t last) {
  const float *chunk = scratch + wkv_chunks(plan, 0) + panel->chunk + lane;
  k += panel->tokens + lane;
  v += panel->tokens + lane;
  y += panel->tokens + lane;
  if (e_out) e_out += panel->tokens + lane;
  size_t stride = panel->stride, steps = panel->steps;
  vf max[WKV_VECTORS], decay[WKV_VECTORS], rest[WKV_VECTORS], bonus[WKV_VECTORS];
  vf n[WKV_VECTORS], d[WKV_VECTORS];
  // Per token: numerator and denominator without what lies before it; e·v and e.
  vf kept[WKV_PART][4][WKV_LINE];
  WKV_EACH {
    decay[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY) + lane, i);
    rest[i] = wkv_correction(
      decay[i], WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY_REST) + lane, i));
    bonus[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_BONUS) + lane, i);
    if (!weights) max[i] = WKV_LOAD(scratch + wkv_max_table(plan, panel->batch) + lane, i);
    n[i] = WKV_LOAD(chunk + 2 * plan->chunk_stride, i);
    d[i] = WKV_LOAD(chunk + 3 * plan->chunk_stride, i);
  }
  const bool scattered = wkv_is_scattered(plan, panel);
  const size_t near = WKV_FETCH_TOKENS * stride, ahead = wkv_ahead(panel, lane, vectors);
  // What the next block reads is fetched here rather than in the walk below, which has less to compute.
  const size_t next = scattered ? 0 - near : ahead;
  for (size_t t = steps; t-- > 0;) {
    WKV_FETCH_FAR(k + t * stride + next);
    WKV_FETCH_FAR(v + t * stride + next);
    if (!scattered && !streamed) WKV_FETCH(y + t * stride, 1);
    if (!weights && !streamed && e_out) WKV_FETCH(e_out + t * stride - near, 1);
    WKV_EACH {
      vf e = WKV_LOAD(k + t * stride, i);
      if (!weights) {
        e = wkv_weight(e, max[i]);
        if (e_out && streamed) wkv_stream(e_out + t * stride + i * VL, e);
        else if (e_out) WKV_STORE(e_out + t * stride, i, e);
      }
      vf ev = e * WKV_LOAD(v + t * stride, i);
      kept[t][0][i] = n[i] + bonus[i] * ev;
      kept[t][1][i] = d[i] + bonus[i] * e;
      kept[t][2][i] = ev;
      kept[t][3][i] = e;
      n[i] = n[i] * decay[i] + ev;
      d[i] = d[i] * decay[i] + e;
    }
    if ((steps - t) % WKV_CORRECTED == 0) {
      WKV_EACH {
        n[i] = n[i] * rest[i] + n[i];
        d[i] = d[i] * rest[i] + d[i];
      }
    }
  }
  WKV_EACH {
    n[i] = WKV_LOAD(chunk, i);
    d[i] = WKV_LOAD(chunk + plan->chunk_stride, i);
  }
  for (size_t t = 0; t < steps; t++) {
    if (scattered && !streamed) WKV_FETCH(y + t * stride + near, 1);
    WKV_EACH {
      vf result = (n[i] + kept[t][0][i]) / (d[i] + kept[t][1][i]);
      if (streamed) wkv_stream(y + t * stride + i * VL, result);
      else WKV_STORE(y + t * stride, i, result);
      n[i] = n[i] * decay[i] + kept[t][2][i];
      d[i] = d[i] * decay[i] + kept[t][3][i];
    }
    if (t % WKV_CORRECTED == WKV_CORRECTED - 1) {
      WKV_EACH {
        n[i] = n[i] * rest[i] + n[i];
        d[i] = d[i] * rest[i] + d[i];
      }
    }
  }
}

// The scan of one panel by the plan's form.
K_INLINE void wkv_panel_scan(bool streamed, float *y, float *e, const float *scratch, const float *k,
                             const float *v, const k_wkv_plan *plan, const wkv_panel *panel) {
  if (plan->form == K_WKV_SAFE) {
    WKV_LINES(*panel, wkv_safe_scan, y, scratch, k, v, plan)
  } else if (plan->form == K_WKV_FROM_WEIGHTS && streamed) {
    WKV_LINES(*panel, wkv_fast_scan, true, true, y, NULL, scratch, k, v, plan)
  } else if (plan->form == K_WKV_FROM_WEIGHTS) {
    WKV_LINES(*panel, wkv_fast_scan, true, false, y, NULL, scratch, k, v, plan)
  } else if (streamed) {
    WKV_LINES(*panel, wkv_fast_scan, false, true, y, e, scratch, k, v, plan)
  } else {
    WKV_LINES(*panel, wkv_fast_scan, false, false, y, e, scratch, k, v, plan)
  }
}

K_IMPLEMENTS(wkv_forward_scan);
void K_FN(wkv_forward_scan)(float *y, float *e, const float *scratch, const float *k,
                            const float *v, const k_wkv_plan *plan, size_t index) {
  // The last tokens first: they are those that the chunk sums have left in the cache.
  index = plan->items - 1 - index;
  const bool streamed = wkv_is_streamed(plan, y) && (uintptr_t)e % 64 == 0;
  WKV_PANELS(plan, index, panel) {
    if (wkv_is_gathered(plan)) {
      wkv_copies copies;
      K_FN(wkv_gather)(copies.k, k, &panel);
      K_FN(wkv_gather)(copies.v, v, &panel);
      const wkv_panel copy = wkv_gathered(&panel);
      // Results take the places of what they are made from.
      const bool writes_weights = e != NULL && plan->form == K_WKV_FAST;
      wkv_panel_scan(false, copies.v, writes_weights ? copies.k : NULL, scratch, copies.k, copies.v,
                     plan, &copy);
      K_FN(wkv_scatter)(y, copies.v, &panel, streamed);
      if (writes_weights) K_FN(wkv_scatter)(e, copies.k, &panel, streamed);
    } else {
      wkv_panel_scan(streamed, y, e, scratch, k, v, plan, &panel);
    }
  }
  wkv_end_stream();
}
