// Bidirectional WKV, backward: chunk sums, carry, scan; safe and fast form of each.
//
// With g_t = gy_t/D_t and h_t = g_t·y_t the gradients are again sums on both sides of a token, with
// the factor of the forward: G of g and H of h. With N', D', G', H' for derivatives with respect to
// w, which multiply each term by −(|t − i| − 1):
//
//     gv_i = e^{k_i}·(G_i + e^u·g_i)      gk_i = v_i·gv_i − e^{k_i}·(H_i + e^u·h_i)
//     gu   = Σ e^{u + k_i}·(g_i·v_i − h_i)
//     gw   = Σ g_t·(N'_t − y_t·D'_t) = Σ e^{k_i}·(v_i·G'_i − H'_i)
//
// The safe form takes the first sum for gw, the fast form the second.

// MARK: - Fast form: a constant factor per step

typedef struct {
  vf g, h, dg, dh;
} wkv_terms;

K_INLINE wkv_terms wkv_no_terms(void) {
  return (wkv_terms){v_set1(0), v_set1(0), v_set1(0), v_set1(0)};
}

// One token further on, after taking the token that is passed. The derivatives do without the
// remainder of the factor: they go through at most a chunk with it.
K_INLINE wkv_terms wkv_stepped_terms(wkv_terms x, vf g, vf h, vf decay, vf rest) {
  return (wkv_terms){
      wkv_decayed(x.g, decay, rest, g),
      wkv_decayed(x.h, decay, rest, h),
      (x.dg - x.g) * decay,
      (x.dh - x.h) * decay,
  };
}

K_INLINE wkv_terms wkv_load_terms(const float *p, size_t stride, size_t count) {
  return (wkv_terms){
      v_load_n(p, count),
      v_load_n(p + stride, count),
      v_load_n(p + 2 * stride, count),
      v_load_n(p + 3 * stride, count),
  };
}
K_INLINE void wkv_store_terms(float *p, size_t stride, wkv_terms x, size_t count) {
  v_store_n(p, x.g, count);
  v_store_n(p + stride, x.h, count);
  v_store_n(p + 2 * stride, x.dg, count);
  v_store_n(p + 3 * stride, x.dh, count);
}

// MARK: - Chunk sums

K_INLINE void wkv_safe_backward_sums(float *scratch, const float *k, const float *v,
                                     const float *y, const float *gy, const k_wkv_plan *plan,
                                     const wkv_panel *panel, size_t lane, int vectors,
                                     size_t last) {
  const float *chunk = scratch + wkv_chunks(plan, 0) + panel->chunk + lane;
  float *own_sums = scratch + wkv_gradient_chunks(plan, 0) + panel->chunk + lane;
  float *g_out = scratch + wkv_g(plan) + panel->tokens + lane;
  float *exponent_out = scratch + wkv_g_exponent(plan) + panel->tokens + lane;
  k += panel->tokens + lane;
  v += panel->tokens + lane;
  y += panel->tokens + lane;
  gy += panel->tokens + lane;
  size_t stride = panel->stride, values = plan->chunk_stride;
  WKV_EACH {
    wkv_slope behind[WKV_PART];
    vf w = WKV_LOAD(scratch + wkv_table(plan, WKV_W) + lane, i);
    vf u = WKV_LOAD(scratch + wkv_table(plan, WKV_U) + lane, i), gw = v_set1(0);
    wkv_slope sum =
        wkv_load_slope(chunk + WKV_SAFE_STATE * values + i * VL, values, WKV_COUNT(i));
    for (size_t t = panel->steps; t-- > 0;) {
      vf key = WKV_LOAD(k + t * stride, i), value = WKV_LOAD(v + t * stride, i);
      behind[t] = sum;
      sum = wkv_stepped_slope(sum, wkv_one_term(value, wkv_one(key), key), w);
    }
    sum = wkv_load_slope(chunk + i * VL, values, WKV_COUNT(i));
    wkv_sum gradient = wkv_empty_sum();
    for (size_t t = 0; t < panel->steps; t++) {
      vf key = WKV_LOAD(k + t * stride, i), value = WKV_LOAD(v + t * stride, i);
      wkv_sum own = wkv_one_term(value, wkv_one(key), key);
      wkv_slope both = wkv_merged_slope(sum, behind[t], w, v_set1(0));
      wkv_slope total = wkv_merged_slope(both, wkv_flat(own), w, u);
      vf difference = wkv_difference(both.sum.exponent, own.exponent, w) - u;
      vf out = WKV_LOAD(y + t * stride, i), scaled_g = WKV_LOAD(gy + t * stride, i) / total.sum.d;
      gw += scaled_g * (total.dn - out * total.dd);
      // 1/D is scaled_g·e^−(exponent + rounding): what rounding takes off the exponent stays in g.
      vi own_rules = ~(difference > v_set1(0));
      vf decay = w * both.sum.exponent.age;
      vf exponent = v_select(own_rules, key + u, both.sum.exponent.key - decay);
      vf rounding = v_select(own_rules, (key - exponent) + u,
                             (both.sum.exponent.key - exponent) - decay);
      vf g = scaled_g - scaled_g * rounding;
      WKV_STORE(g_out + t * stride, i, g);
      WKV_STORE(exponent_out + t * stride, i, exponent);
      gradient = wkv_stepped(gradient, wkv_one_term(g, g * out, -exponent), w);
      sum = wkv_stepped_slope(sum, own, w);
    }
    WKV_STORE(scratch + wkv_share_gw(plan) + panel->chunk + lane, i, gw);
    wkv_store_sum(own_sums + i * VL, values, gradient, WKV_COUNT(i));
    gradient = wkv_empty_sum();
    for (size_t t = panel->steps; t-- > 0;) {
      vf g = WKV_LOAD(g_out + t * stride, i), h = g * WKV_LOAD(y + t * stride, i);
      vf exponent = WKV_LOAD(exponent_out + t * stride, i);
      gradient = wkv_stepped(gradient, wkv_one_term(g, h, -exponent), w);
    }
    wkv_store_sum(own_sums + WKV_SAFE_GRADIENT * values + i * VL, values, gradient, WKV_COUNT(i));
  }
}

