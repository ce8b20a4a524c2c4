// The loops of wkv.cpp for vectors of kLanes channels; included once for each width, in a namespace
// that defines kLanes.

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int Ints __attribute__((vector_size(4 * kLanes)));

inline Floats max(Floats x, Floats y) { return x > y ? x : y; }
inline Floats min(Floats x, Floats y) { return x < y ? x : y; }

// e^x for x <= 0, relative error below 2e-7; arguments below -87 give e^-87.
inline Floats exp_negative(Floats x) {
  x = max(x, Floats{} - 87.0f);
  const float rounding = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  const Floats n = (x * 1.44269504f + rounding) - rounding;
  const Floats r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  Floats p = r * (1.0f / 720) + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Ints bits = (__builtin_convertvector(n, Ints) + 127) << 23;
  return p * reinterpret_cast<const Floats&>(bits);
}

// e^x for |x| <= 87.
inline Floats exp_any(Floats x) {
  const Floats e = exp_negative(x > 0 ? -x : x), one = Floats{} + 1.0f;
  return x > 0 ? one / e : e;
}

// One of the two factors of a running maximum is always 1: `keep` for what is there and `add` for
// what comes in, `gap` being the difference of their exponents.
struct Factors {
  Floats keep, add;
  explicit Factors(Floats gap) {
    const Floats e = exp_negative(gap > 0 ? -gap : gap), one = Floats{} + 1.0f;
    keep = gap > 0 ? one : e;
    add = gap > 0 ? e : one;
  }
};

// The tokens on one side.
struct Side {
  Floats a = {}, d = {}, o = Floats{} - 1e38f;

  // Moves one token away and takes (k, v) in.
  void step(Floats k, Floats v, Floats w) {
    const Floats older = o - w;
    const Factors f(older - k);
    a = f.keep * a + f.add * v;
    d = f.keep * d + f.add;
    o = max(older, k);
  }
};

// The same with the derivatives of a and d for w.
struct SideWithSlope : Side {
  Floats da = {}, dd = {};

  void step(Floats k, Floats v, Floats w) {
    const Floats keep = exp_negative(min(o - w - k, Floats{}));
    da = keep * (da - a);
    dd = keep * (dd - d);
    Side::step(k, v, w);
  }
};

// N x kLanes channels of one batch element; lanes past the last channel read zeros and are not
// written back.
template <int N>
struct Block {
  Floats w[N], u[N];
  int64_t stride;  // channels of the tensor
  int64_t count;   // channels of this block

  Block(const float* w_all, const float* u_all, int64_t channels, int64_t first)
      : stride(channels), count(std::min<int64_t>(N * kLanes, channels - first)) {
    for (int n = 0; n < N; ++n) w[n] = load_at(w_all + first, n), u[n] = load_at(u_all + first, n);
  }

  Floats load(const float* x, int64_t token, int n) const { return load_at(x + token * stride, n); }

  void store(float* x, int64_t token, int n, Floats value) const {
    const size_t lanes = valid(n);
    if (lanes == kLanes) {
      std::memcpy(x + token * stride + n * kLanes, &value, sizeof value);
    } else if (lanes > 0) {
      std::memcpy(x + token * stride + n * kLanes, &value, lanes * sizeof(float));
    }
  }

 private:
  size_t valid(int n) const {
    return static_cast<size_t>(std::clamp<int64_t>(count - n * kLanes, 0, kLanes));
  }

  Floats load_at(const float* x, int n) const {
    Floats value = {};
    const size_t lanes = valid(n);
    if (lanes == kLanes) {
      std::memcpy(&value, x + n * kLanes, sizeof value);
    } else if (lanes > 0) {
      std::memcpy(&value, x + n * kLanes, lanes * sizeof(float));
    }
    return value;
  }
};

// Chunks are small enough for the cache: the future sums of a chunk are recomputed from the one
// kept at its end instead of being written to memory for all tokens.
constexpr int64_t kChunk = 128;

