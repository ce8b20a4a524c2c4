// Bidirectional WKV, what forward and backward share: lanes, the recurrences, the walk over panels.
// The public functions are described in wkv.h, the layout of scratch in wkv_layout.h.
//
// A panel is walked in blocks of a few vectors of lanes, so that the state of a recurrence stays in
// registers over all steps. Both directions of a block follow each other; what the backward walk
// leaves for the forward walk stays on the stack.
#include "wkv_layout.h"

// Vectors of a full block of the backward. Three of 16 lanes read 48 channels in one go; the
// narrower levels have half the registers.
enum { WKV_VECTORS = K_LEVEL == 512 ? 3 : 2 };

// `body(…, lane, vectors, last)` for all blocks of a panel: `vectors`, `full` of them or one, and, except
// in the last block, `last` (lanes of the last vector) are constants.
#define WKV_BLOCKS_OF(full, panel, body, ...)              \
  for (size_t lane = 0; lane < (panel).lanes;) {           \
    size_t left = (panel).lanes - lane;                    \
    if (left >= (full) * VL) {                             \
      body(__VA_ARGS__, &(panel), lane, full, VL);         \
      lane += (full) * VL;                                 \
    } else if (left >= VL) {                               \
      body(__VA_ARGS__, &(panel), lane, 1, VL);            \
      lane += VL;                                          \
    } else {                                               \
      body(__VA_ARGS__, &(panel), lane, 1, left);          \
      lane += left;                                        \
    }                                                      \
  }
#define WKV_BLOCKS(panel, body, ...) WKV_BLOCKS_OF(WKV_VECTORS, panel, body, __VA_ARGS__)

// Vectors of a block of the forward, one cache line: what it keeps per token of a chunk then fits into
// the first-level cache, and tokens far apart, whose lines share few places in that cache, are brought
// once for all of their lanes and evict each other less.
enum { WKV_LINE = K_LEVEL == 512 ? 1 : 2 };
#define WKV_LINES(panel, body, ...) WKV_BLOCKS_OF(WKV_LINE, panel, body, __VA_ARGS__)

// The panels of an item.
#define WKV_PANELS(plan, index, panel)                                                    \
  for (size_t at = (index) * (plan)->panels_per_item, end = at + (plan)->panels_per_item; \
       at < end && at < (plan)->panels; at++)                                             \
    for (wkv_panel panel = wkv_panel_at((plan), at), *once = &panel; once; once = NULL)

#define WKV_EACH _Pragma("clang loop unroll(full)") for (int i = 0; i < vectors; i++)

// Lanes of vector i of a block.
#define WKV_COUNT(i) ((i) == vectors - 1 ? last : VL)
#define WKV_LOAD(p, i) v_load_n((p) + (i) * VL, WKV_COUNT(i))
#define WKV_STORE(p, i, x) v_store_n((p) + (i) * VL, x, WKV_COUNT(i))

// Fetches vector i of a token that is reached some steps later, into the second-level cache: in column
// order tokens lie so far apart that no hardware prefetcher follows, and on the same few sets of the
// first level. The address may lie outside the array; nothing is read then.
enum { WKV_PREFETCH_STEPS = 8 };
#define WKV_PREFETCH(p, offset, i) \
  __builtin_prefetch((const void *)((uintptr_t)(p) + ((offset) + (i) * VL) * sizeof(float)), 0, 2)
#define WKV_PREFETCH_TO_WRITE(p, offset, i) \
  __builtin_prefetch((const void *)((uintptr_t)(p) + ((offset) + (i) * VL) * sizeof(float)), 1, 2)

// Fetches the lines that hold a block's lanes of one token.
#define WKV_FETCH(p, write) WKV_EACH __builtin_prefetch((p) + i * VL, write)

// The same into the second-level cache, where they do not displace what a scan keeps.
#define WKV_FETCH_FAR(p) WKV_EACH __builtin_prefetch((p) + i * VL, 0, 2)

