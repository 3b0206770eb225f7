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
          gather(
            plane + iy * p.width, p.width, (p.height - iy) * p.width, ox * p.strideWidth + left, p.strideWidth,
            target + lane, run, width - lane)
        } else {
          fill(target + lane, run)
        }
        lane += run
        ox = 0
        oy += 1
      }
      fill(target + count, width - count)
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

@inline(__always) private func fill(_ target: UnsafeMutablePointer<Float>, _ count: Int) {
  var i = 0
  while i < count {
    target[i] = 0
    i += 1
  }
}

/// `target[i] = line[start + i · stride]`, 0 outside the line. Up to `readable` floats of the line and what follows it
/// may be read, and up to `writable` of the target written: what is written past `count`, later runs overwrite.
@inline(__always)
private func gather(
  _ line: UnsafePointer<Float>, _ length: Int, _ readable: Int, _ start: Int, _ stride: Int,
  _ target: UnsafeMutablePointer<Float>, _ count: Int, _ writable: Int
) {
  // Divisions are slow, and a stride of 1 needs none.
  let isDense = stride == 1
  let below = start < 0 ? min(count, isDense ? -start : (stride - 1 - start) / stride) : 0
  let inside = start >= length ? 0 : min(count, isDense ? length - start : (length - 1 - start) / stride + 1)
  fill(target, below)
  var i = below
  if isDense {
    let source = line + start
    while i < inside && i + Vector.scalarCount <= writable && start + i + Vector.scalarCount <= readable {
      write(read(source + i), target + i)
      i += Vector.scalarCount
    }
    while i < inside {
      target[i] = source[i]
      i += 1
    }
  } else {
    while i < inside {
      target[i] = line[start + i * stride]
      i += 1
    }
  }
  fill(target + max(below, inside), count - max(below, inside))
}

/// Weights times packed pixels, into planes.
func panelGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPanelGEMM.self)
  let panels = (p.pointee.pixels + PlaneTile.width - 1) / PlaneTile.width
  for item in begin..<end {
    let panel = item % panels
    if p.pointee.pixels - panel * PlaneTile.width <= Vector.scalarCount {
      PlaneTileNarrow.planes(p, item / panels, panel)
    } else {
      PlaneTile.planes(p, item / panels, panel)
    }
  }
}

extension Tile {
  @inline(never)
  static func planes(_ p: UnsafePointer<PacerPanelGEMM>, _ block: Int, _ panel: Int) {
    let width = PlaneTile.width
    let steps = p.pointee.steps
    let count = min(rows, p.pointee.outputs - block * rows)
    let remaining = p.pointee.pixels - panel * width
    let stride = p.pointee.planeStride
    let output = p.pointee.output + block * rows * stride + panel * width
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
      &sums, steps, packed: p.pointee.weights + (block * p.pointee.depth + p.pointee.firstStep) * rows,
      p.pointee.packed + panel * width * steps, width)
    let last = p.pointee.last != 0
    store(
      sums, last ? p.pointee.minimum : -.infinity, last ? p.pointee.maximum : .infinity, output, stride, count: count,
      remaining: remaining)
  }
}
