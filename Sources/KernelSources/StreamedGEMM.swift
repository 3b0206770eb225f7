import CIntrinsics

/// Bytes of weights that all pixels share before they go on to the next ones: they stay in a core's second cache, beside
/// those that are on the way.
@inline(__always) private var runBytes: Int { 64 << 10 }

/// `indirectGEMM` for so few pixels that what it waits for is the weights. All pixels share a run of them after the other,
/// so that each is read once, and each tile asks for a part of the next run, so that they come as evenly as they are used
/// up. Tiles are wide rather than high, for many of them to share a run. Items: output panels × parts of the tiles.
func streamedGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerIndirectGEMM.self)
  let (pixels, taps, depth) = (p.pointee.pixels, p.pointee.taps, p.pointee.channels)
  let (rows, width) = (StreamTile.rowCount, StreamTile.width)
  let tiles = (pixels + rows - 1) / rows
  let tapsAtOnce = max(1, runBytes / (4 * width * depth))
  let spare = p.pointee.scratch + thread * p.pointee.scratchStride
  let sources = UnsafeMutableRawPointer(spare + tiles * rows * width).assumingMemoryBound(to: UnsafePointer<Float>.self)
  for tile in 0..<tiles { locate(p, tile, rows, sources + tile * rows * taps) }
  for item in begin..<end {
    let (panel, part) = item.quotientAndRemainder(dividingBy: p.pointee.parts)
    let own = tiles * part / p.pointee.parts..<tiles * (part + 1) / p.pointee.parts
    let nextPanel = (item + 1) / p.pointee.parts
    var weights = p.pointee.weights + panel * width * taps * depth
    var output = OutputTile(pixel: 0, count: 0, rows: 0, first: panel * width, width: panelWidth(p, panel, width))
    var tap = 0
    while tap < taps {
      let run = tap..<min(tap + tapsAtOnce, taps)
      let isPanelsLast = run.upperBound == taps
      let next =
        isPanelsLast ? p.pointee.weights + nextPanel * width * taps * depth : weights + run.count * depth * output.width
      let nextWidth = !isPanelsLast ? output.width : item + 1 < end ? panelWidth(p, nextPanel, width) : 0
      let nextTaps = isPanelsLast ? min(tapsAtOnce, taps) : min(tapsAtOnce, taps - run.upperBound)
      let step = NextWeights.step(count: nextTaps * depth * nextWidth, depth: run.count * depth, tiles: own.count)
      for (place, tile) in own.enumerated() {
        output.pixel = tile * rows
        output.count = min(rows, pixels - output.pixel)
        output.rows = tileRows(output.count)
        let ahead = NextWeights(next, step: step, depth: run.count * depth, tile: place)
        multiplyTile(
          p, output, run, sources + output.pixel * taps, rows, weights, spare + output.pixel * width
        ) { multiply($0, output.rows, columns: output.width / Vector.scalarCount, ahead) }
      }
      tap = run.upperBound
      weights = next
    }
  }
}

/// Rows of the smallest tile for so many.
@inline(__always)
private func tileRows(_ count: Int) -> Int { count == 1 ? 1 : count <= 2 ? 2 : count <= 4 ? 4 : StreamTile.rowCount }

@inline(__always)
private func multiply(
  _ product: UnsafePointer<TileProduct>, _ rows: Int, columns: Int, _ ahead: NextWeights
) {
  switch columns {
  case 1: StreamTileOf<1>.multiply(product, rows, ahead)
  case 2: StreamTileOf<2>.multiply(product, rows, ahead)
  case 3 where StreamTile.columnCount > 2: StreamTileOf<3>.multiply(product, rows, ahead)
  default: StreamTile.multiply(product, rows, ahead)
  }
}

extension Tile {
  @inline(__always)
  fileprivate static func multiply(_ product: UnsafePointer<TileProduct>, _ rows: Int, _ ahead: NextWeights) {
    switch rows {
    case 1: Tile<1, columns>.multiply(product, ahead)
    case 2: Tile<2, columns>.multiply(product, ahead)
    case 4: Tile<4, columns>.multiply(product, ahead)
    default: multiply(product, ahead)
    }
  }
}