K_INLINE void wkv_fast_backward_sums(bool weights, float *e_out, float *scratch, const float *k,
                                       const float *y, const float *gy, const k_wkv_plan *plan,
                                       const wkv_panel *panel, size_t lane, int vectors,
                                       size_t last) {
  const float *chunk = scratch + wkv_chunks(plan, 0) + panel->chunk + lane;
  float *own = scratch + wkv_gradient_chunks(plan, 0) + panel->chunk + lane;
  float *g_out = scratch + wkv_g(plan) + panel->tokens + lane;
  k += panel->tokens + lane;
  y += panel->tokens + lane;
  gy += panel->tokens + lane;
  if (e_out) e_out += panel->tokens + lane;
  size_t stride = panel->stride, steps = panel->steps, values = plan->chunk_stride;
  vf max[WKV_VECTORS], decay[WKV_VECTORS], rest[WKV_VECTORS], bonus[WKV_VECTORS];
  vf d[WKV_VECTORS], power[WKV_VECTORS];
  wkv_terms before[WKV_VECTORS], behind[WKV_VECTORS];
  // Per token: the denominator without what lies before it; e.
  vf kept[WKV_PART][2][WKV_VECTORS];
  WKV_EACH {
    decay[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY) + lane, i);
    rest[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY_REST) + lane, i);
    bonus[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_BONUS) + lane, i);
    if (!weights) max[i] = WKV_LOAD(scratch + wkv_max_table(plan, panel->batch) + lane, i);
    d[i] = WKV_LOAD(chunk + 3 * values, i);
    power[i] = v_set1(1);
    before[i] = behind[i] = wkv_no_terms();
  }
  for (size_t t = steps; t-- > 0;) {
    size_t later = (t - WKV_PREFETCH_STEPS) * stride;
    WKV_EACH {
      WKV_PREFETCH(k, later, i);
      if (e_out) WKV_PREFETCH_TO_WRITE(e_out, later, i);
      vf e = WKV_LOAD(k + t * stride, i);
      if (!weights) {
        e = wkv_weight(e, max[i]);
        if (e_out) WKV_STORE(e_out + t * stride, i, e);
      }
      kept[t][0][i] = d[i] + bonus[i] * e;
      kept[t][1][i] = e;
      d[i] = wkv_decayed(d[i], decay[i], rest[i], e);
    }
  }
  WKV_EACH d[i] = WKV_LOAD(chunk + values, i);
  for (size_t t = 0; t < steps; t++) {
    size_t later = (t + WKV_PREFETCH_STEPS) * stride;
    WKV_EACH {
      WKV_PREFETCH(gy, later, i);
      WKV_PREFETCH(y, later, i);
      WKV_PREFETCH_TO_WRITE(g_out, later, i);
      vf g = WKV_LOAD(gy + t * stride, i) / (d[i] + kept[t][0][i]);
      vf h = g * WKV_LOAD(y + t * stride, i);
      WKV_STORE(g_out + t * stride, i, g);
      d[i] = wkv_decayed(d[i], decay[i], rest[i], kept[t][1][i]);
      before[i] = wkv_stepped_terms(before[i], g, h, decay[i], rest[i]);
      vf distance = power[i] * v_set1((float)t);
      behind[i].g += power[i] * g;
      behind[i].h += power[i] * h;
      behind[i].dg -= distance * g;
      behind[i].dh -= distance * h;
      power[i] = wkv_decayed(power[i], decay[i], rest[i], v_set1(0));
    }
  }
  WKV_EACH {
    wkv_store_terms(own + i * VL, values, before[i], WKV_COUNT(i));
    wkv_store_terms(own + WKV_FAST_GRADIENT * values + i * VL, values, behind[i], WKV_COUNT(i));
  }
}

