// Transcendental functions on vectors, included by simd.h. No libm calls in loops, except for
// sines and cosines of huge arguments. Polynomials are weighted minimax fits of their ranges.

// 2^(x·log₂e) without its exponent n, which is found by adding a magic number that leaves the rounded
// value in the low bits of `shifted`; two-part ln 2, degree-5 polynomial.
K_INLINE vf v_exp_fraction(vf x, vf *n, vi *shifted) {
  const vf magic = v_set1(12582912.0f);  // 1.5 · 2²³, whose lowest nine bits are 0
  vf sum = x * v_set1(1.44269504088896341f) + magic;
  *shifted = (vi)sum;
  *n = sum - magic;
  vf r = x - *n * v_set1(0.693359375f);
  r = r - *n * v_set1(-2.12194440e-4f);
  vf p = v_set1(1.9875691500e-4f);
  p = p * r + v_set1(1.3981999507e-3f);
  p = p * r + v_set1(8.3334519073e-3f);
  p = p * r + v_set1(4.1665795894e-2f);
  p = p * r + v_set1(1.6666665459e-1f);
  p = p * r + v_set1(5.0000001201e-1f);
  return (p * r) * r + r + v_set1(1.0f);
}

// eˣ with relative error 7e-8 in [-87, 88.3]; below −87.3 the result is 0 to within 1.2e-38, above
// 88.3 it saturates near 2.2e38. NaN stays NaN.
K_INLINE vf v_exp(vf x) {
  const vf high = v_set1(88.3f), low = v_set1(-87.3f);
  vf n;
  vi shifted;
  // The instructions of both levels return their second operand if either is NaN.
#if K_LEVEL == 512
  vf within = (vf)_mm512_max_ps((__m512)low, _mm512_min_ps((__m512)high, (__m512)x));
  vf y = v_exp_fraction(within, &n, &shifted);
  return (vf)_mm512_scalef_ps((__m512)y, (__m512)n);
#elif K_LEVEL == 256
  vf within = (vf)_mm256_max_ps((__m256)low, _mm256_min_ps((__m256)high, (__m256)x));
#else
  vf within = v_select(x > high, high, x);
  within = v_select(within < low, low, within);
#endif
#if K_LEVEL != 512
  vf y = v_exp_fraction(within, &n, &shifted);
  // 2ⁿ as a factor, so that NaN stays NaN.
  return y * (vf)((shifted << 23) + v_set1_int(127 << 23));
#endif
}

// eˣ with IEEE ends: overflow gives infinity, and what would be subnormal gives 0.
K_INLINE vf v_exp_full(vf x) {
  const vf high = v_set1(88.7228317f), low = v_set1(-87.3365402f);
  vf clamped = v_select(x > high, high, x);
  clamped = v_select(clamped < low, low, clamped);
  vf n;
  vi shifted;
  vf y = v_exp_fraction(clamped, &n, &shifted);
  // Up to `high` the fraction stays below 1 where n = 128, so the exponent cannot overflow.
  y = (vf)((vi)y + (shifted << 23));
  y = v_select(x > high, v_set1(INFINITY), y);
  y = v_select(x < low, v_set1(0.0f), y);
  // The bits of a NaN would have been shifted into sign and exponent.
  return v_select(x == x, y, x);
}

// 1 / x within an ulp or so, for x between 1e-37 and 1e37: an estimate and a Newton step where
// there is an instruction for the former, at a third of a division's cost. NaN stays NaN.
K_INLINE vf v_reciprocal(vf x) {
#if K_LEVEL == 512
  vf y = (vf)_mm512_rcp14_ps((__m512)x);
  return y * (v_set1(2.0f) - x * y);
#else
  return v_set1(1.0f) / x;
#endif
}

K_INLINE vf v_sigmoid(vf x) { return v_reciprocal(v_set1(1.0f) + v_exp(-x)); }

// Natural logarithm: x = 2^e · (1 + f) with 1 + f in [√½, √2), log(1 + f) = f − f²/2 + f³·P(f).
// Relative error below 2e-7; log 0 = −∞, negative arguments give NaN; subnormal arguments are
// scaled.
K_INLINE vf v_log(vf x) {
  const vf smallest = v_set1(1.17549435e-38f);
  vi subnormal = x < smallest;
  vf scaled = v_select(subnormal, x * v_set1(8388608.0f), x);
  // Shifts the split point of the mantissa from 1 to √½.
  vi bits = (vi)scaled - 0x3f3504f3;
  vi exponent = (bits >> 23) - (subnormal & 23);
  vf f = (vf)((bits & 0x007fffff) + 0x3f3504f3) - v_set1(1.0f);
  vf p = v_set1(0.0691542774f);
  p = p * f + v_set1(-0.117898412f);
  p = p * f + v_set1(0.118729673f);
  p = p * f + v_set1(-0.123843424f);
  p = p * f + v_set1(0.142186582f);
  p = p * f + v_set1(-0.16669251f);
  p = p * f + v_set1(0.200022265f);
  p = p * f + v_set1(-0.249999866f);
  p = p * f + v_set1(0.333333105f);
  vf e = __builtin_convertvector(exponent, vf);
  vf square = f * f;
  vf tail = square * f * p + e * v_set1(-2.12194440e-4f) - v_set1(0.5f) * square;
  vf y = e * v_set1(0.693359375f) + (f + tail);
  y = v_select(x == v_set1(INFINITY), x, y);
  y = v_select(x == v_set1(0.0f), v_set1(-INFINITY), y);
  y = v_select(x < v_set1(0.0f), v_set1(NAN), y);
  return v_select(x == x, y, x);
}

