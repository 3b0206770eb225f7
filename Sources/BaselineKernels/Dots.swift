import CIntrinsics

typealias Ints = SIMD4<Int32>

/// 12 sums of pairs leave room for the weights.
typealias DotTile = DotTileOf<3, 2>
typealias DotTileNarrow = DotTileOf<3, 1>
typealias DotPixels = DotPixelsOf<1>

// No structs: what copies one that holds vectors is shared with the modules of other instruction sets.
/// Four bytes for each lane, in 16 bits, of which the instruction set multiplies pairs.
typealias DotValues = (low: Ints, high: Ints)
typealias DotWeights = (low: Ints, high: Ints)
/// A sum for each lane, in two halves that are added up at the end.
typealias DotSum = (low: Ints, high: Ints)

/// The same four bytes for all lanes.
@_transparent func dotValues(all p: UnsafePointer<UInt8>) -> DotValues {
  let low = pacer_unsigned_low4(pacer_all4(p))
  return (low, low)
}
@_transparent func dotValues(_ p: UnsafePointer<UInt8>) -> DotValues {
  let bytes = UnsafeRawPointer(p).loadUnaligned(as: Ints.self)
  return (pacer_unsigned_low4(bytes), pacer_unsigned_high4(bytes))
}
@_transparent func dotWeights(_ p: UnsafePointer<Int8>) -> DotWeights {
  let bytes = UnsafeRawPointer(p).loadUnaligned(as: Ints.self)
  return (pacer_signed_low4(bytes), pacer_signed_high4(bytes))
}
/// Each lane's weights one place on.
@_transparent func movedWeights(_ p: UnsafePointer<Int8>) -> DotWeights {
  let bytes = pacer_moved_bytes4(p)
  return (pacer_signed_low4(bytes), pacer_signed_high4(bytes))
}
@_transparent func dotSum(_ added: Ints) -> DotSum { (pacer_spread_low4(added), pacer_spread_high4(added)) }
@_transparent func addDots(_ sum: inout DotSum, _ x: DotValues, _ y: DotWeights) {
  sum.low = pacer_add_pairs4(sum.low, x.low, y.low)
  sum.high = pacer_add_pairs4(sum.high, x.high, y.high)
}
@_transparent func total(_ sum: DotSum) -> Ints { pacer_sum_pairs4(sum.low, sum.high) }

@_transparent func floats(_ x: Ints) -> Vector { pacer_floats4(x) }
@_transparent func writeRounded(_ x: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>) {
  pacer_write_rounded4(x, Int32(truncatingIfNeeded: zeroPoint), p)
}
@_transparent func writeRounded(_ a: Vector, _ b: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>) {
  pacer_write_halves4(pacer_pack4(a, b, Int16(truncatingIfNeeded: zeroPoint)), p)
}
@_transparent func writeRounded(
  _ a: Vector, _ b: Vector, _ c: Vector, _ d: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>
) {
  let zero = Int16(truncatingIfNeeded: zeroPoint)
  pacer_write_bytes4(pacer_pack4(a, b, zero), pacer_pack4(c, d, zero), p)
}
/// The bytes that two vectors of sums become, as those vectors would be.
@_transparent func readHalves(_ p: UnsafePointer<UInt8>, second: Bool) -> Ints {
  second ? pacer_high4(p) : pacer_low4(p)
}
/// As many bytes as there are lanes.
@_transparent func readWidened(_ p: UnsafePointer<UInt8>) -> Ints { pacer_widened4(p) }
@_transparent func readWidenedSigned(_ p: UnsafePointer<UInt8>) -> Ints { pacer_widened_signed4(p) }
@_transparent func interleave(
  _ rows: (
    UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>
  ), _ p: UnsafeMutablePointer<UInt8>
) {
  pacer_interleave4(rows.0, rows.1, rows.2, rows.3, p)
}
/// Two rows of two vectors each, held within what bytes can be.
@_transparent func writeSaturated(
  _ first: (Vector, Vector), _ second: (Vector, Vector), zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>,
  _ q: UnsafeMutablePointer<UInt8>
) {
  let zero = Int16(truncatingIfNeeded: zeroPoint)
  pacer_write_rows4(
    pacer_pack4(first.0, first.1, zero), pacer_pack4(second.0, second.1, zero), p, q)
}