K_IMPLEMENTS(wkv_backward_sums);
void K_FN(wkv_backward_sums)(float *e, float *scratch, const float *k, const float *v,
                             const float *y, const float *gy, const k_wkv_plan *plan,
                             size_t index) {
  WKV_PANELS(plan, index, panel) {
    if (plan->form == K_WKV_SAFE) {
      WKV_BLOCKS(panel, wkv_safe_backward_sums, scratch, k, v, y, gy, plan)
    } else if (plan->form == K_WKV_FAST) {
      WKV_BLOCKS(panel, wkv_fast_backward_sums, false, e, scratch, k, y, gy, plan)
    } else {
      WKV_BLOCKS(panel, wkv_fast_backward_sums, true, NULL, scratch, k, y, gy, plan)
    }
  }
}

// MARK: - Carry

K_INLINE void wkv_safe_backward_carry(float *scratch, const k_wkv_plan *plan, size_t batch,
                                        size_t c, size_t count) {
  size_t stride = plan->chunk_stride, chunks = wkv_chunk_count(plan);
  vf w = v_load_n(scratch + wkv_table(plan, WKV_W) + c, count);
  for (int behind = 0; behind < 2; behind++) {
    float *values = scratch + wkv_gradient_chunks(plan, behind * WKV_SAFE_GRADIENT) + c;
    wkv_sum carried = wkv_empty_sum();
    for (size_t j = 0; j < chunks; j++) {
      size_t i = behind ? chunks - 1 - j : j;
      float *chunk = values + wkv_chunk_at(plan, batch, i);
      wkv_sum own = wkv_load_sum(chunk, stride, count);
      wkv_store_sum(chunk, stride, carried, count);
      carried = wkv_aged_sum(carried, v_set1((float)wkv_chunk_steps(plan, i)));
      carried = wkv_merged(carried, own, w);
    }
  }
}

K_INLINE void wkv_fast_backward_carry(float *scratch, const k_wkv_plan *plan, size_t batch,
                                        size_t c, size_t count) {
  size_t stride = plan->chunk_stride, chunks = wkv_chunk_count(plan);
  wkv_factor whole = wkv_load_factor(scratch + wkv_table(plan, WKV_PART_DECAY) + c, plan, count);
  wkv_factor short_one =
      wkv_load_factor(scratch + wkv_table(plan, WKV_LAST_DECAY) + c, plan, count);
  for (int behind = 0; behind < 2; behind++) {
    float *values = scratch + wkv_gradient_chunks(plan, behind * WKV_FAST_GRADIENT) + c;
    wkv_terms carried = wkv_no_terms();
    for (size_t j = 0; j < chunks; j++) {
      size_t i = behind ? chunks - 1 - j : j, steps = wkv_chunk_steps(plan, i);
      wkv_factor factor = steps == plan->part ? whole : short_one;
      float *chunk = values + wkv_chunk_at(plan, batch, i);
      wkv_terms own = wkv_load_terms(chunk, stride, count);
      wkv_store_terms(chunk, stride, carried, count);
      vf distance = v_set1((float)steps);
      carried = (wkv_terms){
          wkv_decayed(carried.g, factor.decay, factor.rest, own.g),
          wkv_decayed(carried.h, factor.decay, factor.rest, own.h),
          wkv_decayed(carried.dg - distance * carried.g, factor.decay, factor.rest, own.dg),
          wkv_decayed(carried.dh - distance * carried.h, factor.decay, factor.rest, own.dh),
      };
    }
  }
}

