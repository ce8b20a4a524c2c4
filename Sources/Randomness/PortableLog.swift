/// The natural logarithm from basic arithmetic alone, the same bits on every platform.
///
/// `x = m·2ᵉ` with `m` in `[√½, √2)`, and `ln m = 2·artanh(s)`, `s = (m − 1)/(m + 1)`, |s| < 0.172, as
/// eleven terms of its odd power series; the first term left out is below 2·10⁻¹⁹ of the sum. The
/// error stays below two units in the last place. The mathematics library would round differently
/// from system to system, and a stream that differs in one last bit is another stream.
///
/// - Parameter x: A positive normal number.
/// - Returns: `ln x`.
package func portableLog(_ x: Double) -> Double {
  precondition(x.isNormal && x > 0, "portableLog: \(x) is not a positive normal number")
  let mantissaMask: UInt64 = 0x000F_FFFF_FFFF_FFFF
  var exponent = Int(x.bitPattern >> 52) - 1023
  var m = Double(bitPattern: x.bitPattern & mantissaMask | 0x3FF0_0000_0000_0000)
  if m > 1.4142135623730951 {
    m *= 0.5
    exponent += 1
  }
  let s = (m - 1) / (m + 1)
  let q = s * s
  var series = 1.0 / 21
  for denominator in stride(from: 19.0, through: 3.0, by: -2.0) {
    series = series * q + 1 / denominator
  }
  // The leading 2·s is added last, so that it is rounded once.
  let logM = 2 * s + 2 * s * q * series
  // ln 2 in two parts: the upper has 32 bits, so its product with the exponent is exact.
  let e = Double(exponent)
  return e * 0x1.62e42feep-1 + (logM + e * 0x1.a39ef35793c76p-33)
}
