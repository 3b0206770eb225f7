import CIntrinsics

/// Depthwise convolution of bytes, channels last. For each output row and block of channels, the rows under the window are first
/// written in fours, a column at a time; then each column is multiplied as a whole.
func dotColumns(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDotColumns.self)
  let width = 4 * Ints.scalarCount
  let blocks = (p.pointee.channels + width - 1) / width
  let isPaired = p.pointee.isPaired != 0
  for item in begin..<end {
    let row = isPaired ? 2 * item : item
    for block in 0..<blocks {
      let channel = min(block * width, max(p.pointee.channels - width, 0))
      var work = DotBlock(p, row: row, block: block, channel: channel, thread)
      work.fill()
      work.multiply(isMoved: false)
      guard isPaired, row + 1 < p.pointee.outputHeight else { continue }
      work.row += 1
      work.multiply(isMoved: true)
    }
  }
}

struct DotBlock {
  let p: UnsafePointer<PacerDotColumns>
  var row: Int
  let block: Int
  let channel: Int
  let columns: UnsafeMutablePointer<UInt8>
  /// A column's rows in fours, and bytes of one of them.
  let groups: Int
  @inline(__always) var step: Int { 16 * Ints.scalarCount }

  @inline(__always)
  init(_ p: UnsafePointer<PacerDotColumns>, row: Int, block: Int, channel: Int, _ thread: Int) {
    (self.p, self.row, self.block, self.channel) = (p, row, block, channel)
    columns = p.pointee.scratch + thread * p.pointee.scratchStride + 80 * Ints.scalarCount
    groups = (p.pointee.kernelHeight + 3) / 4
  }

  /// A row of bytes, and behind it the sums of some pixels.
  @inline(__always) private var spare: UnsafeMutablePointer<UInt8> { columns - 80 * Ints.scalarCount }
  @inline(__always) var sums: UnsafeMutablePointer<Int32> {
    UnsafeMutableRawPointer(spare + 16 * Ints.scalarCount).assumingMemoryBound(to: Int32.self)
  }

  /// Columns of the image with its border, `[column][rows / 4][channel][4]`.
  @inline(never)
  func fill() {
    let (channels, width, zeros) = (p.pointee.channels, p.pointee.width, p.pointee.zeros!)
    let (padWidth, wide) = (p.pointee.padWidth, 4 * Ints.scalarCount)
    let top = row * p.pointee.strideHeight - p.pointee.padHeight
    // Up to here whole blocks can be read.
    let last = p.pointee.input + (p.pointee.height * width * channels - wide)
    var column = columns
    func line(_ index: Int) -> UnsafePointer<UInt8>? {
      let y = top + index * p.pointee.dilationHeight
      // A pair of rows has one more.
      guard index < p.pointee.kernelHeight + p.pointee.isPaired, y >= 0, y < p.pointee.height else { return nil }
      return p.pointee.input + (y * width * channels + channel)
    }
    for group in 0..<groups {
      let lines = (line(4 * group), line(4 * group + 1), line(4 * group + 2), line(4 * group + 3))
      column = columns + group * step
      for x in -padWidth..<width + p.pointee.padRight {
        if x < 0 || x >= width {
          interleave((zeros, zeros, zeros, zeros), column)
        } else {
          let place = x * channels
          let (a, b, c, d) = (
            lines.0.map { $0 + place } ?? zeros, lines.1.map { $0 + place } ?? zeros,
            lines.2.map { $0 + place } ?? zeros, lines.3.map { $0 + place } ?? zeros
          )
          if channels < wide {
            fillPart((a, b, c, d), last, column)
          } else {
            interleave((a, b, c, d), column)
          }
        }
        column += groups * step
      }
    }
  }

  /// Where there are fewer channels than a block has, what lies behind the image is not read.
  @inline(never)
  private func fillPart(
    _ rows: (UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, UnsafePointer<UInt8>),
    _ last: UnsafePointer<UInt8>, _ column: UnsafeMutablePointer<UInt8>
  ) {
    if max(max(rows.0, rows.1), max(rows.2, rows.3)) <= last {
      return interleave(rows, column)
    }
    let channels = p.pointee.channels
    for c in 0..<channels {
      let target = column + blockPlace(c) * 4
      (target[0], target[1], target[2], target[3]) = (rows.0[c], rows.1[c], rows.2[c], rows.3[c])
    }
  }