template <int N>
void forward_block(
    const Block<N>& block, float* y, const float* k, const float* v, int64_t tokens) {
  using Sides = std::array<Side, N>;
  const int64_t chunks = (tokens + kChunk - 1) / kChunk;
  std::vector<Sides> ends(static_cast<size_t>(chunks)), inside(static_cast<size_t>(kChunk));
  const auto take = [&](Sides& sides, int64_t t) {
    for (int n = 0; n < N; ++n) {
      sides[n].step(block.load(k, t, n), block.load(v, t, n), block.w[n]);
    }
  };

  Sides future;
  for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
    ends[chunk] = future;
    if (chunk == 0) break;
    for (int64_t t = std::min(tokens, (chunk + 1) * kChunk) - 1; t >= chunk * kChunk; --t) {
      take(future, t);
    }
  }

  Sides past;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t begin = chunk * kChunk, end = std::min(tokens, begin + kChunk);
    future = ends[chunk];
    for (int64_t t = end - 1; t >= begin; --t) {
      inside[t - begin] = future;
      take(future, t);
    }
    for (int64_t t = begin; t < end; ++t) {
      for (int n = 0; n < N; ++n) {
        const Floats kt = block.load(k, t, n), vt = block.load(v, t, n), self = block.u[n] + kt;
        const Side &before = past[n], &after = inside[t - begin][n];
        const Floats top = max(max(before.o, after.o), self);
        const Floats p = exp_negative(before.o - top), f = exp_negative(after.o - top);
        const Floats s = exp_negative(self - top);
        block.store(
            y, t, n, (p * before.a + f * after.a + s * vt) / (p * before.d + f * after.d + s));
        past[n].step(kt, vt, block.w[n]);
      }
    }
  }
}

// The same sums where no running maximum is needed: with M the largest key of a channel, weights
// e = exp(k - M) and a constant factor exp(-w) from token to token, both sums are linear recurrences.
template <int N>
void forward_block_linear(
    const Block<N>& block, float* y, const float* k, const float* v, int64_t tokens) {
  struct Sum {
    Floats a = {}, d = {};
  };
  using Sums = std::array<Sum, N>;
  Floats top[N], factor[N], self[N];
  for (int n = 0; n < N; ++n) {
    top[n] = block.load(k, 0, n);
    factor[n] = exp_any(-block.w[n]);
    self[n] = exp_any(block.u[n]);
  }
  for (int64_t t = 1; t < tokens; ++t) {
    for (int n = 0; n < N; ++n) top[n] = max(top[n], block.load(k, t, n));
  }
  const auto take = [&](Sum& sum, int n, Floats e, Floats v) {
    sum.a = factor[n] * sum.a + e * v;
    sum.d = factor[n] * sum.d + e;
  };

  const int64_t chunks = (tokens + kChunk - 1) / kChunk;
  std::vector<Sums> ends(static_cast<size_t>(chunks)), inside(static_cast<size_t>(kChunk));
  std::vector<std::array<Floats, N>> weights(static_cast<size_t>(kChunk));
  Sums future;
  for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
    ends[chunk] = future;
    if (chunk == 0) break;
    for (int64_t t = std::min(tokens, (chunk + 1) * kChunk) - 1; t >= chunk * kChunk; --t) {
      for (int n = 0; n < N; ++n) {
        take(future[n], n, exp_negative(block.load(k, t, n) - top[n]), block.load(v, t, n));
      }
    }
  }

  Sums past;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t begin = chunk * kChunk, end = std::min(tokens, begin + kChunk);
    future = ends[chunk];
    for (int64_t t = end - 1; t >= begin; --t) {
      inside[t - begin] = future;
      for (int n = 0; n < N; ++n) {
        const Floats e = exp_negative(block.load(k, t, n) - top[n]);
        weights[t - begin][n] = e;
        take(future[n], n, e, block.load(v, t, n));
      }
    }
    for (int64_t t = begin; t < end; ++t) {
      for (int n = 0; n < N; ++n) {
        const Floats e = weights[t - begin][n], vt = block.load(v, t, n), own = self[n] * e;
        const Sum &before = past[n], &after = inside[t - begin][n];
        block.store(y, t, n, (before.a + after.a + own * vt) / (before.d + after.d + own));
        take(past[n], n, e, vt);
      }
    }
  }
}

// Whether the linear form keeps full accuracy: exp(-w) over all tokens must stay in range.
bool is_linear_safe(const float* w, const float* u, int64_t channels, int64_t tokens) {
  for (int64_t c = 0; c < channels; ++c) {
    if (!(std::abs(w[c]) * static_cast<float>(tokens) <= 30 && std::abs(u[c]) <= 30)) return false;
  }
  return true;
}

