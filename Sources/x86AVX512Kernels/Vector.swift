import CIntrinsics

typealias Vector = SIMD16<Float>

/// 28 sums, 2 weights and 1 value: 31 of 32 registers. 14 divides the rows of networks for 224×224 images, 8 the tiles
/// of Winograd's algorithm in them.
typealias GEMMTile = Tile<14, 2>
typealias GEMMTileNarrow = Tile<14, 1>
typealias GEMMHalfTile = Tile<8, 2>
typealias GEMMHalfTileNarrow = Tile<8, 1>
/// 24 sums, 4 weights and 1 value.
typealias StreamTileOf<let columns: Int> = Tile<6, columns>
typealias StreamTile = StreamTileOf<4>
/// 24 sums.
typealias FilterTile = WinogradTile<4>
/// 14 sums, and a row of 9 values.
typealias DepthwisePair = DepthwisePairOf<7, 9>
/// Outputs × vectors of pixels.
typealias PlaneTile = Tile<8, 3>
typealias PlaneTileNarrow = Tile<8, 1>

@_transparent func multiplyAdd(_ sum: Vector, _ a: Vector, _ b: Vector) -> Vector { pacer_fma16(sum, a, b) }
@_transparent var fusesProducts: Bool { true }

@_transparent func + (a: Vector, b: Vector) -> Vector { pacer_sum16(a, b) }
@_transparent func - (a: Vector, b: Vector) -> Vector { pacer_difference16(a, b) }
@_transparent func * (a: Vector, b: Vector) -> Vector { pacer_product16(a, b) }
@_transparent func += (a: inout Vector, b: Vector) { a = pacer_sum16(a, b) }

@_transparent func quotient(_ a: Vector, _ b: Vector) -> Vector { pacer_quotient16(a, b) }
/// Of numbers within −87…88.
@_transparent func exponential(_ x: Vector) -> Vector { pacer_exp16(x) }
/// Of numbers within ±7.9, beyond which it is ±1.
@_transparent func hyperbolicTangent(_ x: Vector) -> Vector { pacer_tanh16(x) }
/// Of numbers within ±4, beyond which it is ±1.
@_transparent func errorFunction(_ x: Vector) -> Vector { pacer_erf16(x) }
@_transparent func root(_ x: Vector) -> Vector { pacer_root16(x) }
/// `value`, but `other` where `x` is above a limit.
@_transparent func unless(_ x: Vector, above limit: Vector, _ other: Vector, _ value: Vector) -> Vector {
  pacer_unless_above16(x, limit, other, value)
}
/// `value`, but `x` where that is no number.
@_transparent func unlessNaN(_ x: Vector, _ value: Vector) -> Vector { pacer_unless_nan16(x, value) }

@_transparent func larger(_ a: Vector, _ best: Vector) -> Vector { pacer_max16(a, best) }

/// Transparent, because a call that the inliner leaves in place spills every sum around it.
@_transparent func clamped(_ vector: Vector, _ minimum: Vector, _ maximum: Vector) -> Vector {
  pacer_clamp16(vector, minimum, maximum)
}

@_transparent func readPart(_ pointer: UnsafePointer<Float>, _ count: Int) -> Vector {
  pacer_read_part16(pointer, count)
}
@_transparent func writePart(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>, _ count: Int) {
  pacer_write_part16(vector, pointer, count)
}

/// The floats at even places of the two vectors that begin at `pointer`.
@inline(__always) func readEven(_ pointer: UnsafePointer<Float>) -> Vector { pacer_even16(pointer) }

/// As many products of bytes as the processor can add up in a second.
func setPeakDot(_ table: inout PacerKernelTable) {
  table.peakDot = { pacer_peak_dot_x86AVX512($0, $1, $2, $3) }
  table.peakDots = 640
}

package func makeAVX512Kernels() -> PacerKernelTable { makeKernelTable("avx512") }
