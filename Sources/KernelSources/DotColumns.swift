import CIntrinsics

/// Depthwise convolution of bytes, channels last. For each output row and block of channels, the rows under the window are first
/// written in fours, a column at a time; then each column is multiplied as a whole.
func dotColumns(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDotColumns.self)
  let blocks = (p.pointee.channels + DotBlock.width - 1) / DotBlock.width
  for item in begin..<end {
    let row = p.pointee.isPaired != 0 ? 2 * item : item
    for block in 0..<blocks {
      if p.pointee.channels - block * DotBlock.width <= DotHalfBlock.width {
        DotHalfBlock.convolve(p, row: row, block: block, thread)
      } else {
        DotBlock.convolve(p, row: row, block: block, thread)
      }
    }
  }
}

/// A block of channels in one output row, or two of them, so many neighbouring pixels at a time.
struct DotBlockOf<let pixels: Int, let vectors: Int> {
  let p: UnsafePointer<PacerDotColumns>
  var row: Int
  let block: Int
  let channel: Int
  let columns: UnsafeMutablePointer<UInt8>
  /// A column's rows in fours, and bytes of one of them.
  let groups: Int
  @inline(__always) var step: Int { 4 * Self.width }
  /// Channels.
  @inline(__always) static var width: Int { vectors * Ints.scalarCount }

  @inline(__always)
  static func convolve(_ p: UnsafePointer<PacerDotColumns>, row: Int, block: Int, _ thread: Int) {
    var work = Self(p, row: row, block: block, thread)
    work.fill()
    work.multiply(isMoved: false)
    guard p.pointee.isPaired != 0, row + 1 < p.pointee.outputHeight else { return }
    work.row += 1
    work.multiply(isMoved: true)
  }

  @inline(__always)
  private init(_ p: UnsafePointer<PacerDotColumns>, row: Int, block: Int, _ thread: Int) {
    (self.p, self.row, self.block) = (p, row, block)
    channel = min(block * DotBlock.width, max(p.pointee.channels - Self.width, 0))
    columns = p.pointee.scratch + thread * p.pointee.scratchStride + 80 * Ints.scalarCount
    groups = (p.pointee.kernelHeight + 3) / 4
  }