// Tokens between a fetch and the use where tokens lie far apart, so that few of them are in the cache at
// a time: about the latency of memory.
enum { WKV_FETCH_TOKENS = 12 };

// From a block's first token to that of the block that is walked next, in floats: the lanes beside
// it or the first lanes of the chunk that follows.
K_INLINE size_t wkv_ahead(const wkv_panel *panel, size_t lane, int vectors) {
  const size_t width = (size_t)vectors * VL;
  return lane + width < panel->lanes ? width : panel->steps * panel->stride - lane;
}

// Whether results are written past the caches: the tensors do not fit into them, and every pair of
// stores, or single one, fills a line.
K_INLINE bool wkv_is_streamed(const k_wkv_plan *plan, const float *y) {
  enum { FLOATS = 1 << 20 };
  return K_LEVEL != 0 && plan->channels % (WKV_LINE * VL) == 0 && plan->token_floats >= FLOATS &&
         (uintptr_t)y % 64 == 0;
}

K_INLINE void wkv_stream(float *p, vf x) {
#if K_LEVEL == 512
  _mm512_stream_ps(p, (__m512)x);
#elif K_LEVEL == 256
  _mm256_stream_ps(p, (__m256)x);
#else
  v_store(p, x);
#endif
}

// Before other threads may read what was streamed.
K_INLINE void wkv_end_stream(void) {
#if K_LEVEL != 0
  _mm_sfence();
#endif
}

// MARK: - Panels whose tokens lie far apart

// Whether the tokens of a chunk share so few places of the second-level cache that its keys and values
// cannot be there at once, whatever is fetched in time: in column order, where they often lie a multiple
// of a page apart. The forward then copies a panel, whose lanes are one run of memory, and walks the copy.
K_INLINE bool wkv_is_gathered(const k_wkv_plan *plan) {
  enum { LINE = 16, PLACES = 1024, WAYS = 8 };  // half a megabyte
  if (plan->group == 1 || plan->token_stride % LINE != 0) return false;
  const size_t lines = plan->token_stride / LINE;
  const size_t shared = lines & (0 - lines);  // its largest power of two: every so many places are used
  return shared >= PLACES || PLACES / shared * WAYS < 2 * plan->part;
}

// Whether they lie far apart, but are not copied.
K_INLINE bool wkv_is_scattered(const k_wkv_plan *plan, const wkv_panel *panel) {
  return plan->group > 1 && panel->stride == plan->token_stride;
}

// Floats from a token of a copy to the next: an odd number of lines, which use all places alike.
enum { WKV_GATHERED_STRIDE = (WKV_GROUP_LANES / 16 | 1) * 16 };

typedef struct {
  float k[WKV_PART * WKV_GATHERED_STRIDE], v[WKV_PART * WKV_GATHERED_STRIDE];
} __attribute__((aligned(64))) wkv_copies;

K_INLINE wkv_panel wkv_gathered(const wkv_panel *panel) {
  wkv_panel copy = *panel;
  copy.tokens = 0;
  copy.stride = WKV_GATHERED_STRIDE;
  return copy;
}

static void K_FN(wkv_gather)(float *copy, const float *tokens, const wkv_panel *panel) {
  enum { AHEAD = 3 };
  tokens += panel->tokens;
  for (size_t t = 0; t < panel->steps; t++) {
    const float *from = tokens + t * panel->stride;
    for (size_t lane = 0; lane < panel->lanes; lane += 16) {
      __builtin_prefetch(from + AHEAD * panel->stride + lane);
    }
    float *to = copy + t * WKV_GATHERED_STRIDE;
    for (size_t lane = 0; lane < panel->lanes; lane += VL) {
      v_store(to + lane, v_load_n(from + lane, panel->lanes - lane));
    }
  }
}

