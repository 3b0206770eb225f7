import CIntrinsics

/// Convolution and matrix product of bytes, channels last: like `indirectGEMM`, four products at a time.
func dotGEMM(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDotGEMM.self)
  let (rows, width) = (DotTile.rowCount, 2 * Ints.scalarCount)
  let tiles = (p.pointee.pixels + rows - 1) / rows
  let panels = (p.pointee.outputs + width - 1) / width
  let spare = DotSpare(p, thread)
  var (located, widened) = (-1, -1)
  let isPanelMajor = p.pointee.panelMajor != 0
  var (tile, panel) = isPanelMajor ? (begin % tiles, begin / tiles) : (begin / panels, begin % panels)
  var product = DotProduct(spare.sources, p.pointee)
  for index in begin..<end {
    if tile != located {
      locateDots(p, tile, spare)
      located = tile
    }
    let first = panel * width
    let pixel = tile * rows
    product.weights = p.pointee.weights + first * (4 + p.pointee.depth)
    product.ahead = product.weights
    // The first four tiles of a panel ask for a quarter of the next one each: the first would wait for memory otherwise.
    if isPanelMajor, tile < 4, (panel + 1) * tiles < end {
      product.ahead += width * (4 + p.pointee.depth) + tile * (width / 4) * p.pointee.depth
    }
    if widensDots && p.pointee.wideOffset != 0 {
      // For two tiles or more; of a panel in which a piece ends there may be one.
      if widened != panel, tile + 1 < tiles, index + 1 < end {
        widenDots(p, panel, spare)
        widened = panel
      }
      product.isWide = widened == panel
    }
    product.first = first
    product.place = pixel * p.pointee.outputStride + first
    product.count = min(rows, p.pointee.pixels - pixel)
    if p.pointee.outputs - first <= Ints.scalarCount {
      product.weights = product.isWide ? spare.wide : product.weights + 4 * Ints.scalarCount
      withUnsafePointer(to: product) { DotTileNarrow.multiply($0, p, spare) }
    } else {
      product.weights = product.isWide ? spare.wide : product.weights + 4 * width
      withUnsafePointer(to: product) {
        // Rows behind the last pixel would cost as much as the others.
        switch $0.pointee.count {
        case 1: DotTileLine.multiply($0, p, spare)
        case ...DotTilePart.rowCount: DotTilePart.multiply($0, p, spare)
        default: DotTile.multiply($0, p, spare)
        }
      }
    }
    if isPanelMajor {
      tile += 1
      if tile == tiles { (tile, panel) = (0, panel + 1) }
    } else {
      panel += 1
      if panel == panels { (tile, panel) = (tile + 1, 0) }
    }
  }
}

/// A panel's weights in 16 bits.
@inline(never)
private func widenDots(_ p: UnsafePointer<PacerDotGEMM>, _ panel: Int, _ spare: DotSpare) {
  let lanes = Ints.scalarCount
  let first = 2 * lanes * panel
  let width = p.pointee.outputs - first <= lanes ? lanes : 2 * lanes
  var source = p.pointee.weights + first * (4 + p.pointee.depth) + 4 * width
  var target = UnsafeMutableRawPointer(mutating: spare.wide)
  for _ in 0..<width / lanes * (p.pointee.depth / 4) {
    widen(source, to: target)
    source += 4 * lanes
    target += 8 * lanes
  }
}

/// A thread's working memory: a register tile of sums, two rows of bytes, where taps lie, and where they are joined.
struct DotSpare {
  let sums: UnsafeMutablePointer<Int32>
  let bytes: UnsafeMutablePointer<UInt8>
  let sources: UnsafeMutablePointer<UnsafePointer<UInt8>>
  let joined: UnsafeMutablePointer<UInt8>
  let wide: UnsafePointer<Int8>

  init(_ p: UnsafePointer<PacerDotGEMM>, _ thread: Int) {
    let base = UnsafeMutableRawPointer(p.pointee.scratch + thread * p.pointee.scratchStride)
    let (rows, width) = (DotTile.rowCount, 2 * Ints.scalarCount)
    sums = base.assumingMemoryBound(to: Int32.self)
    bytes = (base + rows * width * 4).assumingMemoryBound(to: UInt8.self)
    // Two rows of the widest vectors there are.
    joined = bytes + 64
    wide = UnsafePointer((base + p.pointee.wideOffset).assumingMemoryBound(to: Int8.self))
    // At a multiple of a pointer's size.
    sources = (base + (rows * (width * 4 + p.pointee.depth) + 71) / 8 * 8).assumingMemoryBound(
      to: UnsafePointer<UInt8>.self)
  }
}

