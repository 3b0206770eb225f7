import CIntrinsics

/// Whether quotients by it may come of its inverse.
@inline(__always) func isInvertible(_ b: Float) -> Bool { fusesProducts && b >= 0x1p-64 && b <= 0x1p64 }
/// `a / b`, rounded once, of an a that is less than 2¹⁶ times b, and the inverse of b. Each step takes back what the last one is off,
/// which a fused product has exactly; the second rounds as a division does (Markstein, 1990). A quotient so small that the
/// remainder is not exact rounds to the integer 0 in any case.
@inline(__always) func quotient(_ a: Vector, _ b: Vector, inverse: Vector) -> Vector {
  let minus = Vector(repeating: 0) - b
  var q = a * inverse
  q = multiplyAdd(q, multiplyAdd(a, minus, q), inverse)
  return multiplyAdd(q, multiplyAdd(a, minus, q), inverse)
}

@_transparent func floats(_ x: Ints) -> Vector { pacer_own_floats(x) }
@_transparent func writeRounded(_ x: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>) {
  pacer_own_write_rounded(x, Int32(truncatingIfNeeded: zeroPoint), p)
}
@_transparent func writeRounded(_ a: Vector, _ b: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>) {
  pacer_own_write_halves(pacer_own_pack(a, b, Int16(truncatingIfNeeded: zeroPoint)), p)
}
@_transparent func writeRounded(
  _ a: Vector, _ b: Vector, _ c: Vector, _ d: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>
) {
  let zero = Int16(truncatingIfNeeded: zeroPoint)
  pacer_own_write_bytes(pacer_own_pack(a, b, zero), pacer_own_pack(c, d, zero), p)
}
/// The bytes that two vectors of sums become, as those vectors would be.
@_transparent func readHalves(_ p: UnsafePointer<UInt8>, second: Bool) -> Ints {
  second ? pacer_own_high(p) : pacer_own_low(p)
}
/// As many bytes as there are lanes.
@_transparent func readWidened(_ p: UnsafePointer<UInt8>) -> Ints { pacer_own_widened(p) }
@_transparent func readWidenedSigned(_ p: UnsafePointer<UInt8>) -> Ints { pacer_own_widened_signed(p) }
@_transparent func interleave(
  _ rows: (
    UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>
  ), _ p: UnsafeMutablePointer<UInt8>
) {
  pacer_own_interleave(rows.0, rows.1, rows.2, rows.3, p)
}
/// The same of half as many bytes.
@_transparent func interleaveHalf(
  _ rows: (
    UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>
  ), _ p: UnsafeMutablePointer<UInt8>
) {
  pacer_own_interleave_half(rows.0, rows.1, rows.2, rows.3, p)
}
/// Two rows of two vectors each, held within what bytes can be.
@_transparent func writeSaturated(
  _ first: (Vector, Vector), _ second: (Vector, Vector), zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>,
  _ q: UnsafeMutablePointer<UInt8>
) {
  let zero = Int16(truncatingIfNeeded: zeroPoint)
  pacer_own_write_rows(
    pacer_own_pack(first.0, first.1, zero), pacer_own_pack(second.0, second.1, zero), p, q)
}