  /// A row of bytes, or two of a half block, and behind them the sums of some pixels.
  @inline(__always) private var spare: UnsafeMutablePointer<UInt8> { columns - 80 * Ints.scalarCount }
  @inline(__always) var sums: UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(spare + 16 * Ints.scalarCount).assumingMemoryBound(to: Int32.self)
  }

  /// Columns of the image with its border, `[column][rows / 4][channel][4]`.
  @inline(never)
  private func fill() {
    let (channels, width, zeros) = (p.pointee.channels, p.pointee.width, p.pointee.zeros!)
    let (padWidth, wide) = (p.pointee.padWidth, Self.width)
    let top = row * p.pointee.strideHeight - p.pointee.padHeight
    let next = groups * step
    // Up to here whole blocks can be read.
    let last = p.pointee.input + (p.pointee.height * width * channels - wide)
    // Where a row begins, how far its next column is, and how many can be read whole. Rows outside of the image are zeros all along.
    func line(_ index: Int) -> (start: UnsafePointer<UInt8>, step: Int, whole: Int) {
      let y = top + index * p.pointee.dilationHeight
      // A pair of rows has one more.
      guard index < p.pointee.kernelHeight + p.pointee.isPaired, y >= 0, y < p.pointee.height else {
        return (zeros, 0, width)
      }
      let start = p.pointee.input + (y * width * channels + channel)
      return (start, channels, start > last ? 0 : min((last - start) / channels + 1, width))
    }
    for group in 0..<groups {
      let (a, b, c, d) = (line(4 * group), line(4 * group + 1), line(4 * group + 2), line(4 * group + 3))
      var rows = (a.start, b.start, c.start, d.start)
      var column = columns + group * step
      for _ in 0..<padWidth {
        write((zeros, zeros, zeros, zeros), column)
        column += next
      }
      let whole = min(min(a.whole, b.whole), min(c.whole, d.whole))
      for _ in 0..<whole {
        write(rows, column)
        rows = (rows.0 + a.step, rows.1 + b.step, rows.2 + c.step, rows.3 + d.step)
        column += next
      }
      for _ in whole..<width {
        writePart(rows, column)
        rows = (rows.0 + a.step, rows.1 + b.step, rows.2 + c.step, rows.3 + d.step)
        column += next
      }
      for _ in 0..<p.pointee.padRight {
        write((zeros, zeros, zeros, zeros), column)
        column += next
      }
    }
  }

  @inline(__always)
  private func write(
    _ rows: (UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>),
    _ column: UnsafeMutablePointer<UInt8>
  ) {
    if vectors == 2 { interleaveHalf(rows, column) } else { interleave(rows, column) }
  }

  /// Of the image's last pixels, where there are fewer channels than a block has: what lies behind them is not read.
  @inline(never)
  private func writePart(
    _ rows: (UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>),
    _ column: UnsafeMutablePointer<UInt8>
  ) {
    for c in 0..<p.pointee.channels {
      let target = column + blockPlace(c) * 4
      (target[0], target[1], target[2], target[3]) = (rows.0[c], rows.1[c], rows.2[c], rows.3[c])
    }
  }

  /// Where a channel stands among those that were written in fours.
  @inline(__always)
  private func blockPlace(_ channel: Int) -> Int {
    let (lane, inLane) = (channel / (4 * vectors), channel % (4 * vectors))
    return inLane / 4 * Ints.scalarCount + lane * 4 + inLane % 4
  }

  /// - Parameter isMoved: whether its rows begin one below the columns' first.
  @inline(never)
  private func multiply(isMoved: Bool) {
    if isMoved {
      multiply { movedWeights($0) }
    } else {
      multiply { dotWeights($0) }
    }
  }

  @inline(__always)
  private func multiply(_ weights: (UnsafePointer<Int8>) -> DotWeights) {
    let outputWidth = p.pointee.outputWidth
    var x = 0
    while x + pixels <= outputWidth {
      DotPixelsOf<pixels, vectors>.multiply(p, block, step, groups, columns, sums, x, weights)
      write(x, count: pixels)
      x += pixels
    }
    while x < outputWidth {
      DotPixelsOf<1, vectors>.multiply(p, block, step, groups, columns, sums, x, weights)
      write(x, count: 1)
      x += 1
    }
  }

  /// Pixels whose sums wait in memory.
  @inline(never)
  private func write(_ x: Int, count: Int) {
    let (place, lanes, zeroPoint) = (block * DotBlock.width, Ints.scalarCount, p.pointee.zeroPoint)
    let (factors, minima, maxima) = (p.pointee.factors + place, p.pointee.minima + place, p.pointee.maxima + place)
    let (channels, isHeld) = (p.pointee.channels, p.pointee.saturates == 0)
    let first = p.pointee.output + ((row * p.pointee.outputWidth + x) * channels + channel)
    let isWhole = channels >= Self.width
    @inline(__always) func finish(_ pixel: Int, _ vector: Int) -> Vector {
      let at = vector * lanes
      let real =
        floats(UnsafeRawPointer(sums + (pixel * Self.width + at)).loadUnaligned(as: Ints.self)) * read(factors + at)
      return isHeld ? clamped(real, read(minima + at), read(maxima + at)) : real
    }
    if vectors == 2 {
      var pixel = 0
      while pixel < count {
        // Of an odd number the last is written twice.
        let next = min(pixel + 1, count - 1)
        let (output, other) = (first + pixel * channels, first + next * channels)
        writeSaturated(
          (finish(pixel, 0), finish(pixel, 1)), (finish(next, 0), finish(next, 1)), zeroPoint: zeroPoint,
          isWhole ? output : spare, isWhole ? other : spare + Self.width)
        if !isWhole {
          copyBytes(spare, output, channels)
          copyBytes(spare + Self.width, other, channels)
        }
        pixel += 2
      }
    } else {
      for pixel in 0..<count {
        let output = first + pixel * channels
        writeRounded(
          finish(pixel, 0), finish(pixel, 1), finish(pixel, 2), finish(pixel, 3), zeroPoint: zeroPoint,
          isWhole ? output : spare)
        if !isWhole { copyBytes(spare, output, channels) }
      }
    }
  }
}

/// So many neighbouring pixels of one block of channels.
struct DotPixelsOf<let pixels: Int, let vectors: Int> {
  /// Leaves their sums in memory, `[pixel][vector]`.
  @inline(__always)
  static func multiply(
    _ p: UnsafePointer<PacerDotColumns>, _ block: Int, _ step: Int, _ groups: Int,
    _ columns: UnsafeMutablePointer<UInt8>, _ target: UnsafeMutablePointer<Int32>, _ x: Int,
    _ weightsAt: (UnsafePointer<Int8>) -> DotWeights
  ) {
    let lanes = Ints.scalarCount
    let bias = UnsafeRawPointer(p.pointee.bias + block * DotBlock.width)
    let added = InlineArray<vectors, DotSum> {
      dotSum(bias.loadUnaligned(fromByteOffset: $0 * 4 * lanes, as: Ints.self))
    }
    var sums = InlineArray<pixels, InlineArray<vectors, DotSum>> { _ in added }
    let stride = p.pointee.strideWidth * groups * step
    // Blocks before it are whole.
    var weights = p.pointee.weights + (block * 4 * DotBlock.width * (1 + p.pointee.kernelWidth * groups) + step)
    var column = UnsafePointer(columns) + x * stride
    for _ in 0..<p.pointee.kernelWidth {
      for group in 0..<groups {
        let values = column + group * step
        for vector in 0..<vectors {
          let weight = weightsAt(weights + vector * 4 * lanes)
          for pixel in 0..<pixels {
            addDots(&sums[pixel][vector], dotValues(values + (pixel * stride + vector * 4 * lanes)), weight)
          }
        }
        weights += step
      }
      column += p.pointee.dilationWidth * groups * step
    }
    for pixel in 0..<pixels {
      for vector in 0..<vectors {
        UnsafeMutableRawPointer(target + (pixel * vectors + vector) * lanes)
          .storeBytes(of: total(sums[pixel][vector]), as: Ints.self)
      }
    }
  }
}
