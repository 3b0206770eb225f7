import CIntrinsics

/// Depthwise convolution, channels last, and where asked the convolution before it and the pointwise one behind it, row by row.
///
/// Rows of the depthwise input are made or copied, with zeros beside them, into a ring that holds as many as its windows
/// for one or two rows of outputs cover; the rows it gives go into the product behind it. So what is between the
/// convolutions stays in cache.
func depthwiseNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDepthwiseNHWC.self)
  let channels = p.pointee.channels
  let reach = (p.pointee.kernelHeight - 1) * p.pointee.dilationHeight + 1
  let isPaired = p.pointee.isPaired != 0
  let span = isPaired ? reach + 1 : reach
  let border = p.pointee.padWidth * channels
  let right = p.pointee.padRight * channels
  let rowStride = p.pointee.width * channels + border + right
  let ring = p.pointee.scratch + thread * p.pointee.scratchStride
  // Behind the ring a vector that the last channels of the last row may be read with.
  let line = ring + span * rowStride + Vector.scalarCount
  for slot in 0..<span {
    fill(ring + slot * rowStride, 0, border)
    fill(ring + (slot + 1) * rowStride - right, 0, right)
  }
  fill(ring + span * rowStride, 0, Vector.scalarCount)
  let projects = p.pointee.project.weights != nil
  let lineCount = p.pointee.outputWidth * channels
  let copies = line + (projects ? isPaired ? 2 * lineCount : lineCount : 0)
  withUnsafeTemporaryAllocation(of: UnsafePointer<Float>.self, capacity: p.pointee.kernelHeight + 1) { rows in
    var next = 0
    var oy = begin
    while oy < end {
      let count = isPaired && oy + 1 < end ? 2 : 1
      let top = oy * p.pointee.strideHeight - p.pointee.padHeight
      next = max(next, top)
      while next < min(top + reach + count - 1, p.pointee.height) {
        makeRow(p, next, ring + next % span * rowStride + border, copies, thread)
        next += 1
      }
      for ky in 0..<p.pointee.kernelHeight + count - 1 {
        let y = top + ky * p.pointee.dilationHeight
        rows[ky] = y >= 0 && y < p.pointee.height ? UnsafePointer(ring + y % span * rowStride) : p.pointee.zeros
      }
      let output = projects ? line : p.pointee.output + oy * lineCount
      if count == 2 {
        depthwiseRows(p, rows.baseAddress!, output)
      } else {
        depthwiseRow(p, rows.baseAddress!, output)
      }
      if projects {
        var product = p.pointee.project
        let place = oy * p.pointee.outputWidth * product.outputStride
        product.pixels *= count
        product.input = UnsafePointer(line)
        product.output = p.pointee.output + place
        product.residual = product.residual.map { $0 + place }
        multiplyRow(&product, thread)
      }
      oy += count
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
    let count = rows.width * rows.channels
    let (border, right) = (rows.padWidth * rows.channels, rows.padRight * rows.channels)
    var next = copies
    for i in 0..<rows.count {
      let line = y * rows.stride - rows.padHeight + i
      if line >= 0 && line < rows.height {
        fill(next, 0, border)
        copy(p.pointee.input + line * count, next + border, count)
        fill(next + border + count, 0, right)
      } else {
        fill(next, 0, border + count + right)
      }
      next += border + count + right
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
  forEachStrip(p, DepthwiseStrip<7>.pixelCount) {
    DepthwiseStrip<7>.run(p, rows, $0, output)
  } single: {
    DepthwiseStrip<1>.run(p, rows, $0, output)
  }
}

/// Two rows of outputs of a 3×3 window of stride 1, the second behind the first.
private func depthwiseRows(
  _ p: UnsafePointer<PacerDepthwiseNHWC>, _ rows: UnsafePointer<UnsafePointer<Float>>,
  _ output: UnsafeMutablePointer<Float>
) {
  forEachStrip(p, DepthwisePair.pixelCount) {
    DepthwisePair.run(p, rows, $0, output)
  } single: {
    DepthwisePairOf<1, 3>.run(p, rows, $0, output)
  }
}

@inline(__always)
private func forEachStrip(
  _ p: UnsafePointer<PacerDepthwiseNHWC>, _ pixels: Int, _ strip: (Int) -> Void, single: (Int) -> Void
) {
  let width = p.pointee.outputWidth
  guard width >= pixels else {
    for ox in 0..<width { single(ox) }
    return
  }
  var ox = 0
  while true {
    strip(ox)
    if ox + pixels == width { break }
    ox = min(ox + pixels, width - pixels)
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
    let (minimum, maximum) = (
      Vector(repeating: p.pointee.epilogue.minimum), Vector(repeating: p.pointee.epilogue.maximum)
    )
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
    finish(p.pointee.epilogue, target, stride: channels, rows: pixels, first: 0, count: channels)
  }
}

/// All channels of neighbouring pixels in two rows of outputs of a 3×3 window of stride 1. Of the four rows of input under
/// them each value is read once. `columns` is `pixels + 2`.
struct DepthwisePairOf<let pixels: Int, let columns: Int> {
  @inline(__always) static var pixelCount: Int { pixels }

  @inline(never)
  static func run(
    _ p: UnsafePointer<PacerDepthwiseNHWC>, _ rows: UnsafePointer<UnsafePointer<Float>>, _ ox: Int,
    _ output: UnsafeMutablePointer<Float>
  ) {
    let (channels, channelStride) = (p.pointee.channels, p.pointee.channelStride)
    let (minimum, maximum) = (
      Vector(repeating: p.pointee.epilogue.minimum), Vector(repeating: p.pointee.epilogue.maximum)
    )
    let upper = output + ox * channels
    let lower = upper + p.pointee.outputWidth * channels
    let start = ox * channels
    var c = 0
    while c < channels {
      let bias = p.pointee.bias.map { read($0 + c, first: channels - c) } ?? .zero
      var (above, below) = (Sums { _ in bias }, Sums { _ in bias })
      let weights = p.pointee.weights + c
      let first = values(rows[0] + start + c, channels)
      add(&above, first, weights, channelStride)
      let second = values(rows[1] + start + c, channels)
      add(&above, second, weights + 3 * channelStride, channelStride)
      add(&below, second, weights, channelStride)
      let third = values(rows[2] + start + c, channels)
      add(&above, third, weights + 6 * channelStride, channelStride)
      add(&below, third, weights + 3 * channelStride, channelStride)
      let fourth = values(rows[3] + start + c, channels)
      add(&below, fourth, weights + 6 * channelStride, channelStride)
      for i in 0..<pixels {
        write(clamped(above[i], minimum, maximum), upper + i * channels + c, first: channels - c)
        write(clamped(below[i], minimum, maximum), lower + i * channels + c, first: channels - c)
      }
      c += Vector.scalarCount
    }
    finish(p.pointee.epilogue, upper, stride: channels, rows: pixels, first: 0, count: channels)
    finish(p.pointee.epilogue, lower, stride: channels, rows: pixels, first: 0, count: channels)
  }

  typealias Sums = InlineArray<pixels, Vector>

  @inline(__always)
  private static func values(_ row: UnsafePointer<Float>, _ channels: Int) -> InlineArray<columns, Vector> {
    InlineArray { read(row + $0 * channels) }
  }

  /// The three taps of one row of the window.
  @inline(__always)
  private static func add(
    _ sums: inout Sums, _ values: InlineArray<columns, Vector>, _ weights: UnsafePointer<Float>, _ stride: Int
  ) {
    let (left, middle, right) = (read(weights), read(weights + stride), read(weights + 2 * stride))
    for i in 0..<pixels {
      sums[i] = multiplyAdd(sums[i], values[i], left)
      sums[i] = multiplyAdd(sums[i], values[i + 1], middle)
      sums[i] = multiplyAdd(sums[i], values[i + 2], right)
    }
  }
}
