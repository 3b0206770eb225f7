import CIntrinsics

typealias Vector = SIMD8<Float>

/// 12 sums, 2 weights and 1 value: 15 of 16 registers.
typealias GEMMTile = Tile<6, 2>
typealias GEMMTileNarrow = Tile<6, 1>
typealias GEMMHalfTile = Tile<3, 2>
typealias GEMMHalfTileNarrow = Tile<3, 1>
typealias StreamTileOf<let columns: Int> = Tile<6, columns>
typealias StreamTile = StreamTileOf<2>
/// 12 sums, 3 weights and their transform: all 16 registers.
typealias FilterTile = WinogradTile<2>
/// 8 sums, and a row of 6 values.
typealias DepthwisePair = DepthwisePairOf<4, 6>
/// Outputs × vectors of pixels.
typealias PlaneTile = Tile<4, 3>
typealias PlaneTileNarrow = Tile<4, 1>

@_transparent func multiplyAdd(_ sum: Vector, _ a: Vector, _ b: Vector) -> Vector { pacer_fma8(sum, a, b) }
@_transparent var fusesProducts: Bool { true }

@_transparent func + (a: Vector, b: Vector) -> Vector { pacer_sum8(a, b) }
@_transparent func - (a: Vector, b: Vector) -> Vector { pacer_difference8(a, b) }
@_transparent func * (a: Vector, b: Vector) -> Vector { pacer_product8(a, b) }
@_transparent func += (a: inout Vector, b: Vector) { a = pacer_sum8(a, b) }

@_transparent func quotient(_ a: Vector, _ b: Vector) -> Vector { pacer_quotient8(a, b) }
/// Of numbers within −87…88.
@_transparent func exponential(_ x: Vector) -> Vector { pacer_exp8(x) }
/// Of numbers within ±7.9, beyond which it is ±1.
@_transparent func hyperbolicTangent(_ x: Vector) -> Vector { pacer_tanh8(x) }
/// Of numbers within ±4, beyond which it is ±1.
@_transparent func errorFunction(_ x: Vector) -> Vector { pacer_erf8(x) }
@_transparent func root(_ x: Vector) -> Vector { pacer_root8(x) }
/// `value`, but `other` where `x` is above a limit.
@_transparent func unless(_ x: Vector, above limit: Vector, _ other: Vector, _ value: Vector) -> Vector {
  pacer_unless_above8(x, limit, other, value)
}
/// `value`, but `x` where that is no number.
@_transparent func unlessNaN(_ x: Vector, _ value: Vector) -> Vector { pacer_unless_nan8(x, value) }

@_transparent func larger(_ a: Vector, _ best: Vector) -> Vector { pacer_max8(a, best) }

/// Transparent, because a call that the inliner leaves in place spills every sum around it.
@_transparent func clamped(_ vector: Vector, _ minimum: Vector, _ maximum: Vector) -> Vector {
  pacer_clamp8(vector, minimum, maximum)
}

@_transparent func readPart(_ pointer: UnsafePointer<Float>, _ count: Int) -> Vector {
  pacer_read_part8(pointer, count)
}
@_transparent func writePart(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>, _ count: Int) {
  pacer_write_part8(vector, pointer, count)
}

/// The floats at even places of the two vectors that begin at `pointer`.
@inline(__always) func readEven(_ pointer: UnsafePointer<Float>) -> Vector { pacer_even8(pointer) }

/// As many products of bytes as the processor can add up in a second.
func setPeakDot(_ table: inout PacerKernelTable) {
  table.peakDot = { pacer_peak_dot_x86AVX2($0, $1, $2, $3) }
  table.peakDots = 320
}

package func makeAVX2Kernels() -> PacerKernelTable { makeKernelTable("avx2") }