  /// Where a channel stands among those that were written in fours.
  @inline(__always)
  private func blockPlace(_ channel: Int) -> Int {
    let (lane, inLane) = (channel / 16, channel % 16)
    return inLane / 4 * Ints.scalarCount + lane * 4 + inLane % 4
  }

  /// - Parameter isMoved: whether its rows begin one below the columns' first.
  @inline(never)
  func multiply(isMoved: Bool) {
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
    while x + DotPixels.count <= outputWidth {
      DotPixels.multiply(self, x, weights)
      x += DotPixels.count
    }
    while x < outputWidth {
      DotPixelsOf<1>.multiply(self, x, weights)
      x += 1
    }
  }

  /// Sums of so many pixels, which wait in memory.
  @inline(never)
  func write(_ sums: UnsafePointer<Int32>, _ x: Int, count: Int) {
    for pixel in 0..<count { write(sums + pixel * 4 * Ints.scalarCount, x + pixel) }
  }

  @inline(__always)
  private func write(_ sums: UnsafePointer<Int32>, _ x: Int) {
    let place = block * 4 * Ints.scalarCount
    let (factors, minima, maxima) = (p.pointee.factors + place, p.pointee.minima + place, p.pointee.maxima + place)
    @inline(__always) func finish(_ quarter: Int) -> Vector {
      let at = quarter * Ints.scalarCount
      let sum = UnsafeRawPointer(sums + at).loadUnaligned(as: Ints.self)
      let real = floats(sum) * read(factors + at)
      return p.pointee.saturates != 0 ? real : clamped(real, read(minima + at), read(maxima + at))
    }
    let output = p.pointee.output + ((row * p.pointee.outputWidth + x) * p.pointee.channels + channel)
    if p.pointee.channels >= 4 * Ints.scalarCount {
      writeRounded(finish(0), finish(1), finish(2), finish(3), zeroPoint: p.pointee.zeroPoint, output)
    } else {
      writeRounded(finish(0), finish(1), finish(2), finish(3), zeroPoint: p.pointee.zeroPoint, spare)
      copyBytes(spare, output, p.pointee.channels)
    }
  }
}

/// So many neighbouring pixels of one block of channels.
struct DotPixelsOf<let pixels: Int> {
  typealias Sums = InlineArray<pixels, InlineArray<4, DotSum>>

  @inline(__always) static var count: Int { pixels }

  @inline(__always)
  static func multiply(_ work: DotBlock, _ x: Int, _ read: (UnsafePointer<Int8>) -> DotWeights) {
    let p = work.p
    let (groups, step) = (work.groups, work.step)
    let block = p.pointee.weights + work.block * step * (1 + p.pointee.kernelWidth * groups)
    let bias = UnsafeRawPointer(p.pointee.bias + work.block * 4 * Ints.scalarCount)
    let added = InlineArray<4, DotSum> {
      dotSum(bias.loadUnaligned(fromByteOffset: $0 * 4 * Ints.scalarCount, as: Ints.self))
    }
    var sums = Sums { _ in added }
    let stride = p.pointee.strideWidth * groups * step
    var weights = block + step
    var column = UnsafePointer(work.columns) + x * stride
    for _ in 0..<p.pointee.kernelWidth {
      for group in 0..<groups {
        let values = column + group * step
        for quarter in 0..<4 {
          let weight = read(weights + quarter * 4 * Ints.scalarCount)
          for pixel in 0..<pixels {
            addDots(
              &sums[pixel][quarter], dotValues(values + (pixel * stride + quarter * 4 * Ints.scalarCount)), weight)
          }
        }
        weights += step
      }
      column += p.pointee.dilationWidth * groups * step
    }
    for pixel in 0..<pixels {
      for quarter in 0..<4 {
        UnsafeMutableRawPointer(work.sums + (pixel * 4 + quarter) * Ints.scalarCount)
          .storeBytes(of: total(sums[pixel][quarter]), as: Ints.self)
      }
    }
    work.write(work.sums, x, count: pixels)
  }
}
