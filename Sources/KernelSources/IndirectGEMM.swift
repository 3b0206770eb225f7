import CIntrinsics

/// Convolution and matrix product, channels last: each tile of pixels reads its taps where they lie.
func indirectGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerIndirectGEMM.self)
  let rows = GEMMTile.rowCount
  let width = GEMMTile.width
  let tiles = (p.pointee.pixels + rows - 1) / rows
  let panels = (p.pointee.outputs + width - 1) / width
  let spare = p.pointee.scratch + thread * p.pointee.scratchStride
  let sources = UnsafeMutableRawPointer(spare + rows * width).assumingMemoryBound(to: UnsafePointer<Float>.self)
  var located = -1
  for item in begin..<end {
    let tile = p.pointee.panelMajor != 0 ? item % tiles : item / panels
    let panel = p.pointee.panelMajor != 0 ? item / tiles : item % panels
    let pixel = tile * rows
    let count = min(rows, p.pointee.pixels - pixel)
    let tileRows = count == 1 ? 1 : count <= GEMMHalfTile.rowCount ? GEMMHalfTile.rowCount : rows
    if tile != located {
      locate(p, pixel, count, tileRows, sources)
      located = tile
    }
    multiplyTile(p, pixel, count, tileRows, panel, sources, spare)
  }
}

/// One tile with one panel. A tile of which a part is no output goes through `spare`, where what it adds waits too.
@inline(__always)
private func multiplyTile(
  _ p: UnsafePointer<PacerIndirectGEMM>, _ pixel: Int, _ count: Int, _ rows: Int, _ panel: Int,
  _ sources: UnsafePointer<UnsafePointer<Float>>, _ spare: UnsafeMutablePointer<Float>
) {
  let (first, taps, depth) = (panel * GEMMTile.width, p.pointee.taps, p.pointee.channels)
  let remaining = p.pointee.outputs - first
  let width = remaining <= Vector.scalarCount ? Vector.scalarCount : GEMMTile.width
  let (isWhole, stride) = (count == rows && remaining >= width, p.pointee.outputStride)
  let place = pixel * stride + first
  let (output, residual) = (p.pointee.output + place, p.pointee.residual.map { $0 + place })
  let (bias, weights) = (p.pointee.bias.map { $0 + first }, p.pointee.weights + panel * taps * depth * GEMMTile.width)
  var product = TileProduct(
    sources: sources, taps: taps, depth: depth, weights: weights, added: UnsafePointer(spare), addedStride: width,
    output: spare, outputStride: width, minimum: -.infinity, maximum: .infinity)
  if let bias, remaining >= width, residual == nil || !isWhole {
    (product.added, product.addedStride) = (bias, 0)
  } else {
    fill(spare, rows, width, bias, isWhole ? residual : nil, stride, remaining)
  }
  if isWhole {
    (product.output, product.outputStride) = (output, stride)
    (product.minimum, product.maximum) = (p.pointee.minimum, p.pointee.maximum)
  }
  withUnsafePointer(to: product) { multiply($0, rows, width) }
  if !isWhole {
    storePart(
      spare, width, residual, p.pointee.minimum, p.pointee.maximum, output, stride, count: count, remaining: remaining)
  }
}

@inline(__always)
private func multiply(_ product: UnsafePointer<TileProduct>, _ rows: Int, _ width: Int) {
  switch (rows, width == Vector.scalarCount) {
  case (1, true): Tile<1, 1>.multiply(product)
  case (1, false): Tile<1, 2>.multiply(product)
  case (GEMMHalfTile.rowCount, true): GEMMHalfTileNarrow.multiply(product)
  case (GEMMHalfTile.rowCount, false): GEMMHalfTile.multiply(product)
  case (_, true): GEMMTileNarrow.multiply(product)
  case (_, false): GEMMTile.multiply(product)
  }
}

/// What is added to a tile where that is more than a bias of whole vectors.
@inline(never)
private func fill(
  _ spare: UnsafeMutablePointer<Float>, _ rows: Int, _ width: Int, _ bias: UnsafePointer<Float>?,
  _ residual: UnsafePointer<Float>?, _ stride: Int, _ remaining: Int
) {
  for r in 0..<rows {
    var j = 0
    while j < width {
      var sum = bias.map { read($0 + j, first: remaining - j) } ?? .zero
      if let residual { sum += read(residual + r * stride + j) }
      write(sum, spare + r * width + j)
      j += Vector.scalarCount
    }
  }
}

/// Where each tap of a tile's pixels lies, `[tap][row]`; rows past the last pixel repeat it.
@inline(never)
private func locate(
  _ p: UnsafePointer<PacerIndirectGEMM>, _ pixel: Int, _ count: Int, _ rows: Int,
  _ sources: UnsafeMutablePointer<UnsafePointer<Float>>
) {
  let (taps, input) = (p.pointee.taps, p.pointee.input!)
  guard let offsets = p.pointee.offsets else {
    let last = input + (pixel + count - 1) * p.pointee.inputStride
    var source = input + pixel * p.pointee.inputStride
    for r in 0..<rows {
      sources[r] = source
      source = min(source + p.pointee.inputStride, last)
    }
    return
  }
  for r in 0..<rows {
    let row = pixel + min(r, count - 1)
    for tap in 0..<taps {
      let offset = Int(offsets[row * taps + tap])
      sources[tap * rows + r] = offset < 0 ? p.pointee.zeros : input + offset
    }
  }
}
