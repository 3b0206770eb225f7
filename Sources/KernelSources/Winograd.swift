import CIntrinsics

/// 3×3 convolution by Winograd's F(4×4, 3×3), channels last.
///
/// A block of tiles goes all the way while it is in cache: its 6×6 values to 36 matrices, their products with one panel of
/// the weights after the other, and each product to 4×4 outputs a tile. Where one block's values are too many for that,
/// each matrix meets all panels at once.
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
    var panel = panels * part / parts
    let end = panels * (part + 1) / parts
    while panel < end {
      let group = panel..<min(panel + p.pointee.panelsAtOnce, end)
      winogradProducts(p, values, count, group, sums, sources)
      let size = count * GEMMTile.width
      for (place, panel) in group.enumerated() {
        for i in 0..<count {
          winogradOutput(p, first + i, sums + place * size + i * GEMMTile.width, group.count * size, panel, lines)
        }
      }
      panel = group.upperBound
    }
  }
}

/// Vectors in memory.
private struct Lines {
  let pointer: UnsafeMutablePointer<Float>
  @_transparent init(_ pointer: UnsafeMutablePointer<Float>) { self.pointer = pointer }

  subscript(index: Int) -> Vector {
    @inline(__always) get { read(pointer + index * Vector.scalarCount) }
    @inline(__always) nonmutating set { write(newValue, pointer + index * Vector.scalarCount) }
  }
}

/// Bᵀ d of one line of six.
@_transparent private func inputLine(
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
    winogradInput(sources, c, Vector.scalarCount, target + c, stride, lines)
    c += Vector.scalarCount
  }
  if c < channels { winogradInput(sources, c, channels - c, target + c, stride, lines) }
}

/// One vector of channels, or the first `count` of it.
@inline(__always)
private func winogradInput(
  _ sources: UnsafePointer<UnsafePointer<Float>>, _ c: Int, _ count: Int, _ target: UnsafeMutablePointer<Float>,
  _ stride: Int, _ lines: Lines
) {
  for x in 0..<6 {
    let line = inputLine(
      read(sources[x] + c, first: count), read(sources[6 + x] + c, first: count),
      read(sources[12 + x] + c, first: count), read(sources[18 + x] + c, first: count),
      read(sources[24 + x] + c, first: count), read(sources[30 + x] + c, first: count))
    (lines[x], lines[6 + x], lines[12 + x]) = (line.0, line.1, line.2)
    (lines[18 + x], lines[24 + x], lines[30 + x]) = (line.3, line.4, line.5)
  }
  for y in 0..<6 {
    let l = 6 * y
    let row = inputLine(lines[l], lines[l + 1], lines[l + 2], lines[l + 3], lines[l + 4], lines[l + 5])
    let place = target + l * stride
    write(row.0, place, first: count)
    write(row.1, place + stride, first: count)
    write(row.2, place + 2 * stride, first: count)
    write(row.3, place + 3 * stride, first: count)
    write(row.4, place + 4 * stride, first: count)
    write(row.5, place + 5 * stride, first: count)
  }
}

/// The 36 products of a block's values, `count × channels` each, with a range of the weights' panels:
/// `[36][panel][count][panel's width]`. `sums` has room for a register tile more.
private func winogradProducts(
  _ p: UnsafePointer<PacerWinograd>, _ values: UnsafePointer<Float>, _ count: Int, _ range: Range<Int>,
  _ sums: UnsafeMutablePointer<Float>, _ sources: UnsafeMutablePointer<UnsafePointer<Float>>
) {
  let (channels, width) = (p.pointee.channels, GEMMTile.width)
  func weights(_ panel: Int, _ matrix: Int) -> UnsafePointer<Float> {
    p.pointee.weights + (panel * 36 + matrix) * channels * width
  }
  let tiles = (count + GEMMTile.rowCount - 1) / GEMMTile.rowCount
  let step = NextWeights.step(count: channels * width, depth: channels, tiles: tiles)
  var (a, output) = (values, sums)
  for matrix in 0..<36 {
    for panel in range {
      let isLast = panel + 1 == range.upperBound
      let next = isLast ? weights(range.lowerBound, min(matrix + 1, 35)) : weights(panel + 1, matrix)
      var first = 0
      for tile in 0..<tiles {
        let remaining = count - first
        // Two half tiles are less work than a whole one and a half one for a few rows.
        let isHalf =
          remaining <= GEMMHalfTile.rowCount
          || remaining > GEMMTile.rowCount && remaining <= 2 * GEMMHalfTile.rowCount
        let rows = isHalf ? GEMMHalfTile.rowCount : GEMMTile.rowCount
        for r in 0..<rows { sources[r] = a + min(first + r, count - 1) * channels }
        let product = TileProduct(
          sources: sources, taps: 1, depth: channels, weights: weights(panel, matrix), added: p.pointee.zeros,
          addedStride: 0, output: output + first * width, outputStride: width, minimum: -.infinity, maximum: .infinity)
        // One panel's matrices lie one behind the other.
        let ahead =
          range.count == 1 ? nil : NextWeights(next, step: step, depth: channels, tile: tile)
        withUnsafePointer(to: product) { multiply($0, isHalf, ahead) }
        first += rows
      }
      output += count * width
    }
    a += count * channels
  }
}

@inline(__always)
private func multiply(_ product: UnsafePointer<TileProduct>, _ isHalf: Bool, _ ahead: NextWeights?) {
  switch (isHalf, ahead) {
  case (true, nil): GEMMHalfTile.multiply(product)
  case (false, nil): GEMMTile.multiply(product)
  case (true, let ahead?): GEMMHalfTile.multiply(product, ahead)
  case (false, let ahead?): GEMMTile.multiply(product, ahead)
  }
}

/// The 4×4 outputs of one tile, one panel of them, from 36 sums that lie `stride` floats apart.
@inline(never)
private func winogradOutput(
  _ p: UnsafePointer<PacerWinograd>, _ tile: Int, _ sums: UnsafePointer<Float>, _ stride: Int, _ panel: Int,
  _ lines: Lines
) {
  let (top, left) = (tile / p.pointee.tilesAcross * 4, tile % p.pointee.tilesAcross * 4)
  let (rows, columns) = (min(4, p.pointee.outputHeight - top), min(4, p.pointee.outputWidth - left))
  let (outputs, outputWidth) = (p.pointee.outputs, p.pointee.outputWidth)
  let (minimum, maximum) = (Vector(repeating: p.pointee.minimum), Vector(repeating: p.pointee.maximum))
  var j = 0
  while j < GEMMTile.width {
    let channel = panel * GEMMTile.width + j
    let count = outputs - channel
    if count <= 0 { break }
    for x in 0..<6 {
      let m = sums + x * stride + j
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
    j += Vector.scalarCount
  }
}