static void K_FN(wkv_scatter)(float *tokens, const float *copy, const wkv_panel *panel,
                              bool streamed) {
  tokens += panel->tokens;
  for (size_t t = 0; t < panel->steps; t++) {
    float *to = tokens + t * panel->stride;
    const float *from = copy + t * WKV_GATHERED_STRIDE;
    if (streamed) {
      for (size_t lane = 0; lane < panel->lanes; lane += VL) wkv_stream(to + lane, v_load(from + lane));
    } else {
      for (size_t lane = 0; lane < panel->lanes; lane += VL) {
        v_store_n(to + lane, v_load(from + lane), panel->lanes - lane);
      }
    }
  }
}

// 0, or NaN where x is not finite.
K_INLINE vf wkv_poison(vf x) { return x * v_set1(0.0f); }

// MARK: - Fast form: a constant factor per step, as the sum of two floats

K_INLINE vf wkv_decayed(vf sum, vf decay, vf rest, vf added) {
  return sum * decay + (sum * rest + added);
}

// Steps of a forward scan between corrections, for which the factor is one float: what its rounding
// leaves of older terms is put right for all of them at once, and what it leaves of the others is
// below a float's own rounding.
enum { WKV_CORRECTED = 8 };

K_INLINE vf wkv_correction(vf decay, vf rest) { return rest / decay * v_set1(WKV_CORRECTED); }

// A token's weight e from its key and the largest key, which is NaN where a key is not finite.
K_INLINE vf wkv_weight(vf key, vf max) { return v_exp(key - max); }

// MARK: - Safe form: sums scaled by the largest term's exponent

// The exponent key − w·age of the largest term of a sum. Kept in two parts because a running
// difference would round w away: keys are up to hundreds, w is about 1/T.
typedef struct {
  vf key, age;
} wkv_exponent;

// No term yet.
K_INLINE wkv_exponent wkv_no_term(void) { return (wkv_exponent){v_set1(-1e38f), v_set1(0)}; }

// Factors that bring two terms to the larger exponent of both; one of them is 1.
typedef struct {
  vi first_larger;
  vf first, second;
} wkv_scaling;

K_INLINE wkv_scaling wkv_scale(vf difference) {
  vi first_larger = difference > v_set1(0);
  vf factor = v_exp((vf)((vi)difference | (vi)v_set1(-0.0f)));  // of −|difference|
  vf one = v_set1(1);
  return (wkv_scaling){
      first_larger,
      v_select(first_larger, one, factor),
      v_select(first_larger, factor, one),
  };
}

// Of sums with exponents a and b, a minus b.
K_INLINE vf wkv_difference(wkv_exponent a, wkv_exponent b, vf w) {
  return (a.key - b.key) - w * (a.age - b.age);
}

K_INLINE wkv_exponent wkv_larger(wkv_scaling s, wkv_exponent a, wkv_exponent b) {
  return (wkv_exponent){
      v_select(s.first_larger, a.key, b.key),
      v_select(s.first_larger, a.age, b.age),
  };
}

K_INLINE wkv_exponent wkv_aged(wkv_exponent x, vf steps) {
  return (wkv_exponent){x.key, x.age + steps};
}

// Numerator and denominator; in the backward also G and H, which follow the same recurrence.
typedef struct {
  vf n, d;
  wkv_exponent exponent;
} wkv_sum;

K_INLINE wkv_sum wkv_empty_sum(void) { return (wkv_sum){v_set1(0), v_set1(0), wkv_no_term()}; }

K_INLINE wkv_sum wkv_one_term(vf n, vf d, vf key) { return (wkv_sum){n, d, {key, v_set1(0)}}; }

// A key's share in a denominator: 1, or NaN if it is not finite.
K_INLINE vf wkv_one(vf key) { return v_set1(1) + wkv_poison(key); }

K_INLINE wkv_sum wkv_aged_sum(wkv_sum x, vf steps) {
  return (wkv_sum){x.n, x.d, wkv_aged(x.exponent, steps)};
}