K_IMPLEMENTS(wkv_backward_carry);
void K_FN(wkv_backward_carry)(float *scratch, const k_wkv_plan *plan, size_t index) {
  if (plan->form == K_WKV_SAFE) {
    WKV_CARRY_VECTORS(plan, index, wkv_safe_backward_carry)
  } else {
    WKV_CARRY_VECTORS(plan, index, wkv_fast_backward_carry)
  }
}

// MARK: - Scan

// Writes a token's gradients: G and H with the factor e^k, `own` its own term e^{u + k}·g_i. Returns
// its share in gu.
K_INLINE vf wkv_put_gradients(float *gk, float *gv, bool adds, vf sum_g, vf sum_h, vf own,
                              vf value, vf out, size_t count) {
  vf own_share = own * (value - out), key = value * sum_g - sum_h + own_share;
  if (adds) key += v_load_n(gk, count);
  v_store_n(gv, sum_g + own, count);
  v_store_n(gk, key, count);
  return own_share;
}

K_INLINE void wkv_safe_backward_scan(float *gk, float *gv, bool adds, float *scratch,
                                     const float *k, const float *v, const float *y,
                                     const k_wkv_plan *plan, const wkv_panel *panel, size_t lane,
                                     int vectors, size_t last) {
  const float *chunk = scratch + wkv_gradient_chunks(plan, 0) + panel->chunk + lane;
  const float *g_in = scratch + wkv_g(plan) + panel->tokens + lane;
  const float *exponent_in = scratch + wkv_g_exponent(plan) + panel->tokens + lane;
  k += panel->tokens + lane;
  v += panel->tokens + lane;
  y += panel->tokens + lane;
  gk += panel->tokens + lane;
  gv += panel->tokens + lane;
  size_t stride = panel->stride, values = plan->chunk_stride;
  WKV_EACH {
    wkv_sum behind[WKV_PART];
    vf w = WKV_LOAD(scratch + wkv_table(plan, WKV_W) + lane, i);
    vf u = WKV_LOAD(scratch + wkv_table(plan, WKV_U) + lane, i), gu = v_set1(0);
    wkv_sum sum =
        wkv_load_sum(chunk + WKV_SAFE_GRADIENT * values + i * VL, values, WKV_COUNT(i));
    for (size_t t = panel->steps; t-- > 0;) {
      vf g = WKV_LOAD(g_in + t * stride, i), h = g * WKV_LOAD(y + t * stride, i);
      behind[t] = sum;
      sum = wkv_stepped(sum, wkv_one_term(g, h, -WKV_LOAD(exponent_in + t * stride, i)), w);
    }
    sum = wkv_load_sum(chunk + i * VL, values, WKV_COUNT(i));
    for (size_t t = 0; t < panel->steps; t++) {
      vf key = WKV_LOAD(k + t * stride, i);
      vf g = WKV_LOAD(g_in + t * stride, i), exponent = WKV_LOAD(exponent_in + t * stride, i);
      vf value = WKV_LOAD(v + t * stride, i), out = WKV_LOAD(y + t * stride, i);
      // None of these exponents is above 0: D of each token contains the term that it divides.
      vf from_before = v_exp((key + sum.exponent.key) - w * sum.exponent.age);
      vf from_behind = v_exp((key + behind[t].exponent.key) - w * behind[t].exponent.age);
      vf from_own = v_exp((key - exponent) + u);
      gu += wkv_put_gradients(gk + t * stride + i * VL, gv + t * stride + i * VL, adds,
                              sum.n * from_before + behind[t].n * from_behind,
                              sum.d * from_before + behind[t].d * from_behind, from_own * g,
                              value, out, WKV_COUNT(i));
      sum = wkv_stepped(sum, wkv_one_term(g, g * out, -exponent), w);
    }
    WKV_STORE(scratch + wkv_share_gu(plan) + panel->chunk + lane, i, gu);
  }
}

