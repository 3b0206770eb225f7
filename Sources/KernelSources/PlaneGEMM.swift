import CIntrinsics

/// Convolution over planes: every step of the depth axis is a constant offset for all positions, so that a tile reads
/// its values where they lie. Positions that belong to no output pixel are computed and dropped.
func planeGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPlaneGEMM.self)
  let panels = (p.pointee.positions + PlaneTile.width - 1) / PlaneTile.width
  let blocks = (p.pointee.outputs + PlaneTile.rowCount - 1) / PlaneTile.rowCount
  let isPanelMajor = p.pointee.panelMajor != 0
  var block = isPanelMajor ? begin % blocks : begin / panels
  var panel = isPanelMajor ? begin / blocks : begin % panels
  for _ in begin..<end {
    if p.pointee.positions - panel * PlaneTile.width <= Vector.scalarCount {
      PlaneTileNarrow.planes(p, block, panel)
    } else {
      PlaneTile.planes(p, block, panel)
    }
    if isPanelMajor {
      block += 1
      if block == blocks { (block, panel) = (0, panel + 1) }
    } else {
      panel += 1
      if panel == panels { (block, panel) = (block + 1, 0) }
    }
  }
}

extension Tile {
  @inline(never)
  static func planes(_ p: UnsafePointer<PacerPlaneGEMM>, _ block: Int, _ panel: Int) {
    // Without room behind the planes the last tile starts early enough to end with them. Values that two tiles share
    // are computed twice, to the same bits.
    let start = panel * PlaneTile.width
    let first = p.pointee.hasSlack != 0 ? start : min(start, p.pointee.positions - width)
    let (depth, stride) = (p.pointee.depth, p.pointee.planeStride)
    let count = min(rows, p.pointee.outputs - block * rows)
    let place = block * rows * stride
    var sums = zero
    if let bias = p.pointee.bias {
      for r in 0..<rows {
        let value = Vector(repeating: bias[min(block * rows + r, p.pointee.outputs - 1)])
        for j in 0..<columns { sums[r][j] = value }
      }
    }
    multiply(&sums, depth, packed: p.pointee.weights + block * depth * rows, p.pointee.input + first, p.pointee.offsets)
    if p.pointee.rowWidth == p.pointee.outputWidth {
      store(
        sums, p.pointee.residual.map { $0 + place + first }, p.pointee.minimum, p.pointee.maximum,
        p.pointee.output + place + first, stride, count: count, remaining: p.pointee.positions - first)
    } else {
      storeRows(sums, p, first, place, count)
    }
  }

  /// Stores the positions that are output pixels.
  @inline(__always)
  private static func storeRows(
    _ sums: Sums, _ p: UnsafePointer<PacerPlaneGEMM>, _ first: Int, _ place: Int, _ count: Int
  ) {
    let (minimum, maximum) = (Vector(repeating: p.pointee.minimum), Vector(repeating: p.pointee.maximum))
    let (rowWidth, outputWidth) = (p.pointee.rowWidth, p.pointee.outputWidth)
    let (output, residual) = (p.pointee.output + place, p.pointee.residual.map { $0 + place })
    var copy = sums
    if residual == nil {
      for r in 0..<rows {
        for j in 0..<columns { copy[r][j] = clamped(sums[r][j], minimum, maximum) }
      }
    }
    withUnsafeBytes(of: &copy) { raw in
      var line = first / rowWidth
      var column = first % rowWidth
      var lane = 0
      while lane < width && line * rowWidth + column < p.pointee.positions {
        let pixels = min(outputWidth - column, width - lane)
        var source = raw.baseAddress!.assumingMemoryBound(to: Float.self) + lane
        var target = output + line * outputWidth + column
        var r = 0
        while r < count {
          if let residual {
            let added = residual + (target - output)
            var i = 0
            while i + Vector.scalarCount <= pixels {
              write(clamped(read(source + i) + read(added + i), minimum, maximum), target + i)
              i += Vector.scalarCount
            }
            while i < pixels {
              target[i] = min(max(source[i] + added[i], p.pointee.minimum), p.pointee.maximum)
              i += 1
            }
          } else {
            copyLine(
              source, length: pixels, readable: pixels, start: 0, stride: 1, padding: 0, to: target, count: pixels,
              writable: pixels)
          }
          source += width
          target += p.pointee.planeStride
          r += 1
        }
        lane += rowWidth - column
        column = 0
        line += 1
      }
    }
  }
}
