import CIntrinsics

/// 3×3 convolution by Winograd's F(4×4, 3×3), channels last.
///
/// A block of tiles goes all the way while it is in cache: its 6×6 values to 36 matrices, their products with one panel of
/// the weights after the other, and each product to 4×4 outputs a tile. For a few tiles and many weights see
/// `streamedWinograd`.
func winograd(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerWinograd.self)
  let panels = (p.pointee.outputs + GEMMTile.width - 1) / GEMMTile.width
  let (block, parts) = (p.pointee.blockTiles, p.pointee.parts)
  // First pointers and vectors of one tile, then a block's values, then its sums.
  let sources = UnsafeMutableRawPointer(p.pointee.scratch + thread * p.pointee.scratchStride)
    .assumingMemoryBound(to: UnsafePointer<Float>.self)
  let lines = Lines(UnsafeMutableRawPointer(sources + 36).assumingMemoryBound(to: Float.self))
  let values = lines.pointer + 36 * Vector.scalarCount
  let sums = values + 36 * block * p.pointee.channels
  var transformed = -1
  for item in begin..<end {
    let (index, part) = (item / parts, item % parts)
    let first = index * block
    let count = min(block, p.pointee.tiles - first)
    if index != transformed {
      for i in 0..<count {
        winogradInput(p, first + i, values + i * p.pointee.channels, count * p.pointee.channels, sources, lines)
      }
      transformed = index
    }
    for panel in panels * part / parts..<panels * (part + 1) / parts {
      winogradProducts(p, values, count, panel, sums, sources)
      let outputs = (panel * GEMMTile.width)..<min((panel + 1) * GEMMTile.width, p.pointee.outputs)
      for i in 0..<count {
        winogradOutput(p, first + i, outputs, sums + i * GEMMTile.width, count * GEMMTile.width, lines)
      }
    }
  }
}

/// Vectors in memory.
struct Lines {
  let pointer: UnsafeMutablePointer<Float>
  @_transparent init(_ pointer: UnsafeMutablePointer<Float>) { self.pointer = pointer }

  subscript(index: Int) -> Vector {
    @inline(__always) get { read(pointer + index * Vector.scalarCount) }
    @inline(__always) nonmutating set { write(newValue, pointer + index * Vector.scalarCount) }
  }
}

/// Bᵀ d of one line of six.
@_transparent func inputLine(
  _ d0: Vector, _ d1: Vector, _ d2: Vector, _ d3: Vector, _ d4: Vector, _ d5: Vector
) -> (Vector, Vector, Vector, Vector, Vector, Vector) {
  let (four, five) = (Vector(repeating: 4), Vector(repeating: -5))
  let a = multiplyAdd(d4, d2, -four)
  let b = multiplyAdd(d3, d1, -four)
  let c = d4 - d2
  let d = (d3 - d1) + (d3 - d1)
  return (
    multiplyAdd(multiplyAdd(d4, d2, five), d0, four), a + b, a - b, c + d, c - d,
    multiplyAdd(multiplyAdd(d5, d3, five), d1, four)
  )
}

/// Aᵀ m of one line of six.
@_transparent private func outputLine(
  _ m0: Vector, _ m1: Vector, _ m2: Vector, _ m3: Vector, _ m4: Vector, _ m5: Vector
) -> (Vector, Vector, Vector, Vector) {
  let (a, b, c, d) = (m1 + m2, m1 - m2, m3 + m4, m3 - m4)
  return (
    m0 + a + c, multiplyAdd(b, d, Vector(repeating: 2)), multiplyAdd(a, c, Vector(repeating: 4)),
    multiplyAdd(b, d, Vector(repeating: 8)) + m5
  )
}

/// The 36 values of one tile, all its channels, `stride` floats apart.
@inline(never)
private func winogradInput(
  _ p: UnsafePointer<PacerWinograd>, _ tile: Int, _ target: UnsafeMutablePointer<Float>, _ stride: Int,
  _ sources: UnsafeMutablePointer<UnsafePointer<Float>>, _ lines: Lines
) {
  forEachValue(p, tile, sources, lines, inputLine) { channel, count, index, value in
    write(value, target + index * stride + channel, first: count)
  }
}

/// Hands out the values of one tile, `count` channels from `channel` on, by their index among the 36.
@inline(__always)
func forEachValue(
  _ p: UnsafePointer<PacerWinograd>, _ tile: Int, _ sources: UnsafeMutablePointer<UnsafePointer<Float>>, _ lines: Lines,
  _ transform: (Vector, Vector, Vector, Vector, Vector, Vector) -> (Vector, Vector, Vector, Vector, Vector, Vector),
  _ body: (_ channel: Int, _ count: Int, _ index: Int, Vector) -> Void
) {
  let (channels, width) = (p.pointee.channels, p.pointee.width)
  let top = tile / p.pointee.tilesAcross * 4 - p.pointee.padHeight
  let left = tile % p.pointee.tilesAcross * 4 - p.pointee.padWidth
  for y in 0..<6 {
    for x in 0..<6 {
      let (line, column) = (top + y, left + x)
      let inside = line >= 0 && line < p.pointee.height && column >= 0 && column < width
      sources[6 * y + x] = inside ? p.pointee.input + (line * width + column) * channels : p.pointee.zeros
    }
  }
  var c = 0
  while c + Vector.scalarCount <= channels {
    forEachValue(sources, c, Vector.scalarCount, lines, transform, body)
    c += Vector.scalarCount
  }
  if c < channels { forEachValue(sources, c, channels - c, lines, transform, body) }
}

