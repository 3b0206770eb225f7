import CIntrinsics

/// Convolution over planes: every step of the depth axis is a constant offset for all positions, so that a tile reads
/// its values where they lie. Positions that belong to no output pixel are computed and dropped.
func planeGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPlaneGEMM.self)
  let panels = (p.pointee.positions + PlaneTile.width - 1) / PlaneTile.width
  let blocks = (p.pointee.outputs + PlaneTile.rowCount - 1) / PlaneTile.rowCount
  let isPanelMajor = p.pointee.panelMajor != 0
  var block = isPanelMajor ? begin % blocks : begin / panels
  var panel = isPanelMajor ? begin / blocks : begin % panels
  let spare = p.pointee.scratch + thread * (PlaneTile.rowCount * PlaneTile.width + Vector.scalarCount)
  for _ in begin..<end {
    if p.pointee.positions - panel * PlaneTile.width <= Vector.scalarCount {
      PlaneTileNarrow.planes(p, block, panel, spare)
    } else {
      PlaneTile.planes(p, block, panel, spare)
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
  static func planes(
    _ p: UnsafePointer<PacerPlaneGEMM>, _ block: Int, _ panel: Int, _ spare: UnsafeMutablePointer<Float>
  ) {
    // Without room behind the planes the last tile starts early enough to end with them, and stores what is its own.
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
    let isPlain = p.pointee.rowWidth == p.pointee.outputWidth
    let remaining = p.pointee.positions - first
    let isWhole = isPlain && count == rows && remaining >= width && first == start
    if isWhole, let residual = p.pointee.residual { add(&sums, residual + place + first, stride) }
    multiply(&sums, depth, packed: p.pointee.weights + block * depth * rows, p.pointee.input + first, p.pointee.offsets)
    let clamps = isWhole || !isPlain && p.pointee.residual == nil
    store(
      sums, clamps ? p.pointee.epilogue.minimum : -.infinity, clamps ? p.pointee.epilogue.maximum : .infinity,
      isWhole ? p.pointee.output + place + first : spare, isWhole ? stride : width)
    if !isWhole {
      if isPlain {
        storePart(
          spare + (start - first), width, p.pointee.residual.map { $0 + place + start },
          p.pointee.epilogue.minimum, p.pointee.epilogue.maximum, p.pointee.output + place + start, stride,
          count: count,
          remaining: p.pointee.positions - start)
      } else {
        return storeRows(spare, width, p, first, block * rows, count)
      }
    }
    guard p.pointee.epilogue.kind != PacerClamp else { return }
    for r in 0..<count {
      finish(
        p.pointee.epilogue, p.pointee.output + place + r * stride + start,
        count: min(width - (start - first), p.pointee.positions - start), of: block * rows + r)
    }
  }
}

/// Stores those of the first `count` rows of a tile's sums that are output pixels. Without a residual they are clamped.
@inline(never)
private func storeRows(
  _ sums: UnsafePointer<Float>, _ width: Int, _ p: UnsafePointer<PacerPlaneGEMM>, _ first: Int, _ channel: Int,
  _ count: Int
) {
  let (low, high) = (p.pointee.epilogue.minimum, p.pointee.epilogue.maximum)
  let (minimum, maximum) = (Vector(repeating: low), Vector(repeating: high))
  let place = channel * p.pointee.planeStride
  let (rowWidth, outputWidth) = (p.pointee.rowWidth, p.pointee.outputWidth)
  let (output, residual) = (p.pointee.output + place, p.pointee.residual.map { $0 + place })
  var line = first / rowWidth
  var column = first % rowWidth
  var lane = 0
  while lane < width && line * rowWidth + column < p.pointee.positions {
    let pixels = min(outputWidth - column, width - lane)
    var source = sums + lane
    var target = output + line * outputWidth + column
    for r in 0..<count {
      if let residual {
        let added = residual + (target - output)
        var i = 0
        while i + Vector.scalarCount <= pixels {
          write(clamped(read(source + i) + read(added + i), minimum, maximum), target + i)
          i += Vector.scalarCount
        }
        while i < pixels {
          target[i] = min(max(source[i] + added[i], low), high)
          i += 1
        }
      } else {
        copyLine(
          source, length: pixels, readable: pixels, start: 0, stride: 1, padding: 0, to: target, count: pixels,
          writable: pixels)
      }
      finish(p.pointee.epilogue, target, count: pixels, of: channel + r)
      source += width
      target += p.pointee.planeStride
    }
    lane += rowWidth - column
    column = 0
    line += 1
  }
}
