import CIntrinsics

/// Convolution and matrix product, channels last: each tile of pixels reads its taps where they lie.
func indirectGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerIndirectGEMM.self)
  let rows = GEMMTile.rowCount
  let width = GEMMTile.width
  let tiles = (p.pointee.pixels + rows - 1) / rows
  let panels = (p.pointee.outputs + width - 1) / width
  for item in begin..<end {
    let tile = p.pointee.panelMajor != 0 ? item % tiles : item / panels
    let panel = p.pointee.panelMajor != 0 ? item / tiles : item % panels
    let pixel = tile * rows
    let count = min(rows, p.pointee.pixels - pixel)
    let narrow = p.pointee.outputs - panel * width <= Vector.scalarCount
    if count == 1 {
      if narrow { Tile<1, 1>.indirect(p, pixel, count, panel) } else { Tile<1, 2>.indirect(p, pixel, count, panel) }
    } else if count <= GEMMHalfTile.rowCount {
      if narrow {
        GEMMHalfTileNarrow.indirect(p, pixel, count, panel)
      } else {
        GEMMHalfTile.indirect(p, pixel, count, panel)
      }
    } else if narrow {
      GEMMTileNarrow.indirect(p, pixel, count, panel)
    } else {
      GEMMTile.indirect(p, pixel, count, panel)
    }
  }
}

extension Tile {
  @inline(__always) static var rowCount: Int { rows }
  @inline(__always) static var width: Int { columns * Vector.scalarCount }

  /// One tile of up to `rows` pixels, `count` of which exist; the others repeat the last and are not stored.
  @inline(never)
  static func indirect(_ p: UnsafePointer<PacerIndirectGEMM>, _ pixel: Int, _ count: Int, _ panel: Int) {
    let width = GEMMTile.width
    let (taps, channels, input) = (p.pointee.taps, p.pointee.channels, p.pointee.input!)
    let remaining = p.pointee.outputs - panel * width
    var b = p.pointee.weights + panel * width * taps * channels
    var sums = zero
    if let bias = p.pointee.bias {
      for j in 0..<columns {
        let vector = read(bias + panel * width + j * Vector.scalarCount, first: remaining - j * Vector.scalarCount)
        for r in 0..<rows { sums[r][j] = vector }
      }
    }
    let (offsets, zeros, inputStride) = (p.pointee.offsets, p.pointee.zeros!, p.pointee.inputStride)
    var tap = 0
    while tap < taps {
      var a = Pointers(repeating: input)
      for r in 0..<rows {
        let row = pixel + min(r, count - 1)
        let offset = offsets.map { Int($0[row * taps + tap]) } ?? row * inputStride
        a[r] = offset < 0 ? zeros : input + offset
      }
      multiply(&sums, channels, a, b, width)
      b += channels * width
      tap += 1
    }
    let place = pixel * p.pointee.outputStride + panel * width
    store(
      sums, p.pointee.residual.map { $0 + place }, p.pointee.minimum, p.pointee.maximum, p.pointee.output + place,
      p.pointee.outputStride, count: count, remaining: remaining)
  }
}