@inline(__always)
private func forEachValue(
  _ sources: UnsafePointer<UnsafePointer<Float>>, _ c: Int, _ count: Int, _ lines: Lines,
  _ transform: (Vector, Vector, Vector, Vector, Vector, Vector) -> (Vector, Vector, Vector, Vector, Vector, Vector),
  _ body: (_ channel: Int, _ count: Int, _ index: Int, Vector) -> Void
) {
  for x in 0..<6 {
    let line = transform(
      read(sources[x] + c, first: count), read(sources[6 + x] + c, first: count),
      read(sources[12 + x] + c, first: count), read(sources[18 + x] + c, first: count),
      read(sources[24 + x] + c, first: count), read(sources[30 + x] + c, first: count))
    (lines[x], lines[6 + x], lines[12 + x]) = (line.0, line.1, line.2)
    (lines[18 + x], lines[24 + x], lines[30 + x]) = (line.3, line.4, line.5)
  }
  for y in 0..<6 {
    let l = 6 * y
    let row = transform(lines[l], lines[l + 1], lines[l + 2], lines[l + 3], lines[l + 4], lines[l + 5])
    body(c, count, l, row.0)
    body(c, count, l + 1, row.1)
    body(c, count, l + 2, row.2)
    body(c, count, l + 3, row.3)
    body(c, count, l + 4, row.4)
    body(c, count, l + 5, row.5)
  }
}

/// The 36 products of a block's values, `count × channels` each, with a panel of the weights: `[36][count][panel's
/// width]`. `sums` has room for a register tile more.
private func winogradProducts(
  _ p: UnsafePointer<PacerWinograd>, _ values: UnsafePointer<Float>, _ count: Int, _ panel: Int,
  _ sums: UnsafeMutablePointer<Float>, _ sources: UnsafeMutablePointer<UnsafePointer<Float>>
) {
  let (channels, width) = (p.pointee.channels, GEMMTile.width)
  var weights = p.pointee.weights + panel * 36 * channels * width
  var (a, output) = (values, sums)
  for _ in 0..<36 {
    var first = 0
    while first < count {
      let remaining = count - first
      // Two half tiles are less work than a whole one and a half one for a few rows.
      let isHalf =
        remaining <= GEMMHalfTile.rowCount
        || remaining > GEMMTile.rowCount && remaining <= 2 * GEMMHalfTile.rowCount
      let rows = isHalf ? GEMMHalfTile.rowCount : GEMMTile.rowCount
      for r in 0..<rows { sources[r] = a + min(first + r, count - 1) * channels }
      let product = TileProduct(
        sources: sources, sourceStride: 0, taps: 1, depth: channels, weights: weights, added: p.pointee.zeros,
        addedStride: 0,
        output: output + first * width, outputStride: width, minimum: -.infinity, maximum: .infinity)
      withUnsafePointer(to: product) { isHalf ? GEMMHalfTile.multiply($0) : GEMMTile.multiply($0) }
      first += rows
    }
    weights += channels * width
    a += count * channels
    output += count * width
  }
}

/// The 4×4 outputs of one tile, some of its channels, from 36 sums that lie `stride` floats apart.
@inline(never)
func winogradOutput(
  _ p: UnsafePointer<PacerWinograd>, _ tile: Int, _ range: Range<Int>, _ sums: UnsafePointer<Float>, _ stride: Int,
  _ lines: Lines
) {
  let (top, left) = (tile / p.pointee.tilesAcross * 4, tile % p.pointee.tilesAcross * 4)
  let (rows, columns) = (min(4, p.pointee.outputHeight - top), min(4, p.pointee.outputWidth - left))
  let (outputs, outputWidth) = (p.pointee.outputs, p.pointee.outputWidth)
  let (minimum, maximum) = (
    Vector(repeating: p.pointee.epilogue.minimum), Vector(repeating: p.pointee.epilogue.maximum)
  )
  var channel = range.lowerBound
  while channel < range.upperBound {
    let count = outputs - channel
    for x in 0..<6 {
      let m = sums + x * stride + (channel - range.lowerBound)
      let line = outputLine(
        read(m), read(m + 6 * stride), read(m + 12 * stride), read(m + 18 * stride), read(m + 24 * stride),
        read(m + 30 * stride))
      (lines[x], lines[6 + x], lines[12 + x], lines[18 + x]) = (line.0, line.1, line.2, line.3)
    }
    let bias = p.pointee.bias.map { read($0 + channel, first: count) } ?? .zero
    for y in 0..<rows {
      let l = 6 * y
      let row = outputLine(lines[l], lines[l + 1], lines[l + 2], lines[l + 3], lines[l + 4], lines[l + 5])
      (lines[24], lines[25], lines[26], lines[27]) = (row.0, row.1, row.2, row.3)
      for x in 0..<columns {
        let place = ((top + y) * outputWidth + left + x) * outputs + channel
        var sum = lines[24 + x] + bias
        if let residual = p.pointee.residual { sum += read(residual + place, first: count) }
        write(clamped(sum, minimum, maximum), p.pointee.output + place, first: count)
      }
    }
    channel += Vector.scalarCount
  }
  let count = min(range.upperBound, outputs) - range.lowerBound
  for y in 0..<rows {
    finish(
      p.pointee.epilogue, p.pointee.output + ((top + y) * outputWidth + left) * outputs + range.lowerBound,
      stride: outputs, rows: columns, first: range.lowerBound, count: count)
  }
}
