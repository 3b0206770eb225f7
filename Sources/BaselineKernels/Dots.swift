import CIntrinsics

typealias Ints = SIMD4<Int32>

/// 12 sums of pairs leave room for the weights.
typealias DotTile = DotTileOf<3, 2>
typealias DotTileNarrow = DotTileOf<3, 1>
typealias DotTilePart = DotTileOf<2, 2>
typealias DotTileLine = DotTileOf<1, 2>
typealias DotBlock = DotBlockOf<1, 4>
typealias DotHalfBlock = DotBlockOf<2, 2>

@_transparent var addsSmallDots: Bool { false }
/// Asked of nobody, and here so that the kernel compiles for every set.
@_transparent func addSmallDots(_ sum: inout Ints, _ x: UnsafePointer<UInt8>, _ y: Ints) {
  var products = dotSum(Ints(repeating: 0))
  addDots(&products, dotValues(all: x), (pacer_own_signed_low(y), pacer_own_signed_high(y)))
  sum &+= total(products)
}
