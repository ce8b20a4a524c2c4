// Bi-WKV for PyTorch on the CPU: forward and exact backward, O(T C), float32.
//
// Per batch b and channel c, with w = decay / T and u = first / T:
//
//   N_t = sum_{i != t} exp(k_i - w (|t-i| - 1)) v_i + exp(u + k_t) v_t
//   D_t = the same without v;   y_t = N_t / D_t
//
// Sums are kept as (a, d, o) = (a e^o, d e^o) with a running maximum o, one sum for the tokens on
// each side of t; forward uses a linear recurrence without maxima where that is safe. Work is split
// over batch x blocks of channels; a block's channels are the lanes of the vector loops.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace narrow {
constexpr int kLanes = 8;
#include "wkv_lanes.h"
}  // namespace narrow

namespace wide {
constexpr int kLanes = 16;
#include "wkv_lanes.h"
}  // namespace wide

// Sixteen channels at once, unless narrower vectors share the work out better over the threads (48
// channels on two threads are two blocks of 24, not 32 + 16).
bool uses_wide(int64_t batches, int64_t channels, int most) {
#ifdef __AVX512F__
  return wide::block_vectors(batches, channels, most).second <=
      narrow::block_vectors(batches, channels, most).second;
#else
  return false;
#endif
}

at::Tensor forward(
    const at::Tensor& w, const at::Tensor& u, const at::Tensor& k_in, const at::Tensor& v_in) {
  const at::Tensor k = k_in.contiguous(), v = v_in.contiguous();
  at::Tensor y = at::empty_like(k);
  const auto kernel = uses_wide(k.size(0), k.size(2), 4) ? wide::forward : narrow::forward;
  kernel(
      y.data_ptr<float>(), w.data_ptr<float>(), u.data_ptr<float>(), k.data_ptr<float>(),
      v.data_ptr<float>(), k.size(0), k.size(1), k.size(2));
  return y;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> backward(
    const at::Tensor& gy_in, const at::Tensor& w, const at::Tensor& u, const at::Tensor& k_in,
    const at::Tensor& v_in) {
  const at::Tensor gy = gy_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
  const int64_t batches = k.size(0), channels = k.size(2);
  at::Tensor gk = at::empty_like(k), gv = at::empty_like(v);
  at::Tensor gw = at::empty({batches, channels}, w.options()), gu = at::empty_like(gw);
  const auto kernel = uses_wide(batches, channels, 1) ? wide::backward : narrow::backward;
  kernel(
      gk.data_ptr<float>(), gv.data_ptr<float>(), gw.data_ptr<float>(), gu.data_ptr<float>(),
      gy.data_ptr<float>(), w.data_ptr<float>(), u.data_ptr<float>(), k.data_ptr<float>(),
      v.data_ptr<float>(), batches, k.size(1), channels);
  return {gw.sum(0), gu.sum(0), gk, gv};
}

}  // namespace

TORCH_LIBRARY(restore_peer, m) {
  m.def("wkv(Tensor w, Tensor u, Tensor k, Tensor v) -> Tensor");
  m.def(
      "wkv_backward(Tensor gy, Tensor w, Tensor u, Tensor k, Tensor v)"
      " -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(restore_peer, CPU, m) {
  m.impl("wkv", &forward);
  m.impl("wkv_backward", &backward);
}
