typealias Ints = SIMD4<Int32>

/// 12 sums of pairs leave room for the weights.
typealias DotTile = DotTileOf<3, 2>
typealias DotTileNarrow = DotTileOf<3, 1>
typealias DotTilePart = DotTileOf<2, 2>
typealias DotTileLine = DotTileOf<1, 2>
typealias DotPixels = DotPixelsOf<1>
