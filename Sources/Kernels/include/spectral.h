/// Rearrangements for real Fourier transforms, and kernels of frequency-dynamic convolution: a
/// spectrum scaled by groups of frequencies, and the elementwise assembly of a convolution kernel for
/// one sample.
///
/// Source: Chen et al., *Frequency Dynamic Convolution for Dense Image Prediction*, CVPR 2025.
#ifndef RESTORE_KERNELS_SPECTRAL_H
#define RESTORE_KERNELS_SPECTRAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Half spectra of pairs of real signals from the spectra of the complex signals that they form:
/// `z: [n, pairs]` complex to `y: [n / 2 + 1, 2 · pairs]` complex. Entry 0 and, for even n, entry
/// n / 2 are multiplied by `edge`, the others by `inner`.
void k_spectrum_split(float *y, const float *z, float edge, float inner, size_t n, size_t pairs);

/// The spectra of complex signals whose parts are the real signals of neighbouring half spectra, the
/// inverse of `k_spectrum_split`; the imaginary parts of entry 0 and, for even n, entry n / 2 are not
/// read.
void k_spectrum_join(float *z, const float *y, float edge, float inner, size_t n, size_t pairs);

/// Two rows of n real numbers, `x_stride` apart, as the parts of n complex numbers.
void k_rows_join(float *z, const float *x, size_t x_stride, size_t n);

/// The inverse of `k_rows_join`.
void k_rows_split(float *x, size_t x_stride, const float *z, size_t n);

/// As `k_spectrum_split` for one pair of signals whose half spectra are rows of `n / 2 + 1` complex
/// numbers, `y_stride` floats apart.
void k_row_spectra_split(float *y, size_t y_stride, const float *z, float edge, float inner,
                         size_t n);

/// As `k_spectrum_join`, likewise.
void k_row_spectra_join(float *z, const float *y, size_t y_stride, float edge, float inner,
                        size_t n);

/// `y[j · y_stride + i] = x[i · x_stride + j]` for complex numbers, i < rows, j < columns.
void k_transpose_complex(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                         size_t columns);

/// `d[i] (+)= alpha · attention[group[i]] · w[i]` for complex numbers i in `begin ..< end`;
/// `d, w: [count, 2]`, `group: [count]`.
void k_spectrum_scale(float *d, const float *w, const float *attention, const int32_t *group,
                      float alpha, bool accumulate, size_t begin, size_t end);

/// Adds `dw[i] += alpha · attention[group[i]] · dd[i]` and
/// `dattention[group[i]] += alpha · (w[i] · dd[i])` over both parts; either may be NULL.
void k_spectrum_scale_backward(float *dw, float *dattention, const float *dd, const float *w,
                               const float *attention, const int32_t *group, float alpha,
                               size_t begin, size_t end);

/// The factors of one sample's kernel. NULL stands for factors of 1.
typedef struct {
  const float *local;       // [out · k², taps], the local attention's convolution
  const float *descriptor;  // [in + taps − 1], its input with (taps − 1) / 2 zeros at both ends
  size_t taps;
  bool is_tanh;      // 1 + tanh instead of multiplier · sigmoid
  float multiplier;
  const float *channel;  // [in]
  const float *filter;   // [out]
  const float *spatial;  // [k²]
} k_kernel_factors;

/// `y[o][i][ky][kx] = a[o · k + ky][i · k + kx] · local · channel[i] · filter[o] · spatial[ky][kx]`
/// for o in `begin ..< end`; `y: [out, in, k, k]`, `a: [out · k, in · k]`. `scratch` holds `k · in`
/// floats.
void k_assemble_kernel_forward(float *y, const float *a, const k_kernel_factors *factors,
                               float *scratch, size_t begin, size_t end, size_t in, size_t k);

/// The gradients of `k_assemble_kernel_forward`, for o in `begin ..< end`.
typedef struct {
  float *a;           // [out · k, in · k], written
  float *local;       // [out · k², taps], added to
  float *descriptor;  // [in + taps − 1], added to
  float *channel;     // [in], added to
  float *filter;      // [out], written
  float *spatial;     // [k²], added to
} k_kernel_gradients;

/// Gradients of the factors that are there, all of which must be given; `scratch` holds
/// `2 · k · in` floats.
void k_assemble_kernel_backward(const k_kernel_gradients *gradients, const float *dy,
                                const float *a, const k_kernel_factors *factors, float *scratch,
                                size_t begin, size_t end, size_t in, size_t k);

#endif
