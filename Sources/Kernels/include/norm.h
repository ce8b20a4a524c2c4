/// Normalisations: layer norm and softmax over the last axis, and the channel-wise application that
/// batch, group and instance norm share.
///
/// All arrays are float32, `[rows, c]` contiguous. Outputs may be the input of the same shape (in
/// place) but must not overlap it otherwise. Forward kernels write; backward kernels write dx, or
/// add to it if `accumulate`. NaN in a row makes that row NaN.
#ifndef RESTORE_KERNELS_NORM_H
#define RESTORE_KERNELS_NORM_H

#include <stdbool.h>
#include <stddef.h>

/// `y[r] = (x[r] − mean_r) · rstd_r · weight + bias`, `rstd = 1 / √(variance + eps)`, variance in
/// two passes. `weight, bias: [c]`, each may be NULL for 1 and 0; `mean, rstd: [rows]` are written,
/// for the backward pass, unless NULL.
void k_layer_norm_forward(float *y, float *mean, float *rstd, const float *x, const float *weight,
                          const float *bias, float eps, size_t rows, size_t c);

/// Gradients of `k_layer_norm_forward`. `dweight, dbias: [c]`, each NULL or added to, over the rows
/// in order (private buffers per thread, then an ordered sum).
void k_layer_norm_backward(float *dx, float *dweight, float *dbias, const float *dy,
                           const float *x, const float *mean, const float *rstd,
                           const float *weight, bool accumulate, size_t rows, size_t c);

/// `y[r][i] = e^{x[r][i] − m} / Σ_j e^{x[r][j] − m}`, m the row's maximum.
void k_softmax_forward(float *y, const float *x, size_t rows, size_t c);

/// `dx (+)= y · (dy − Σ_j dy_j · y_j)`.
void k_softmax_backward(float *dx, const float *dy, const float *y, bool accumulate, size_t rows,
                        size_t c);

/// `y[r][i] = x[r][i] − m − ln Σ_j e^{x[r][j] − m}`.
void k_log_softmax_forward(float *y, const float *x, size_t rows, size_t c);

/// `dx (+)= dy − e^y · Σ_j dy_j`.
void k_log_softmax_backward(float *dx, const float *dy, const float *y, bool accumulate,
                            size_t rows, size_t c);

/// `y[r][i] = (x[r][i] − mean[i]) · scale[i] + shift[i]`; `mean, scale, shift: [c]`.
void k_channel_normalise(float *y, const float *x, const float *mean, const float *scale,
                         const float *shift, size_t rows, size_t c);

/// `dx[r][i] (+)= a[i] · dy[r][i] + b[i] · (x[r][i] − mean[i]) + d[i]`, all coefficients `[c]`: the
/// backward pass of `k_channel_normalise` once the channels' gradient moments are known.
void k_channel_normalise_backward(float *dx, const float *dy, const float *x, const float *mean,
                                  const float *a, const float *b, const float *d, bool accumulate,
                                  size_t rows, size_t c);

#endif
