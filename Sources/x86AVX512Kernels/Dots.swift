import CIntrinsics

typealias Ints = SIMD16<Int32>

/// As the float32 tile: 28 sums, 2 weights and 1 value.
typealias DotTile = DotTileOf<14, 2>
typealias DotTileNarrow = DotTileOf<14, 1>
typealias DotTilePart = DotTileOf<7, 2>
typealias DotTileLine = DotTileOf<1, 2>
/// 16 sums each.
typealias DotBlock = DotBlockOf<4, 4>
typealias DotHalfBlock = DotBlockOf<8, 2>

@_transparent var addsSmallDots: Bool { false }
/// Asked of nobody, and here so that the kernel compiles for every set.
@_transparent func addSmallDots(_ sum: inout Ints, _ x: UnsafePointer<UInt8>, _ y: Ints) {
  sum = pacer_add_dots16(sum, pacer_all16(x), y)
}

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
/// They are multiplied as they are.
@_transparent var widensDots: Bool { false }
@_transparent func addWideDots(_ sum: inout DotSum, _ x: DotValues, _ y: UnsafePointer<Int8>) {
  addDots(&sum, x, dotWeights(y))
}
@_transparent func widen(_ p: UnsafePointer<Int8>, to target: UnsafeMutableRawPointer) {
  target.storeBytes(of: dotWeights(p), as: Ints.self)
}
/// Each lane's weights one place on.
@_transparent func movedWeights(_ p: UnsafePointer<Int8>) -> DotWeights { pacer_moved_bytes16(p) }
@_transparent func dotSum(_ added: Ints) -> DotSum { added }
@_transparent func addDots(_ sum: inout DotSum, _ x: DotValues, _ y: DotWeights) { sum = pacer_add_dots16(sum, x, y) }
@_transparent func total(_ sum: DotSum) -> Ints { sum }