K_INLINE void wkv_fast_backward_scan(bool weights, bool adds, float *gk, float *gv,
                                     float *scratch, const float *k, const float *v,
                                     const float *y, const k_wkv_plan *plan,
                                     const wkv_panel *panel, size_t lane, int vectors,
                                     size_t last) {
  const float *chunk = scratch + wkv_gradient_chunks(plan, 0) + panel->chunk + lane;
  const float *g_in = scratch + wkv_g(plan) + panel->tokens + lane;
  k += panel->tokens + lane;
  v += panel->tokens + lane;
  y += panel->tokens + lane;
  gk += panel->tokens + lane;
  gv += panel->tokens + lane;
  size_t stride = panel->stride, steps = panel->steps, values = plan->chunk_stride;
  vf max[WKV_VECTORS], decay[WKV_VECTORS], rest[WKV_VECTORS], bonus[WKV_VECTORS];
  vf gw[WKV_VECTORS], gu[WKV_VECTORS];
  wkv_terms sum[WKV_VECTORS];
  // Per token: G and H of what lies behind; e, v, g, y, which in column order would come from far away
  // once more.
  vf kept[WKV_PART][6][WKV_VECTORS];
  WKV_EACH {
    decay[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY) + lane, i);
    rest[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_DECAY_REST) + lane, i);
    bonus[i] = WKV_LOAD(scratch + wkv_table(plan, WKV_BONUS) + lane, i);
    if (!weights) max[i] = WKV_LOAD(scratch + wkv_max_table(plan, panel->batch) + lane, i);
    gw[i] = gu[i] = v_set1(0);
    sum[i] = wkv_load_terms(chunk + WKV_FAST_GRADIENT * values + i * VL, values, WKV_COUNT(i));
  }
  for (size_t t = steps; t-- > 0;) {
    size_t later = (t - WKV_PREFETCH_STEPS) * stride;
    WKV_EACH {
      WKV_PREFETCH(k, later, i);
      WKV_PREFETCH(v, later, i);
      WKV_PREFETCH(g_in, later, i);
      WKV_PREFETCH(y, later, i);
      vf e = WKV_LOAD(k + t * stride, i), value = WKV_LOAD(v + t * stride, i);
      if (!weights) e = wkv_weight(e, max[i]);
      vf g = WKV_LOAD(g_in + t * stride, i), out = WKV_LOAD(y + t * stride, i);
      kept[t][0][i] = sum[i].g;
      kept[t][1][i] = sum[i].h;
      kept[t][2][i] = e;
      kept[t][3][i] = value;
      kept[t][4][i] = g;
      kept[t][5][i] = out;
      // The derivatives of what lies behind are used here and now; those of the rest below.
      gw[i] += e * (value * sum[i].dg - sum[i].dh);
      sum[i] = wkv_stepped_terms(sum[i], g, g * out, decay[i], rest[i]);
    }
  }
  WKV_EACH sum[i] = wkv_load_terms(chunk + i * VL, values, WKV_COUNT(i));
  for (size_t t = 0; t < steps; t++) {
    size_t later = (t + WKV_PREFETCH_STEPS) * stride;
    WKV_EACH {
      WKV_PREFETCH_TO_WRITE(gk, later, i);
      WKV_PREFETCH_TO_WRITE(gv, later, i);
      vf e = kept[t][2][i], value = kept[t][3][i], g = kept[t][4][i], out = kept[t][5][i];
      gu[i] += wkv_put_gradients(gk + t * stride + i * VL, gv + t * stride + i * VL, adds,
                                 e * (sum[i].g + kept[t][0][i]),
                                 e * (sum[i].h + kept[t][1][i]), e * bonus[i] * g, value, out,
                                 WKV_COUNT(i));
      gw[i] += e * (value * sum[i].dg - sum[i].dh);
      sum[i] = wkv_stepped_terms(sum[i], g, g * out, decay[i], rest[i]);
    }
  }
  WKV_EACH {
    WKV_STORE(scratch + wkv_share_gw(plan) + panel->chunk + lane, i, gw[i]);
    WKV_STORE(scratch + wkv_share_gu(plan) + panel->chunk + lane, i, gu[i]);
  }
}

K_IMPLEMENTS(wkv_backward_scan);
void K_FN(wkv_backward_scan)(float *gk, float *gv, bool adds, float *scratch, const float *k,
                             const float *v, const float *y, const k_wkv_plan *plan,
                             size_t index) {
  WKV_PANELS(plan, index, panel) {
    if (plan->form == K_WKV_SAFE) {
      WKV_BLOCKS(panel, wkv_safe_backward_scan, gk, gv, adds, scratch, k, v, y, plan)
    } else if (plan->form == K_WKV_FAST) {
      WKV_BLOCKS(panel, wkv_fast_backward_scan, false, adds, gk, gv, scratch, k, v, y, plan)
    } else if (adds) {
      WKV_BLOCKS(panel, wkv_fast_backward_scan, true, true, gk, gv, scratch, k, v, y, plan)
    } else {
      WKV_BLOCKS(panel, wkv_fast_backward_scan, true, false, gk, gv, scratch, k, v, y, plan)
    }
  }
}
