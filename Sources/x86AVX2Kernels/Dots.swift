import CIntrinsics

typealias Ints = SIMD8<Int32>

/// 12 sums of pairs leave room for the weights.
typealias DotTile = DotTileOf<3, 2>
typealias DotTileNarrow = DotTileOf<3, 1>
typealias DotTilePart = DotTileOf<2, 2>
typealias DotTileLine = DotTileOf<1, 2>
typealias DotBlock = DotBlockOf<1, 4>
typealias DotHalfBlock = DotBlockOf<2, 2>

@_transparent var addsSmallDots: Bool { true }
@_transparent func addSmallDots(_ sum: inout Ints, _ x: UnsafePointer<UInt8>, _ y: Ints) {
  sum = pacer_add_small_dots8(sum, pacer_all8(x), y)
}