/// One tile: sums of products of bytes, four of them in a step of the depth.
struct DotProduct {
  var sources: UnsafePointer<UnsafePointer<UInt8>>
  var taps: Int
  /// Bytes of a tap.
  var depth: Int
  var weights: UnsafePointer<Int8>
  /// Weights that are wanted next, as many as a quarter of its own.
  var ahead: UnsafePointer<Int8>
  /// Whether weights are in 16 bits.
  var isWide = false
  /// The panel's first output.
  var first = 0
  /// Of the first pixel and output in the output.
  var place = 0
  /// Pixels.
  var count = 0

  init(_ sources: UnsafePointer<UnsafePointer<UInt8>>, _ p: PacerDotGEMM) {
    (self.sources, weights, ahead) = (sources, p.weights, p.weights)
    (taps, depth) = p.isJoined != 0 ? (1, p.depth) : (p.taps, p.channels)
  }
}

/// A register tile of `rows` pixels × `columns` vectors of outputs. Taps lie `DotTile.rowCount` apart, whatever its own rows are.
struct DotTileOf<let rows: Int, let columns: Int> {
  @inline(__always) static var rowCount: Int { rows }
  @inline(__always) static var width: Int { columns * Ints.scalarCount }

  static func multiply(_ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare) {
    if addsSmallDots && p.pointee.isSmall != 0 {
      addSmall(product, p, spare)
    } else if widensDots && product.pointee.isWide {
      addWide(product, p, spare)
    } else {
      add(product, p, spare)
    }
    if writesAtOnce(product, p) { return }
    if p.pointee.divisor == 0 {
      finishByteDots(product, p, spare, width)
    } else if p.pointee.residual != nil && addsToBytes(p.pointee) {
      finishAddedDots(product, p, spare, width)
    } else {
      finishDots(product, p, spare, width)
    }
  }

  /// Whether sums become bytes in registers and are never in memory.
  @inline(__always)
  private static func writesAtOnce(_ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>) -> Bool {
    columns == 2 && product.pointee.count == rows && p.pointee.saturates != 0 && isWhole(product, p, width)
  }

  // Functions of their own, so that while they add up nothing but the sums needs registers.

  @inline(never)
  private static func add(_ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare) {
    let sums = accumulate(product, p, from: { dotSum($0) }, step: 4 * Ints.scalarCount) { sums, source, weights in
      let value = dotValues(all: source)
      for j in 0..<columns { addDots(&sums[j], value, dotWeights(weights + j * 4 * Ints.scalarCount)) }
    }
    end(sums, product, p, spare) { total($0) }
  }

  /// The same of a panel that was widened.
  @inline(never)
  private static func addWide(
    _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare
  ) {
    let sums = accumulate(product, p, from: { dotSum($0) }, step: 8 * Ints.scalarCount) { sums, source, weights in
      let value = dotValues(all: source)
      for j in 0..<columns { addWideDots(&sums[j], value, weights + j * 8 * Ints.scalarCount) }
    }
    end(sums, product, p, spare) { total($0) }
  }

  /// The same of weights within ±64, with one sum for each output all along.
  @inline(never)
  private static func addSmall(
    _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare
  ) {
    let sums = accumulate(product, p, from: { $0 }, step: 4 * Ints.scalarCount) { sums, source, weights in
      for j in 0..<columns {
        let step = UnsafeRawPointer(weights + j * 4 * Ints.scalarCount).loadUnaligned(as: Ints.self)
        addSmallDots(&sums[j], source, step)
      }
    }
    end(sums, product, p, spare) { $0 }
  }

