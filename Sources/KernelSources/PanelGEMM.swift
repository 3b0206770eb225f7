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
    for step in p.firstStep..<(p.firstStep + p.steps) {
      let plane = p.input + step / taps * p.height * p.width
      let ky = step % taps / p.kernelWidth
      let kx = step % p.kernelWidth
      let left = kx * p.dilationWidth - p.padWidth
      var lane = 0
      var oy = pixel / p.outputWidth
      var ox = pixel % p.outputWidth
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
  let below = start < 0 ? min(count, (stride - 1 - start) / stride) : 0
  let inside = start >= length ? 0 : min(count, (length - 1 - start) / stride + 1)
  fill(target, below)
  var i = below
  if stride == 1 {
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
