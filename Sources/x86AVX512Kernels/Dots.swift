import CIntrinsics

typealias Ints = SIMD16<Int32>

/// As the float32 tile: 28 sums, 2 weights and 1 value.
typealias DotTile = DotTileOf<14, 2>
typealias DotTileNarrow = DotTileOf<14, 1>
/// 16 sums.
typealias DotPixels = DotPixelsOf<4>

// No structs: what copies one that holds vectors is shared with the modules of other instruction sets.
/// Four bytes for each lane.
typealias DotValues = Ints
typealias DotWeights = Ints
/// A sum for each lane.
typealias DotSum = Ints

/// The same four bytes for all lanes.
@_transparent func dotValues(all p: UnsafePointer<UInt8>) -> DotValues { pacer_all16(p) }
@_transparent func dotValues(_ p: UnsafePointer<UInt8>) -> DotValues {
  UnsafeRawPointer(p).loadUnaligned(as: Ints.self)
}
@_transparent func dotWeights(_ p: UnsafePointer<Int8>) -> DotWeights {
  UnsafeRawPointer(p).loadUnaligned(as: Ints.self)
}
/// Each lane's weights one place on.
@_transparent func movedWeights(_ p: UnsafePointer<Int8>) -> DotWeights { pacer_moved_bytes16(p) }
@_transparent func dotSum(_ added: Ints) -> DotSum { added }
@_transparent func addDots(_ sum: inout DotSum, _ x: DotValues, _ y: DotWeights) { sum = pacer_add_dots16(sum, x, y) }
@_transparent func total(_ sum: DotSum) -> Ints { sum }

@_transparent func floats(_ x: Ints) -> Vector { pacer_floats16(x) }
@_transparent func writeRounded(_ x: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>) {
  pacer_write_rounded16(x, Int32(truncatingIfNeeded: zeroPoint), p)
}
@_transparent func writeRounded(_ a: Vector, _ b: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>) {
  pacer_write_halves16(pacer_pack16(a, b, Int16(truncatingIfNeeded: zeroPoint)), p)
}
@_transparent func writeRounded(
  _ a: Vector, _ b: Vector, _ c: Vector, _ d: Vector, zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>
) {
  let zero = Int16(truncatingIfNeeded: zeroPoint)
  pacer_write_bytes16(pacer_pack16(a, b, zero), pacer_pack16(c, d, zero), p)
}
/// The bytes that two vectors of sums become, as those vectors would be.
@_transparent func readHalves(_ p: UnsafePointer<UInt8>, second: Bool) -> Ints {
  second ? pacer_high16(p) : pacer_low16(p)
}
/// As many bytes as there are lanes.
@_transparent func readWidened(_ p: UnsafePointer<UInt8>) -> Ints { pacer_widened16(p) }
@_transparent func readWidenedSigned(_ p: UnsafePointer<UInt8>) -> Ints { pacer_widened_signed16(p) }
@_transparent func interleave(
  _ rows: (
    UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>
  ), _ p: UnsafeMutablePointer<UInt8>
) {
  pacer_interleave16(rows.0, rows.1, rows.2, rows.3, p)
}
/// Two rows of two vectors each, held within what bytes can be.
@_transparent func writeSaturated(
  _ first: (Vector, Vector), _ second: (Vector, Vector), zeroPoint: Int, _ p: UnsafeMutablePointer<UInt8>,
  _ q: UnsafeMutablePointer<UInt8>
) {
  let zero = Int16(truncatingIfNeeded: zeroPoint)
  pacer_write_rows16(
    pacer_pack16(first.0, first.1, zero), pacer_pack16(second.0, second.1, zero), p, q)
}
