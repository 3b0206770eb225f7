import CIntrinsics

/// Gathers the window taps of a block of output pixels, so that the product reads them in order.
func packPixels(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPackPixels.self).pointee
  let width = PlaneTile.width
  let taps = p.kernelHeight * p.kernelWidth
  for panel in begin..<end {
    let pixel = p.firstPixel + panel * width
    let count = min(width, p.firstPixel + p.pixels - pixel)
    var target = p.packed + panel * width * p.steps
    // Counted along, not divided: a division costs as much as the products of a whole step.
    var plane = p.input + p.firstStep / taps * p.height * p.width
    var ky = p.firstStep % taps / p.kernelWidth
    var kx = p.firstStep % p.kernelWidth
    let (firstRow, firstColumn) = (pixel / p.outputWidth, pixel % p.outputWidth)
    for _ in 0..<p.steps {
      let left = kx * p.dilationWidth - p.padWidth
      var lane = 0
      var (oy, ox) = (firstRow, firstColumn)
      while lane < count {
        let run = min(p.outputWidth - ox, count - lane)
        let iy = oy * p.strideHeight - p.padHeight + ky * p.dilationHeight
        if iy >= 0 && iy < p.height {
          copyLine(
            plane + iy * p.width, length: p.width, readable: (p.height - iy) * p.width,
            start: ox * p.strideWidth + left, stride: p.strideWidth, padding: 0, to: target + lane, count: run,
            writable: width - lane)
        } else {
          fill(target + lane, 0, run)
        }
        lane += run
        ox = 0
        oy += 1
      }
      fill(target + count, 0, width - count)
      target += width
      kx += 1
      if kx == p.kernelWidth {
        kx = 0
        ky += 1
        if ky == p.kernelHeight {
          ky = 0
          plane += p.height * p.width
        }
      }
    }
  }
}

/// Weights times pixels, into planes. Where the pixels lie in planes themselves, the last panel of a plane starts early
/// enough to end with it: pixels that two panels share are computed twice, to the same bits.
func panelGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPanelGEMM.self)
  let panels = (p.pointee.pixels + PlaneTile.width - 1) / PlaneTile.width
  let blocks = (p.pointee.outputs + PlaneTile.rowCount - 1) / PlaneTile.rowCount
  let isPanelMajor = p.pointee.panelMajor != 0
  var block = isPanelMajor ? begin % blocks : begin / panels
  var panel = isPanelMajor ? begin / blocks : begin % panels
  for _ in begin..<end {
    if p.pointee.pixels - panel * PlaneTile.width <= Vector.scalarCount {
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
  static func planes(_ p: UnsafePointer<PacerPanelGEMM>, _ block: Int, _ panel: Int) {
    let steps = p.pointee.steps
    let count = min(rows, p.pointee.outputs - block * rows)
    let isPacked = p.pointee.packed != 0
    let first = isPacked ? panel * PlaneTile.width : min(panel * PlaneTile.width, p.pointee.pixels - width)
    let remaining = p.pointee.pixels - first
    let input = p.pointee.input + (isPacked ? first * steps : first)
    let stride = p.pointee.planeStride
    let output = p.pointee.output + block * rows * stride + first
    var sums = zero
    if p.pointee.first == 0 {
      sums = load(output, stride, count: count, remaining: remaining)
    } else if let bias = p.pointee.bias {
      for r in 0..<rows {
        let value = Vector(repeating: bias[min(block * rows + r, p.pointee.outputs - 1)])
        for j in 0..<columns { sums[r][j] = value }
      }
    }
    multiply(
      &sums, steps, packed: p.pointee.weights + (block * p.pointee.depth + p.pointee.firstStep) * rows, input,
      isPacked ? PlaneTile.width : stride)
    let last = p.pointee.last != 0
    store(
      sums, last ? p.pointee.minimum : -.infinity, last ? p.pointee.maximum : .infinity, output, stride, count: count,
      remaining: remaining)
  }
}
