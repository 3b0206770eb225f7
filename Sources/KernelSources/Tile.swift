import CIntrinsics

/// A register tile of `rows × columns` vectors of sums.
struct Tile<let rows: Int, let columns: Int> {
  typealias Sums = InlineArray<rows, InlineArray<columns, Vector>>
  typealias Pointers = InlineArray<rows, UnsafePointer<Float>>

  @inline(__always) static var zero: Sums { Sums(repeating: InlineArray(repeating: .zero)) }

  /// `sums[r][j] += Σₖ a[r][k] · b[k][j]`, the values of `a` at their own pointers, `b` in steps of `width` floats.
  @inline(__always)
  static func multiply(
    _ sums: inout Sums, _ depth: Int, _ a: Pointers, _ b: UnsafePointer<Float>, _ width: Int
  ) {
    var b = b
    var k = 0
    while k < depth {
      var weights = InlineArray<columns, Vector>(repeating: .zero)
      for j in 0..<columns { weights[j] = read(b + j * Vector.scalarCount) }
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
      var pixels = InlineArray<columns, Vector>(repeating: .zero)
      for j in 0..<columns { pixels[j] = read(values + j * Vector.scalarCount) }
      for r in 0..<rows {
        let value = Vector(repeating: a[r])
        for j in 0..<columns { sums[r][j] = multiplyAdd(sums[r][j], value, pixels[j]) }
      }
      a += rows
      k += 1
    }
  }

  /// Stores the clamped sums of the first `count` rows, `stride` floats apart, and of each row the first `remaining`
  /// floats. A residual, which lies as the output does, is added before.
  ///
  /// Sums are indexed by constants alone: one index that varies, and the compiler keeps them in memory all along.
  @inline(__always)
  static func store(
    _ sums: Sums, _ residual: UnsafePointer<Float>?, _ minimum: Float, _ maximum: Float,
    _ output: UnsafeMutablePointer<Float>, _ stride: Int, count: Int, remaining: Int
  ) {
    let (minimum, maximum) = (Vector(repeating: minimum), Vector(repeating: maximum))
    if count == rows && remaining >= columns * Vector.scalarCount, let residual {
      for r in 0..<rows {
        for j in 0..<columns {
          let place = r * stride + j * Vector.scalarCount
          write(clamped(sums[r][j] + read(residual + place), minimum, maximum), output + place)
        }
      }
    } else if count == rows && remaining >= columns * Vector.scalarCount {
      for r in 0..<rows {
        for j in 0..<columns {
          write(clamped(sums[r][j], minimum, maximum), output + r * stride + j * Vector.scalarCount)
        }
      }
    } else {
      var copy = sums
      withUnsafeBytes(of: &copy) { raw in
        let vectors = raw.baseAddress!.assumingMemoryBound(to: Vector.self)
        var i = 0
        while i < count * columns {
          let j = i % columns * Vector.scalarCount
          let place = i / columns * stride + j
          let sum = residual.map { vectors[i] + read($0 + place, first: remaining - j) } ?? vectors[i]
          write(clamped(sum, minimum, maximum), output + place, first: remaining - j)
          i += 1
        }
      }
    }
  }
}
