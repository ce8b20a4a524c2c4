/// Naive loops that state what each kernel computes.
///
/// They read as the formulas of the kernels' headers, take `Float` arrays in the kernels' layouts and
/// compute in `Double`; every faster version is tested against them. NaN follows the arithmetic.
public enum Reference {}