// Gradients: with g_t = gy_t / D_t, gv_i and gk_i are the same kind of two-sided sum over g_t and
// g_t y_t, scaled by e^{-M_t}, where M_t is the exponent that D_t was scaled with. One vector of
// channels at a time.
void backward_lanes(
    const Block<1>& block, float* gk, float* gv, float* gw, float* gu, const float* gy,
    const float* k, const float* v, int64_t tokens) {
  struct Token {
    Floats g, h, m;
  };
  const Floats w = block.w[0], u = block.u[0];
  std::vector<SideWithSlope> future(static_cast<size_t>(tokens));
  std::vector<Token> seen(static_cast<size_t>(tokens));

  for (int64_t t = tokens - 1; t > 0; --t) {
    future[t - 1] = future[t];
    future[t - 1].step(block.load(k, t, 0), block.load(v, t, 0), w);
  }

  // In these sums a is the sum of g, d that of g y.
  const auto take = [&](Side& side, const Token& token) {
    const Floats older = side.o - w;
    const Factors f(older + token.m);
    side.a = f.keep * side.a + f.add * token.g;
    side.d = f.keep * side.d + f.add * token.h;
    side.o = max(older, -token.m);
  };

  // Ascending: y and its derivatives, then what the tokens before i add to the gradients at i.
  SideWithSlope past;
  Side before;
  Floats gw_sum = {}, gu_sum = {};
  for (int64_t t = 0; t < tokens; ++t) {
    const Floats kt = block.load(k, t, 0), vt = block.load(v, t, 0), self = u + kt;
    const SideWithSlope& after = future[t];
    const Floats top = max(max(past.o, after.o), self);
    const Floats p = exp_negative(past.o - top), f = exp_negative(after.o - top);
    const Floats s = exp_negative(self - top);
    const Floats denominator = p * past.d + f * after.d + s;
    const Floats y = (p * past.a + f * after.a + s * vt) / denominator;
    const Floats g = block.load(gy, t, 0) / denominator, own = g * s * (vt - y);
    gu_sum += own;
    gw_sum += g * (p * (past.da - y * past.dd) + f * (after.da - y * after.dd));
    const Floats b = exp_negative(min(kt + before.o, Floats{}));
    block.store(gv, t, 0, g * s + b * before.a);
    block.store(gk, t, 0, own + b * (before.a * vt - before.d));
    seen[t] = {g, g * y, top};
    take(before, seen[t]);
    past.step(kt, vt, w);
  }

  // Descending: what the tokens after i add.
  Side later;
  for (int64_t t = tokens - 1; t >= 0; --t) {
    const Floats kt = block.load(k, t, 0), vt = block.load(v, t, 0);
    const Floats b = exp_negative(min(kt + later.o, Floats{}));
    block.store(gv, t, 0, block.load(gv, t, 0) + b * later.a);
    block.store(gk, t, 0, block.load(gk, t, 0) + b * (later.a * vt - later.d));
    take(later, seen[t]);
  }
  block.store(gw, 0, 0, gw_sum);
  block.store(gu, 0, 0, gu_sum);
}

// Calls `body.operator()<N>(batch, first channel)` for every block, in parallel.
template <int N, typename Body>
void for_each_block(int64_t batches, int64_t channels, const Body& body) {
  const int64_t width = N * kLanes, blocks = (channels + width - 1) / width;
  at::parallel_for(0, batches * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; ++job) body(job / blocks, job % blocks * width);
  });
}

// The number of vectors in a block that keeps all threads busy: 48 channels on two threads are
// two blocks of 24, not 32 + 16.
// Also what it costs: the channels that the busiest thread does.
std::pair<int, int64_t> block_vectors(int64_t batches, int64_t channels, int most) {
  const int64_t threads = at::get_num_threads();
  std::pair<int, int64_t> best = {1, INT64_MAX};
  for (int n = 1; n <= most; ++n) {
    const int64_t width = n * kLanes, jobs = batches * ((channels + width - 1) / width);
    const int64_t cost = (jobs + threads - 1) / threads * width;
    if (cost <= best.second) best = {n, cost};
  }
  return best;
}

void forward(
    float* yp, const float* wp, const float* up, const float* kp, const float* vp,
    int64_t batches, int64_t tokens, int64_t channels) {
  const bool is_linear = is_linear_safe(wp, up, channels, tokens);
  const auto run = [&]<int N>(std::integral_constant<int, N>) {
    for_each_block<N>(batches, channels, [&](int64_t batch, int64_t first) {
      const int64_t at = batch * tokens * channels + first;
      const Block<N> block(wp, up, channels, first);
      const auto kernel = is_linear ? forward_block_linear<N> : forward_block<N>;
      kernel(block, yp + at, kp + at, vp + at, tokens);
    });
  };
  switch (block_vectors(batches, channels, 4).first) {
    case 1: run(std::integral_constant<int, 1>()); break;
    case 2: run(std::integral_constant<int, 2>()); break;
    case 3: run(std::integral_constant<int, 3>()); break;
    default: run(std::integral_constant<int, 4>()); break;
  }
}

void backward(
    float* gkp, float* gvp, float* gwp, float* gup, const float* gyp, const float* wp,
    const float* up, const float* kp, const float* vp, int64_t batches, int64_t tokens,
    int64_t channels) {
  for_each_block<1>(batches, channels, [&](int64_t batch, int64_t first) {
    const int64_t at = batch * tokens * channels + first, row = batch * channels + first;
    backward_lanes(
        Block<1>(wp, up, channels, first), gkp + at, gvp + at, gwp + row, gup + row, gyp + at,
        kp + at, vp + at, tokens);
  });
}
