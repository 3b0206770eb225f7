import CIntrinsics

typealias Vector = SIMD8<Float>

/// 12 sums, 2 weights and 1 value: 15 of 16 registers.
typealias GEMMTile = Tile<6, 2>
typealias GEMMTileNarrow = Tile<6, 1>
typealias GEMMHalfTile = Tile<3, 2>
typealias GEMMHalfTileNarrow = Tile<3, 1>
/// Outputs × vectors of pixels.
typealias PlaneTile = Tile<4, 3>
typealias PlaneTileNarrow = Tile<4, 1>

@inline(__always) func multiplyAdd(_ sum: Vector, _ a: Vector, _ b: Vector) -> Vector { sum.addingProduct(a, b) }

/// The floats at even places of the two vectors that begin at `pointer`.
@inline(__always) func readEven(_ pointer: UnsafePointer<Float>) -> Vector { pacer_even8(pointer) }

package func makeAVX2Kernels() -> PacerKernelTable { makeKernelTable("avx2") }