  /// The sums of a tile.
  /// - Parameters:
  ///   - begin: makes sums of what is added to them.
  ///   - step: bytes of four weights for each lane.
  ///   - addRow: adds four products to each sum of one pixel.
  @inline(__always)
  private static func accumulate<Sum>(
    _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, from begin: (Ints) -> Sum, step: Int,
    addRow: (inout InlineArray<columns, Sum>, UnsafePointer<UInt8>, UnsafePointer<Int8>) -> Void
  ) -> InlineArray<rows, InlineArray<columns, Sum>> {
    let bias = p.pointee.bias! + product.pointee.first
    let added = InlineArray<columns, Sum> {
      begin(UnsafeRawPointer(bias + $0 * Ints.scalarCount).loadUnaligned(as: Ints.self))
    }
    var sums = InlineArray<rows, InlineArray<columns, Sum>> { _ in added }
    var (source, weights, ahead) = (product.pointee.sources, product.pointee.weights, product.pointee.ahead)
    let depth = product.pointee.depth
    for _ in 0..<product.pointee.taps {
      let a = InlineArray<rows, UnsafePointer<UInt8>> { source[$0] }
      var k = 0
      while k < depth {
        pacer_prefetch_outer(ahead + width / 4 * k)
        for r in 0..<rows { addRow(&sums[r], a[r] + k, weights) }
        weights += columns * step
        k += 4
      }
      source += DotTile.rowCount
      ahead += width / 4 * depth
    }
    return sums
  }

  /// Writes the bytes of a whole tile, or leaves sums in memory: a loop that ends with the pixels would keep them there all along.
  @inline(__always)
  private static func end<Sum>(
    _ sums: InlineArray<rows, InlineArray<columns, Sum>>, _ product: UnsafePointer<DotProduct>,
    _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, as total: (Sum) -> Ints
  ) {
    guard writesAtOnce(product, p) else {
      for r in 0..<rows {
        for j in 0..<columns {
          UnsafeMutableRawPointer(spare.sums + r * width + j * Ints.scalarCount)
            .storeBytes(of: total(sums[r][j]), as: Ints.self)
        }
      }
      return
    }
    let factors = p.pointee.factors + product.pointee.first
    let (a, b) = (read(factors), read(factors + Ints.scalarCount))
    let output = p.pointee.output!.assumingMemoryBound(to: UInt8.self) + product.pointee.place
    let stride = p.pointee.outputStride
    var r = 0
    while r < rows {
      // Of an odd number of rows the last is written twice.
      let next = min(r + 1, rows - 1)
      writeSaturated(
        (floats(total(sums[r][0])) * a, floats(total(sums[r][columns - 1])) * b),
        (floats(total(sums[next][0])) * a, floats(total(sums[next][columns - 1])) * b),
        zeroPoint: p.pointee.zeroPoint, output + r * stride, output + next * stride)
      r += 2
    }
  }
}

/// Where each tap of a tile's pixels lies, `[tap][rows]`; rows past the last pixel repeat it. Taps that are no multiple of four bytes
/// are copied to one another.
@inline(never)
private func locateDots(_ p: UnsafePointer<PacerDotGEMM>, _ tile: Int, _ spare: DotSpare) {
  let (rows, input, zeros) = (DotTile.rowCount, p.pointee.input!, p.pointee.zeros!)
  let (taps, channels) = (p.pointee.taps, p.pointee.channels)
  if p.pointee.isJoined == 0, let offsets = p.pointee.offsets {
    let all = offsets + tile * taps * rows
    let sources = spare.sources
    for i in 0..<taps * rows { sources[i] = all[i] < 0 ? zeros : input + Int(all[i]) }
    return
  }
  func source(_ tap: Int, _ row: Int) -> UnsafePointer<UInt8> {
    if let offsets = p.pointee.offsets {
      let offset = offsets[(tile * taps + tap) * rows + row]
      return offset < 0 ? zeros : input + Int(offset)
    }
    return input + min(tile * rows + row, p.pointee.pixels - 1) * p.pointee.inputStride
  }
  if p.pointee.isJoined != 0 {
    for row in 0..<rows {
      let target = spare.joined + row * p.pointee.depth
      var next = target
      for tap in 0..<taps {
        copyBytes(source(tap, row), next, channels)
        next += channels
      }
      while next < target + p.pointee.depth {
        next.pointee = 0
        next += 1
      }
      spare.sources[row] = UnsafePointer(target)
    }
  } else {
    var index = 0
    for tap in 0..<taps {
      for row in 0..<rows {
        spare.sources[index] = source(tap, row)
        index += 1
      }
    }
  }
}

/// A few bytes, without a call.
@inline(__always)
func copyBytes(_ source: UnsafePointer<UInt8>, _ target: UnsafeMutablePointer<UInt8>, _ count: Int) {
  var i = 0
  while i + 8 <= count {
    UnsafeMutableRawPointer(target + i).storeBytes(
      of: UnsafeRawPointer(source + i).loadUnaligned(as: UInt64.self), as: UInt64.self)
    i += 8
  }
  while i < count {
    target[i] = source[i]
    i += 1
  }
}
