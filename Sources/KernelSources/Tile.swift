import CIntrinsics

/// A part of the weights that come after those which several tiles share, a line at a time. Weights come from memory more
/// slowly than one tile uses them up, but not than all of them do.
struct NextWeights {
  let start: UnsafePointer<Float>
  let step: Int

  /// For tile `index`, which goes through `depth` steps meanwhile.
  @inline(__always)
  init(_ next: UnsafePointer<Float>, step: Int, depth: Int, tile index: Int) {
    start = next + index * depth * step
    self.step = step
  }

  /// Floats that each tile asks for in a step of the depth, for all of them to have asked for `count`.
  @inline(__always)
  static func step(count: Int, depth: Int, tiles: Int) -> Int { (count + depth * tiles - 1) / (depth * tiles) }
}

/// One tile: `output[r] = clamp(added[r] + Σ sources[tap][r][k] · weights[tap][k])`.
struct TileProduct {
  /// `[tap][sourceStride]`, each to `depth` floats, of which the tile takes as many as it has rows.
  var sources: UnsafePointer<UnsafePointer<Float>>
  var sourceStride: Int
  var taps: Int
  var depth: Int
  /// In steps of the tile's width.
  var weights: UnsafePointer<Float>
  var added: UnsafePointer<Float>
  var addedStride: Int
  var output: UnsafeMutablePointer<Float>
  var outputStride: Int
  var minimum: Float
  var maximum: Float
}

/// A register tile of `rows × columns` vectors of sums.
struct Tile<let rows: Int, let columns: Int> {
  typealias Sums = InlineArray<rows, InlineArray<columns, Vector>>
  typealias Pointers = InlineArray<rows, UnsafePointer<Float>>

  /// Sums are made by closures and indexed by constants: `InlineArray(repeating:)` is a call that takes their address,
  /// and an index that varies needs one, and either keeps them in memory all along.
  @inline(__always) static var zero: Sums { Sums { _ in InlineArray { _ in .zero } } }

  /// `sums[r][j] += Σₖ a[r][k] · b[k][j]`, the values of `a` at their own pointers, `b` in steps of `width` floats.
  /// `ask` is called with each step of the weights.
  @inline(__always)
  static func multiply(
    _ sums: inout Sums, _ depth: Int, _ a: Pointers, _ b: UnsafePointer<Float>, _ width: Int,
    _ ask: (UnsafePointer<Float>) -> Void
  ) {
    var b = b
    var k = 0
    while k < depth {
      let weights = InlineArray<columns, Vector> { read(b + $0 * Vector.scalarCount) }
      ask(b)
      for r in 0..<rows {
        let value = Vector(repeating: a[r][k])
        for j in 0..<columns { sums[r][j] = multiplyAdd(sums[r][j], value, weights[j]) }
      }
      b += width
      k += 1
    }
  }

  /// The same with the values of `a` packed: `a[k][r]`, and each step of `b` at its own offset.
  @inline(__always)
  static func multiply(
    _ sums: inout Sums, _ depth: Int, packed a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
    _ offsets: UnsafePointer<Int32>
  ) {
    var a = a
    var k = 0
    while k < depth {
      let values = b + Int(offsets[k])
      let pixels = InlineArray<columns, Vector> { read(values + $0 * Vector.scalarCount) }
      for r in 0..<rows {
        let value = Vector(repeating: a[r])
        for j in 0..<columns { sums[r][j] = multiplyAdd(sums[r][j], value, pixels[j]) }
      }
      a += rows
      k += 1
    }
  }

  @inline(__always) static var rowCount: Int { rows }
  @inline(__always) static var columnCount: Int { columns }
  @inline(__always) static var width: Int { columns * Vector.scalarCount }

  /// A function of its own, with nothing beside the sums that needs registers. Asks for weights 2 KiB on, all lines of a
  /// step: half and twice as far were measured to be no different.
  @inline(never)
  static func multiply(_ product: UnsafePointer<TileProduct>) {
    multiply(product) { weights in
      for line in 0..<(width + 15) / 16 { pacer_prefetch(weights + 512 + line * 16) }
    }
  }

  /// The same, but asks for other weights.
  @inline(never)
  static func multiply(_ product: UnsafePointer<TileProduct>, _ ahead: NextWeights) {
    var next = ahead.start
    multiply(product) { _ in
      pacer_prefetch_outer(next)
      next += ahead.step
    }
  }

  @inline(__always)
  private static func multiply(_ product: UnsafePointer<TileProduct>, _ ask: (UnsafePointer<Float>) -> Void) {
    var (source, weights) = (product.pointee.sources, product.pointee.weights)
    let depth = product.pointee.depth
    let (added, addedStride) = (product.pointee.added, product.pointee.addedStride)
    var sums: Sums
    if addedStride == 0 {
      let row = InlineArray<columns, Vector> { read(added + $0 * Vector.scalarCount) }
      sums = Sums { _ in row }
    } else {
      sums = Sums { r in InlineArray { j in read(added + r * addedStride + j * Vector.scalarCount) } }
    }
    for _ in 0..<product.pointee.taps {
      let a = Pointers { source[$0] }
      multiply(&sums, depth, a, weights, width, ask)
      source += product.pointee.sourceStride
      weights += depth * width
    }
    store(sums, product.pointee.minimum, product.pointee.maximum, product.pointee.output, product.pointee.outputStride)
  }

  /// Adds to the sums what lies in rows `stride` floats apart.
  @inline(__always)
  static func add(_ sums: inout Sums, _ residual: UnsafePointer<Float>, _ stride: Int) {
    for r in 0..<rows {
      for j in 0..<columns { sums[r][j] += read(residual + r * stride + j * Vector.scalarCount) }
    }
  }

  /// Stores the clamped sums, rows `stride` floats apart.
  @inline(__always)
  static func store(
    _ sums: Sums, _ minimum: Float, _ maximum: Float, _ output: UnsafeMutablePointer<Float>, _ stride: Int
  ) {
    // Limits take as long as two multiplications.
    if minimum == -.infinity && maximum == .infinity {
      for r in 0..<rows {
        for j in 0..<columns { write(sums[r][j], output + r * stride + j * Vector.scalarCount) }
      }
    } else {
      let (minimum, maximum) = (Vector(repeating: minimum), Vector(repeating: maximum))
      for r in 0..<rows {
        for j in 0..<columns {
          write(clamped(sums[r][j], minimum, maximum), output + r * stride + j * Vector.scalarCount)
        }
      }
    }
  }
}

/// Clamps and stores the first `count` rows of a tile's sums, and of each row the first `remaining` floats. A residual,
/// which lies as the output does, is added before.
@inline(never)
func storePart(
  _ sums: UnsafePointer<Float>, _ width: Int, _ residual: UnsafePointer<Float>?, _ minimum: Float, _ maximum: Float,
  _ output: UnsafeMutablePointer<Float>, _ stride: Int, count: Int, remaining: Int
) {
  let (minimum, maximum) = (Vector(repeating: minimum), Vector(repeating: maximum))
  for r in 0..<count {
    var j = 0
    while j < min(width, remaining) {
      let place = r * stride + j
      var sum = read(sums + r * width + j)
      if let residual { sum += read(residual + place, first: remaining - j) }
      write(clamped(sum, minimum, maximum), output + place, first: remaining - j)
      j += Vector.scalarCount
    }
  }
}
