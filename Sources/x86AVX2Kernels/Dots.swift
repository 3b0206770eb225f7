typealias Ints = SIMD8<Int32>

/// 12 sums of pairs leave room for the weights.
typealias DotTile = DotTileOf<3, 2>
typealias DotTileNarrow = DotTileOf<3, 1>
typealias DotPixels = DotPixelsOf<1>