// Hyperbolic tangent: x + x³·P(x²) below 0.625, 1 − 2 / (e^{2|x|} + 1) above.
K_INLINE vf v_tanh(vf x) {
  vf magnitude = v_abs(x);
  vf z = x * x;
  vf p = v_set1(-0.00571704237f);
  p = p * z + v_set1(0.0206505843f);
  p = p * z + v_set1(-0.0537434965f);
  p = p * z + v_set1(0.133314908f);
  p = p * z + v_set1(-0.333332837f);
  vf small = x + x * z * p;
  vf large = v_set1(1.0f) - v_set1(2.0f) / (v_exp(magnitude + magnitude) + v_set1(1.0f));
  return v_select(magnitude < v_set1(0.625f), small, v_copysign(large, x));
}

// Error function: x·P(x²) up to 1, 1 − e^{−x²}·Q(1 / (1 + 0.4·|x|)) above. Error below 2e-7.
K_INLINE vf v_erf(vf x) {
  vf magnitude = v_abs(x);
  vf z = x * x;
  vf p = v_set1(7.88912294e-05f);
  p = p * z + v_set1(-0.000802084222f);
  p = p * z + v_set1(0.00518953567f);
  p = p * z + v_set1(-0.0268544443f);
  p = p * z + v_set1(0.112836003f);
  p = p * z + v_set1(-0.37612626f);
  p = p * z + v_set1(1.12837911f);
  vf t = v_set1(1.0f) / (v_set1(1.0f) + v_set1(0.4f) * magnitude);
  vf q = v_set1(0.0745981708f);
  q = q * t + v_set1(0.429494321f);
  q = q * t + v_set1(-0.0337830745f);
  q = q * t + v_set1(0.318306059f);
  q = q * t + v_set1(0.212552026f);
  vf large = v_set1(1.0f) - v_exp(-z) * q * t;
  return v_select(magnitude <= v_set1(1.0f), x * p, v_copysign(large, x));
}

// Φ(x), the standard normal distribution function, and φ(x), its density.
K_INLINE vf v_normal_cdf(vf x) {
  return v_set1(0.5f) + v_set1(0.5f) * v_erf(x * v_set1(0.707106781f));
}
K_INLINE vf v_normal_density(vf x) {
  return v_set1(0.398942280f) * v_exp(v_set1(-0.5f) * x * x);
}

// log(1 + eˣ) without overflow: max(x, 0) + log(1 + e^{−|x|}).
K_INLINE vf v_softplus(vf x) {
  vf e = v_exp(-v_abs(x));
  // For tiny e the sum 1 + e loses e's low bits; the ratio restores them.
  vf sum = v_set1(1.0f) + e;
  vf rounding = e - (sum - v_set1(1.0f));
  vf y = v_select(x > v_set1(0.0f), x, v_set1(0.0f)) + v_log(sum) + rounding / sum;
  return v_select(x == x, y, x);
}

// sin (quarter = 0) or cos (quarter = 1): reduction by π/2 in three parts, then a polynomial chosen
// by the quadrant. Absolute error below 2e-7; beyond 8192, where the reduction is no longer exact,
// libm.
K_INLINE vf v_sin_quarter(vf x, int32_t quarter) {
  const vf magic = v_set1(12582912.0f);
  vf shifted = x * v_set1(0.636619772f) + magic;
  vf n = shifted - magic;
  vf r = x - n * v_set1(1.5703125f);
  r = r - n * v_set1(4.83751297e-4f);
  r = r - n * v_set1(7.54978995e-8f);
  vi quadrant = (vi)shifted + quarter;
  vf z = r * r;
  vf s = v_set1(-0.000195172979f);
  s = s * z + v_set1(0.008332178f);
  s = s * z + v_set1(-0.166666552f);
  s = r + r * z * s;
  vf c = v_set1(2.44384519e-05f);
  c = c * z + v_set1(-0.00138873677f);
  c = c * z + v_set1(0.0416666456f);
  c = v_set1(1.0f) - v_set1(0.5f) * z + z * z * c;
  vi odd = (quadrant & 1) != 0;
  vf y = v_select(odd, c, s);
  y = (vf)((vi)y ^ ((quadrant & 2) << 30));
  for (size_t i = 0; i < VL; i++) {
    // Also infinities and NaN, whose results come out of libm as NaN.
    if (!(fabsf(x[i]) <= 8192.0f)) y[i] = quarter == 0 ? sinf(x[i]) : cosf(x[i]);
  }
  return y;
}
K_INLINE vf v_sin(vf x) { return v_sin_quarter(x, 0); }
K_INLINE vf v_cos(vf x) { return v_sin_quarter(x, 1); }
