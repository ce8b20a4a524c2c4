#include "include/spectral.h"

#include "dispatch_internal.h"

K_DISPATCHED(spectrum_split)
K_DISPATCHED(spectrum_join)
K_DISPATCHED(rows_join)
K_DISPATCHED(rows_split)
K_DISPATCHED(row_spectra_split)
K_DISPATCHED(row_spectra_join)
K_DISPATCHED(transpose_complex)
K_DISPATCHED(spectrum_scale)
K_DISPATCHED(spectrum_scale_backward)
K_DISPATCHED(assemble_kernel_forward)
K_DISPATCHED(assemble_kernel_backward)

void k_spectrum_split(float *y, const float *z, float edge, float inner, size_t n, size_t pairs) {
  K_CALL(spectrum_split)(y, z, edge, inner, n, pairs);
}

void k_spectrum_join(float *z, const float *y, float edge, float inner, size_t n, size_t pairs) {
  K_CALL(spectrum_join)(z, y, edge, inner, n, pairs);
}

void k_rows_join(float *z, const float *x, size_t x_stride, size_t n) {
  K_CALL(rows_join)(z, x, x_stride, n);
}

void k_rows_split(float *x, size_t x_stride, const float *z, size_t n) {
  K_CALL(rows_split)(x, x_stride, z, n);
}

void k_row_spectra_split(float *y, size_t y_stride, const float *z, float edge, float inner,
                         size_t n) {
  K_CALL(row_spectra_split)(y, y_stride, z, edge, inner, n);
}

void k_row_spectra_join(float *z, const float *y, size_t y_stride, float edge, float inner,
                        size_t n) {
  K_CALL(row_spectra_join)(z, y, y_stride, edge, inner, n);
}

void k_transpose_complex(float *y, size_t y_stride, const float *x, size_t x_stride, size_t rows,
                         size_t columns) {
  K_CALL(transpose_complex)(y, y_stride, x, x_stride, rows, columns);
}

void k_spectrum_scale(float *d, const float *w, const float *attention, const int32_t *group,
                      float alpha, bool accumulate, size_t begin, size_t end) {
  K_CALL(spectrum_scale)(d, w, attention, group, alpha, accumulate, begin, end);
}

void k_spectrum_scale_backward(float *dw, float *dattention, const float *dd, const float *w,
                               const float *attention, const int32_t *group, float alpha,
                               size_t begin, size_t end) {
  K_CALL(spectrum_scale_backward)(dw, dattention, dd, w, attention, group, alpha, begin, end);
}

void k_assemble_kernel_forward(float *y, const float *a, const k_kernel_factors *factors,
                               float *scratch, size_t begin, size_t end, size_t in, size_t k) {
  K_CALL(assemble_kernel_forward)(y, a, factors, scratch, begin, end, in, k);
}

void k_assemble_kernel_backward(const k_kernel_gradients *gradients, const float *dy,
                                const float *a, const k_kernel_factors *factors, float *scratch,
                                size_t begin, size_t end, size_t in, size_t k) {
  K_CALL(assemble_kernel_backward)(gradients, dy, a, factors, scratch, begin, end, in, k);
}