K_INLINE wkv_sum wkv_scaled(wkv_scaling s, wkv_sum a, wkv_sum b) {
  return (wkv_sum){
      a.n * s.first + b.n * s.second,
      a.d * s.first + b.d * s.second,
      wkv_larger(s, a.exponent, b.exponent),
  };
}

K_INLINE wkv_sum wkv_merged(wkv_sum a, wkv_sum b, vf w) {
  return wkv_scaled(wkv_scale(wkv_difference(a.exponent, b.exponent, w)), a, b);
}

// The sum one token further on, after taking the token that it passes.
K_INLINE wkv_sum wkv_stepped(wkv_sum sum, wkv_sum token, vf w) {
  return wkv_merged(wkv_aged_sum(sum, v_set1(1)), token, w);
}

// Loads and stores of a sum in the four values per chunk that begin at p.
K_INLINE wkv_sum wkv_load_sum(const float *p, size_t stride, size_t count) {
  return (wkv_sum){
      v_load_n(p, count),
      v_load_n(p + stride, count),
      {v_load_n(p + 2 * stride, count), v_load_n(p + 3 * stride, count)},
  };
}
K_INLINE void wkv_store_sum(float *p, size_t stride, wkv_sum sum, size_t count) {
  v_store_n(p, sum.n, count);
  v_store_n(p + stride, sum.d, count);
  v_store_n(p + 2 * stride, sum.exponent.key, count);
  v_store_n(p + 3 * stride, sum.exponent.age, count);
}

// A sum with its derivatives with respect to w: each term times −(its age − the exponent's age).
// What that leaves out, −age·(n, d), cancels in gw when all sums are brought to one age. Left in, it
// would drown gw in rounding: where one far term rules, gw is the little that is not that term's.
typedef struct {
  wkv_sum sum;
  vf dn, dd;
} wkv_slope;

K_INLINE wkv_slope wkv_flat(wkv_sum x) { return (wkv_slope){x, v_set1(0), v_set1(0)}; }

K_INLINE wkv_slope wkv_merged_slope(wkv_slope a, wkv_slope b, vf w, vf bonus) {
  wkv_scaling s = wkv_scale(wkv_difference(a.sum.exponent, b.sum.exponent, w) - bonus);
  wkv_sum sum = wkv_scaled(s, a.sum, b.sum);
  vf older = a.sum.exponent.age - sum.exponent.age, other = b.sum.exponent.age - sum.exponent.age;
  return (wkv_slope){
      sum,
      (a.dn - older * a.sum.n) * s.first + (b.dn - other * b.sum.n) * s.second,
      (a.dd - older * a.sum.d) * s.first + (b.dd - other * b.sum.d) * s.second,
  };
}

K_INLINE wkv_slope wkv_aged_slope(wkv_slope x, vf steps) {
  return (wkv_slope){wkv_aged_sum(x.sum, steps), x.dn, x.dd};
}

K_INLINE wkv_slope wkv_stepped_slope(wkv_slope x, wkv_sum token, vf w) {
  return wkv_merged_slope(wkv_aged_slope(x, v_set1(1)), wkv_flat(token), w, v_set1(0));
}

K_INLINE wkv_slope wkv_load_slope(const float *p, size_t stride, size_t count) {
  return (wkv_slope){
      wkv_load_sum(p, stride, count),
      v_load_n(p + 4 * stride, count),
      v_load_n(p + 5 * stride, count),
  };
}
K_INLINE void wkv_store_slope(float *p, size_t stride, wkv_slope x, size_t count) {
  wkv_store_sum(p, stride, x.sum, count);
  v_store_n(p + 4 * stride, x.dn, count);
  v_store_n(p + 5 * stride, x.dd, count);
}

#include "wkv_forward_impl.h"
#include "wkv_backward_impl.h"
