import CIntrinsics

// No structs: what copies one that holds vectors is shared with the modules of other instruction sets.
/// Four bytes for each lane, in 16 bits, of which the instruction set multiplies pairs.
typealias DotValues = (low: Ints, high: Ints)
typealias DotWeights = (low: Ints, high: Ints)
/// A sum for each lane, in two halves that are added up at the end.
typealias DotSum = (low: Ints, high: Ints)

/// The same four bytes for all lanes.
@_transparent func dotValues(all p: UnsafePointer<UInt8>) -> DotValues {
  let low = pacer_own_unsigned_low(pacer_own_all(p))
  return (low, low)
}
@_transparent func dotValues(_ p: UnsafePointer<UInt8>) -> DotValues {
  let bytes = UnsafeRawPointer(p).loadUnaligned(as: Ints.self)
  return (pacer_own_unsigned_low(bytes), pacer_own_unsigned_high(bytes))
}
@_transparent func dotWeights(_ p: UnsafePointer<Int8>) -> DotWeights {
  let bytes = UnsafeRawPointer(p).loadUnaligned(as: Ints.self)
  return (pacer_own_signed_low(bytes), pacer_own_signed_high(bytes))
}
@_transparent var widensDots: Bool { true }
/// `addDots` with what `widen` wrote. From memory: in registers there is no place for sums and weights of 16 bits.
@_transparent func addWideDots(_ sum: inout DotSum, _ x: DotValues, _ y: UnsafePointer<Int8>) {
  sum.low = pacer_own_add_pairs_from(sum.low, x.low, y)
  sum.high = pacer_own_add_pairs_from(sum.high, x.high, y + 4 * Ints.scalarCount)
}
@_transparent func widen(_ p: UnsafePointer<Int8>, to target: UnsafeMutableRawPointer) {
  let (low, high) = dotWeights(p)
  target.storeBytes(of: low, as: Ints.self)
  target.storeBytes(of: high, toByteOffset: 4 * Ints.scalarCount, as: Ints.self)
}
/// Each lane's weights one place on.
@_transparent func movedWeights(_ p: UnsafePointer<Int8>) -> DotWeights {
  let bytes = pacer_own_moved_bytes(p)
  return (pacer_own_signed_low(bytes), pacer_own_signed_high(bytes))
}
@_transparent func dotSum(_ added: Ints) -> DotSum { (pacer_own_spread_low(added), pacer_own_spread_high(added)) }
@_transparent func addDots(_ sum: inout DotSum, _ x: DotValues, _ y: DotWeights) {
  sum.low = pacer_own_add_pairs(sum.low, x.low, y.low)
  sum.high = pacer_own_add_pairs(sum.high, x.high, y.high)
}
@_transparent func total(_ sum: DotSum) -> Ints { pacer_own_sum_pairs(sum.low, sum.high) }
