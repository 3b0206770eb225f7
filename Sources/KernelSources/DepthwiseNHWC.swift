import CIntrinsics

/// Depthwise convolution, channels last, and where asked the convolution before it and the pointwise one behind it, row by row.
///
/// Rows of the depthwise input are made or copied, with zeros beside them, into a ring that holds as many as its window
/// is high; each row it gives goes into the product behind it. So what is between the convolutions stays in cache.
func depthwiseNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDepthwiseNHWC.self)
  let channels = p.pointee.channels
  let span = (p.pointee.kernelHeight - 1) * p.pointee.dilationHeight + 1
  let border = p.pointee.padWidth * channels
  let rowStride = p.pointee.width * channels + 2 * border
  let ring = p.pointee.scratch + thread * p.pointee.scratchStride
  // Behind the ring a vector that the last channels of the last row may be read with.
  let line = ring + span * rowStride + Vector.scalarCount
  for slot in 0..<span {
    fill(ring + slot * rowStride, 0, border)
    fill(ring + (slot + 1) * rowStride - border, 0, border)
  }
  fill(ring + span * rowStride, 0, Vector.scalarCount)
  let projects = p.pointee.project.weights != nil
  let lineCount = projects ? p.pointee.outputWidth * channels : 0
  withUnsafeTemporaryAllocation(of: UnsafePointer<Float>.self, capacity: p.pointee.kernelHeight) { rows in
    var next = 0
    for oy in begin..<end {
      let top = oy * p.pointee.strideHeight - p.pointee.padHeight
      next = max(next, top)
      while next < min(top + span, p.pointee.height) {
        makeRow(p, next, ring + next % span * rowStride + border, line + lineCount, thread)
        next += 1
      }
      for ky in 0..<p.pointee.kernelHeight {
        let y = top + ky * p.pointee.dilationHeight
        rows[ky] = y >= 0 && y < p.pointee.height ? UnsafePointer(ring + y % span * rowStride) : p.pointee.zeros
      }
      depthwiseRow(p, rows.baseAddress!, projects ? line : p.pointee.output + oy * p.pointee.outputWidth * channels)
      if projects {
        var product = p.pointee.project
        let place = oy * p.pointee.outputWidth * product.outputStride
        product.input = UnsafePointer(line)
        product.output = p.pointee.output + place
        product.residual = product.residual.map { $0 + place }
        multiplyRow(&product, thread)
      }
    }
  }
}

/// Row `y` of the depthwise input.
private func makeRow(
  _ p: UnsafePointer<PacerDepthwiseNHWC>, _ y: Int, _ target: UnsafeMutablePointer<Float>,
  _ copies: UnsafeMutablePointer<Float>, _ thread: Int
) {
  guard p.pointee.expand.weights != nil else {
    let count = p.pointee.width * p.pointee.channels
    return copy(p.pointee.input + y * count, target, count)
  }
  var product = p.pointee.expand
  let rows = p.pointee.rows
  if rows.count == 0 {
    product.input = p.pointee.input + y * p.pointee.width * product.inputStride
  } else {
    let (count, border) = (rows.width * rows.channels, rows.padWidth * rows.channels)
    var next = copies
    for i in 0..<rows.count {
      let line = y * rows.stride - rows.padHeight + i
      if line >= 0 && line < rows.height {
        fill(next, 0, border)
        copy(p.pointee.input + line * count, next + border, count)
        fill(next + border + count, 0, border)
      } else {
        fill(next, 0, count + 2 * border)
      }
      next += count + 2 * border
    }
    product.input = UnsafePointer(copies)
  }
  product.output = target
  multiplyRow(&product, thread)
}

private func copy(_ source: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>, _ count: Int) {
  copyLine(
    source, length: count, readable: count, start: 0, stride: 1, padding: 0, to: target, count: count, writable: count)
}

private func multiplyRow(_ product: inout PacerIndirectGEMM, _ thread: Int) {
  let tiles = (product.pixels + GEMMTile.rowCount - 1) / GEMMTile.rowCount
  let panels = (product.outputs + GEMMTile.width - 1) / GEMMTile.width
  withUnsafePointer(to: product) { indirectGEMM($0, 0, tiles * panels, thread) }
}

/// One row of outputs. Strips of seven pixels divide the rows of networks for 224×224 images; in other rows the last two
/// strips share pixels, which come out the same twice.
private func depthwiseRow(
  _ p: UnsafePointer<PacerDepthwiseNHWC>, _ rows: UnsafePointer<UnsafePointer<Float>>,
  _ output: UnsafeMutablePointer<Float>
) {
  let width = p.pointee.outputWidth
  if width >= DepthwiseStrip<7>.pixelCount {
    var ox = 0
    while true {
      DepthwiseStrip<7>.run(p, rows, ox, output)
      if ox + DepthwiseStrip<7>.pixelCount == width { break }
      ox = min(ox + DepthwiseStrip<7>.pixelCount, width - DepthwiseStrip<7>.pixelCount)
    }
  } else {
    for ox in 0..<width { DepthwiseStrip<1>.run(p, rows, ox, output) }
  }
}

private struct DepthwiseStrip<let pixels: Int> {
  @inline(__always) static var pixelCount: Int { pixels }

  /// All channels of neighbouring pixels.
  @inline(never)
  static func run(
    _ p: UnsafePointer<PacerDepthwiseNHWC>, _ rows: UnsafePointer<UnsafePointer<Float>>, _ ox: Int,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let channels = p.pointee.channels
    let (step, tapStep) = (p.pointee.strideWidth * channels, p.pointee.dilationWidth * channels)
    let (minimum, maximum) = (Vector(repeating: p.pointee.minimum), Vector(repeating: p.pointee.maximum))
    let target = output + ox * channels
    var c = 0
    while c < channels {
      var sums = InlineArray<pixels, Vector> { _ in .zero }
      var weights = p.pointee.weights + c
      for ky in 0..<p.pointee.kernelHeight {
        var source = rows[ky] + ox * step + c
        for _ in 0..<p.pointee.kernelWidth {
          let weight = read(weights)
          for i in 0..<pixels { sums[i] = multiplyAdd(sums[i], read(source + i * step), weight) }
          weights += p.pointee.channelStride
          source += tapStep
        }
      }
      let bias = p.pointee.bias.map { read($0 + c, first: channels - c) } ?? .zero
      for i in 0..<pixels {
        write(clamped(sums[i] + bias, minimum, maximum), target + i * channels + c, first: channels - c)
      }
      c += Vector.scalarCount
    }
  }
}
