import CIntrinsics

/// Convolution and matrix product, channels last: each tile of pixels reads its taps where they lie. For a few pixels and
/// many weights see `streamedGEMM`.
func indirectGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerIndirectGEMM.self)
  let rows = GEMMTile.rowCount
  let width = GEMMTile.width
  let tiles = (p.pointee.pixels + rows - 1) / rows
  let panels = (p.pointee.outputs + width - 1) / width
  let spare = p.pointee.scratch + thread * p.pointee.scratchStride
  let sources = UnsafeMutableRawPointer(spare + rows * width).assumingMemoryBound(to: UnsafePointer<Float>.self)
  var located = -1
  // Places are counted on: a division for each item would cost as much as some steps of a tile.
  let isPanelMajor = p.pointee.panelMajor != 0
  var (tile, panel) = isPanelMajor ? (begin % tiles, begin / tiles) : (begin / panels, begin % panels)
  for _ in begin..<end {
    let pixel = tile * rows
    let count = min(rows, p.pointee.pixels - pixel)
    let tileRows = count == 1 ? 1 : count <= GEMMHalfTile.rowCount ? GEMMHalfTile.rowCount : rows
    if tile != located {
      locate(p, tile, rows, sources)
      located = tile
    }
    let output = OutputTile(
      pixel: pixel, count: count, rows: tileRows, first: panel * width, width: panelWidth(p, panel, width))
    let weights = p.pointee.weights + panel * width * p.pointee.taps * p.pointee.channels
    multiplyTile(p, output, 0..<p.pointee.taps, sources, rows, weights, spare) { multiply($0, tileRows, output.width) }
    if isPanelMajor {
      tile += 1
      if tile == tiles { (tile, panel) = (0, panel + 1) }
    } else {
      panel += 1
      if panel == panels { (tile, panel) = (tile + 1, 0) }
    }
  }
}

/// Where a register tile's sums go: `count` pixels from `pixel` on, as many outputs as there are of `width` from `first` on.
struct OutputTile {
  var pixel: Int
  var count: Int
  /// Of the register tile, which may have more than there are pixels.
  var rows: Int
  var first: Int
  var width: Int
}

/// Outputs of a panel: the last one is of as many vectors as are needed.
@inline(__always)
func panelWidth(_ p: UnsafePointer<PacerIndirectGEMM>, _ panel: Int, _ width: Int) -> Int {
  let remaining = p.pointee.outputs - panel * width
  return min(width, (remaining + Vector.scalarCount - 1) / Vector.scalarCount * Vector.scalarCount)
}

/// One tile with some taps of one panel. Sums wait in `spare` where other taps follow, and there goes a tile of which a
/// part is no output, and what it adds.
@inline(__always)
func multiplyTile(
  _ p: UnsafePointer<PacerIndirectGEMM>, _ tile: OutputTile, _ taps: Range<Int>,
  _ sources: UnsafePointer<UnsafePointer<Float>>, _ sourceStride: Int, _ weights: UnsafePointer<Float>,
  _ spare: UnsafeMutablePointer<Float>, _ multiply: (UnsafePointer<TileProduct>) -> Void
) {
  let (first, width) = (tile.first, tile.width)
  let remaining = p.pointee.outputs - first
  let (isFirst, isLast) = (taps.lowerBound == 0, taps.upperBound == p.pointee.taps)
  let (isWhole, stride) = (tile.count == tile.rows && remaining >= width, p.pointee.outputStride)
  let place = tile.pixel * stride + first
  let (output, residual) = (p.pointee.output + place, p.pointee.residual.map { $0 + place })
  let bias = p.pointee.bias.map { $0 + first }
  var product = TileProduct(
    sources: sources + taps.lowerBound * sourceStride, sourceStride: sourceStride, taps: taps.count,
    depth: p.pointee.channels, weights: weights, added: UnsafePointer(spare), addedStride: width, output: spare,
    outputStride: width, minimum: -.infinity, maximum: .infinity)
  if isFirst {
    if let bias, remaining >= width, residual == nil || !isWhole {
      (product.added, product.addedStride) = (bias, 0)
    } else {
      fill(spare, tile.rows, width, bias, isWhole ? residual : nil, stride, remaining)
    }
  }
  if isLast && isWhole {
    (product.output, product.outputStride) = (output, stride)
    (product.minimum, product.maximum) = (p.pointee.epilogue.minimum, p.pointee.epilogue.maximum)
  }
  withUnsafePointer(to: product) { multiply($0) }
  guard isLast else { return }
  if !isWhole {
    storePart(
      spare, width, residual, p.pointee.epilogue.minimum, p.pointee.epilogue.maximum, output, stride,
      count: tile.count, remaining: remaining)
  }
  if p.pointee.epilogue.kind != PacerClamp { finishTile(p, tile) }
}

@inline(never)
private func finishTile(_ p: UnsafePointer<PacerIndirectGEMM>, _ tile: OutputTile) {
  let stride = p.pointee.outputStride
  finish(
    p.pointee.epilogue, p.pointee.output + tile.pixel * stride + tile.first, stride: stride, rows: tile.count,
    first: tile.first, count: min(tile.width, p.pointee.outputs - tile.first))
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

/// Where each tap of a tile's pixels lies, `[tap][rows]`; rows past the last pixel repeat it.
@inline(never)
func locate(
  _ p: UnsafePointer<PacerIndirectGEMM>, _ tile: Int, _ rows: Int,
  _ sources: UnsafeMutablePointer<UnsafePointer<Float>>
) {
  let (count, input, zeros) = (p.pointee.taps * rows, p.pointee.input!, p.pointee.zeros!)
  if let offsets = p.pointee.offsets.map({ $0 + tile * count }) {
    for i in 0..<count { sources[i] = offsets[i] < 0 ? zeros : input + Int(offsets[i]) }
  } else {
    let last = input + (p.pointee.pixels - 1) * p.pointee.inputStride
    var source = input + tile * rows * p.pointee.inputStride
    for r in 0..<rows {
      sources[r] = source
      source = min(source + p.pointee.inputStride, last)
    }
  }
}
