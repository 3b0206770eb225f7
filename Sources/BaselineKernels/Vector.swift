import CIntrinsics

typealias Vector = SIMD4<Float>

/// 10 sums leave room for the product that SSE needs a register for.
typealias GEMMTile = Tile<5, 2>
typealias GEMMTileNarrow = Tile<5, 1>
typealias GEMMHalfTile = Tile<2, 2>
typealias GEMMHalfTileNarrow = Tile<2, 1>
typealias StreamTileOf<let columns: Int> = Tile<5, columns>
typealias StreamTile = StreamTileOf<2>
/// 12 sums.
typealias FilterTile = WinogradTile<2>
/// 8 sums, and a row of 6 values.
typealias DepthwisePair = DepthwisePairOf<4, 6>
/// Outputs × vectors of pixels.
typealias PlaneTile = Tile<4, 2>
typealias PlaneTileNarrow = Tile<4, 1>

#if arch(x86_64)
  /// SSE has no fused multiply-add; `addingProduct` would be a library call for each lane.
  @inline(__always) func multiplyAdd(_ sum: Vector, _ a: Vector, _ b: Vector) -> Vector { sum + a * b }
  @inline(__always) var fusesProducts: Bool { false }
#else
  @inline(__always) func multiplyAdd(_ sum: Vector, _ a: Vector, _ b: Vector) -> Vector { sum.addingProduct(a, b) }
  @inline(__always) var fusesProducts: Bool { true }
#endif

@_transparent func + (a: Vector, b: Vector) -> Vector { pacer_sum4(a, b) }
@_transparent func - (a: Vector, b: Vector) -> Vector { pacer_difference4(a, b) }
@_transparent func * (a: Vector, b: Vector) -> Vector { pacer_product4(a, b) }
@_transparent func += (a: inout Vector, b: Vector) { a = pacer_sum4(a, b) }

@_transparent func quotient(_ a: Vector, _ b: Vector) -> Vector { pacer_quotient4(a, b) }
/// Of numbers within −87…88.
@_transparent func exponential(_ x: Vector) -> Vector { pacer_exp4(x) }
/// Of numbers within ±7.9, beyond which it is ±1.
@_transparent func hyperbolicTangent(_ x: Vector) -> Vector { pacer_tanh4(x) }
/// Of numbers within ±4, beyond which it is ±1.
@_transparent func errorFunction(_ x: Vector) -> Vector { pacer_erf4(x) }
@_transparent func root(_ x: Vector) -> Vector { pacer_root4(x) }
/// `value`, but `other` where `x` is above a limit.
@_transparent func unless(_ x: Vector, above limit: Vector, _ other: Vector, _ value: Vector) -> Vector {
  pacer_unless_above4(x, limit, other, value)
}
/// `value`, but `x` where that is no number.
@_transparent func unlessNaN(_ x: Vector, _ value: Vector) -> Vector { pacer_unless_nan4(x, value) }

@_transparent func larger(_ a: Vector, _ best: Vector) -> Vector { pacer_max4(a, best) }

/// Transparent, because a call that the inliner leaves in place spills every sum around it.
@_transparent func clamped(_ vector: Vector, _ minimum: Vector, _ maximum: Vector) -> Vector {
  pacer_clamp4(vector, minimum, maximum)
}

@inline(__always) func readPart(_ pointer: UnsafePointer<Float>, _ count: Int) -> Vector {
  var vector = Vector.zero
  var lane = 0
  while lane < count {
    vector[lane] = pointer[lane]
    lane += 1
  }
  return vector
}

@inline(__always) func writePart(_ vector: Vector, _ pointer: UnsafeMutablePointer<Float>, _ count: Int) {
  var lane = 0
  while lane < count {
    pointer[lane] = vector[lane]
    lane += 1
  }
}

/// The floats at even places of the two vectors that begin at `pointer`.
@inline(__always) func readEven(_ pointer: UnsafePointer<Float>) -> Vector { pacer_even4(pointer) }

/// SSE has no product of bytes.
func setPeakDot(_ table: inout PacerKernelTable) {}

#if arch(x86_64)
  package func makeBaselineKernels() -> PacerKernelTable { makeKernelTable("sse2") }
#else
  package func makeBaselineKernels() -> PacerKernelTable { makeKernelTable("neon") }
#endif
