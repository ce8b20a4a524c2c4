/// Bidirectional WKV over tokens, and its gradients.
///
/// Per batch item and channel, with decay w and bonus u (both already divided by the number of
/// tokens T), keys k and values v:
///
///     N_t = Σ_{i≠t} exp(k_i − w·(|t − i| − 1))·v_i + exp(u + k_t)·v_t
///     D_t = the same without v;   y_t = N_t / D_t
///
/// Source: Yang et al., *Restore-RWKV*, IEEE JBHI 30(1), 2026; token distance |t − i| − 1 throughout,
/// exact gradients of that forward. With one token y = v, and only v has a gradient.
///
/// **Token order.** The sequence is `segments` runs of `steps` tokens. Token (s, l) of batch item b
/// lies at `b·T·C + s·segment_stride + l·token_stride` floats, its C channels side by side. A
/// channels-last image [H, W, C] is read row by row with segments H, steps W, strides W·C and C, and
/// column by column with segments W, steps H, strides C and W·C: nothing is transposed. All of k, v,
/// y, e and their gradients have this one layout.
///
/// **Forms.** `K_WKV_SAFE` holds every sum next to a running maximum and takes any w, u, k.
/// `K_WKV_FAST` scans weights e = exp(k − M), M the largest key of the batch item and channel, with a
/// constant factor exp(−w); allowed only where `k_wkv_fast_is_safe` says so. `K_WKV_FROM_WEIGHTS` is
/// the fast form for a caller that holds e already: k and M do not depend on the token order, so the
/// weights that one order wrote serve the next. Wherever a function says k, this form takes e.
/// A key that is NaN or infinite makes its whole channel of the batch item NaN, in every form.
///
/// **Passes.** Tokens are cut into chunks by shape alone, so results do not depend on the number of
/// threads. Calls of one pass are independent and may run in any order on any thread; passes follow
/// each other. All work on one `scratch` (64-byte aligned, no initial content expected).
///
///     forward                                calls           reads → writes
///       k_wkv_prepare                        1               w, u
///       k_wkv_sums                           plan.items      k, v
///       k_wkv_carry                          plan.carries
///       k_wkv_forward_scan                   plan.items      k, v → y (and e)
///     backward
///       the first three as above, in the fast forms without v; not needed again while the scratch of
///       the forward is kept
///       k_wkv_backward_sums                  plan.items      k, v, y, gy (→ e)
///       k_wkv_backward_carry                 plan.carries
///       k_wkv_backward_scan                  plan.items      k, v, y → gk, gv
///       k_wkv_backward_finish                1               → gw, gu
#ifndef RESTORE_KERNELS_WKV_H
#define RESTORE_KERNELS_WKV_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
  K_WKV_SAFE = 0,
  K_WKV_FAST = 1,
  K_WKV_FROM_WEIGHTS = 2,
} k_wkv_form;

/// Shape, chunks and scratch of one call; filled by `k_wkv_make_plan`, read-only afterwards.
typedef struct {
  k_wkv_form form;
  size_t batch, segments, steps, channels;
  size_t token_stride, segment_stride, batch_stride;  // floats
  // A chunk is up to `part` successive tokens of one segment; a segment has `parts` of them. A panel
  // is the same part of `group` neighbouring segments whose tokens touch in memory.
  size_t part, parts, group;
  size_t panels, panels_per_item;
  size_t table_stride, chunk_stride, token_floats;  // sizes of the pieces of scratch, floats
  size_t items;                                     // calls of k_wkv_sums and of each scan
  size_t carries;                                   // calls of each carry pass
  size_t forward_scratch, backward_scratch;  // floats; the backward's begins with the forward's
} k_wkv_plan;

/// Whether the fast form keeps full accuracy for these parameters (w, u: [channels], divided by T).
///
/// Not where max|w|·tokens > 30 or max|u| > 30 or a value is not finite: the factor between the
/// largest weight and what is left of it elsewhere could then leave float32. The keys do not matter:
/// what lies more than 87 below M in k is lost, but next to the token that has M, seen from wherever,
/// it counts less than e⁻²⁷. One token is left to the safe form, which then returns v itself.
bool k_wkv_fast_is_safe(const float *w, const float *u, size_t tokens, size_t channels);

/// The plan for `batch` sequences of `segments` × `steps` tokens, all sizes ≥ 1, strides in floats.
k_wkv_plan k_wkv_make_plan(k_wkv_form form, size_t batch, size_t segments, size_t steps,
                           size_t channels, size_t token_stride, size_t segment_stride);

/// Derives the factors of each channel from w and u, [channels] each. One call.
void k_wkv_prepare(float *scratch, const float *w, const float *u, const k_wkv_plan *plan);

/// Sums each chunk of an item. `index` < plan.items.
///
/// `v` may be NULL in the fast forms: denominators alone, which is all that the backward needs.
void k_wkv_sums(float *scratch, const float *k, const float *v, const k_wkv_plan *plan,
                size_t index);

/// Turns chunk sums into what each chunk sees before and behind it. `index` < plan.carries.
void k_wkv_carry(float *scratch, const k_wkv_plan *plan, size_t index);

/// Writes y. `index` < plan.items.
///
/// `y` may be `v`. `e` is NULL or, in the form `K_WKV_FAST`, receives the weights; it may be `k`.
void k_wkv_forward_scan(float *y, float *e, const float *scratch, const float *k, const float *v,
                        const k_wkv_plan *plan, size_t index);

/// Divides the upstream gradient gy by D and sums each chunk of an item. `index` < plan.items.
///
/// `y` is the output of the forward, from either form. `e` is NULL or, in the form `K_WKV_FAST`,
/// receives the weights: the scan, and all passes in other token orders, can then take the form
/// `K_WKV_FROM_WEIGHTS`, whose plans are otherwise the same.
void k_wkv_backward_sums(float *e, float *scratch, const float *k, const float *v, const float *y,
                         const float *gy, const k_wkv_plan *plan, size_t index);

/// As `k_wkv_carry`, for the sums of the gradient. `index` < plan.carries.
void k_wkv_backward_carry(float *scratch, const k_wkv_plan *plan, size_t index);

/// Writes gv, and writes gk or adds to it if `adds`; they alias nothing. `index` < plan.items.
void k_wkv_backward_scan(float *gk, float *gv, bool adds, float *scratch, const float *k,
                         const float *v, const float *y, const k_wkv_plan *plan, size_t index);

/// Adds to gw and gu, [channels] each, the shares of all chunks in their order. One call.
void k_wkv_backward_finish(float *gw, float *gu, const float *scratch, const k_wkv_plan *plan);

#endif
