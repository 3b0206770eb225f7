import CIntrinsics

/// `winograd` for so few tiles that what it waits for is the weights. They come as they are, a quarter of what their
/// transforms would be, and are transformed in registers, anew for every few tiles. Items: output panels, each as wide as
/// a vector.
func streamedWinograd(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerWinograd.self)
  let (tiles, channels, lanes) = (p.pointee.tiles, p.pointee.channels, Vector.scalarCount)
  let groups = (tiles + FilterTile.tileCount - 1) / FilterTile.tileCount
  let groupLanes = FilterTile.tileCount * lanes
  let chunks = (channels + lanes - 1) / lanes
  // Pointers and vectors of one tile, then all values, then a panel's sums.
  let sources = UnsafeMutableRawPointer(p.pointee.scratch + thread * p.pointee.scratchStride)
    .assumingMemoryBound(to: UnsafePointer<Float>.self)
  let lines = Lines(UnsafeMutableRawPointer(sources + 36).assumingMemoryBound(to: Float.self))
  // `[line of six][group of tiles][chunk of channels][column of six][tile][lane]`
  let values = lines.pointer + 36 * lanes
  let (chunkSize, groupSize) = (6 * groupLanes, chunks * 6 * groupLanes)
  // `[36][tile][lane]`
  let sums = values + 6 * groups * groupSize
  let sumStride = groups * groupLanes
  // Of a channel's weights, by each register tile that meets them; two lines at most.
  let step = min(32, (9 * lanes + 6 * groups - 1) / (6 * groups))
  if tiles % FilterTile.tileCount != 0 { fill(values, 0, 6 * groups * groupSize) }
  for tile in 0..<tiles {
    let (group, place) = tile.quotientAndRemainder(dividingBy: FilterTile.tileCount)
    streamedInput(
      p, tile, values + group * groupSize + place * lanes, line: groups * groupSize, chunk: chunkSize,
      column: groupLanes, sources, lines)
  }
  for panel in begin..<end {
    var weights = p.pointee.weights + panel * channels * 9 * lanes
    var channel = 0
    while channel < channels {
      let depth = min(p.pointee.channelsAtOnce, channels - channel)
      var next = weights + depth * 9 * lanes
      for line in 0..<6 {
        for group in 0..<groups {
          let product = FilterProduct(
            weights: weights, depth: depth,
            values: values + (line * groups + group) * groupSize + channel / lanes * chunkSize,
            sums: sums + 6 * line * sumStride + group * groupLanes, sumStride: sumStride, isFirst: channel == 0,
            next: next, nextStep: step)
          withUnsafePointer(to: product) { FilterTile.multiply($0, line: line) }
          next += depth * step
        }
      }
      weights += depth * 9 * lanes
      channel += depth
    }
    let outputs = (panel * lanes)..<min((panel + 1) * lanes, p.pointee.outputs)
    for tile in 0..<tiles { winogradOutput(p, tile, outputs, sums + tile * lanes, sumStride, lines) }
  }
}

/// The values of one tile, which lie so far apart.
@inline(never)
private func streamedInput(
  _ p: UnsafePointer<PacerWinograd>, _ tile: Int, _ target: UnsafeMutablePointer<Float>, line: Int, chunk: Int,
  column: Int, _ sources: UnsafeMutablePointer<UnsafePointer<Float>>, _ lines: Lines
) {
  forEachValue(p, tile, sources, lines, scaledInputLine) { channel, _, index, value in
    write(value, target + index / 6 * line + index % 6 * column + channel / Vector.scalarCount * chunk)
  }
}

/// Bᵀ d of one line of six, divided by what makes G whole numbers: 4, −6, −6, 24, 24 and 1.
@_transparent private func scaledInputLine(
  _ d0: Vector, _ d1: Vector, _ d2: Vector, _ d3: Vector, _ d4: Vector, _ d5: Vector
) -> (Vector, Vector, Vector, Vector, Vector, Vector) {
  let line = inputLine(d0, d1, d2, d3, d4, d5)
  let (sixth, twentyFourth) = (Vector(repeating: -1 / 6), Vector(repeating: 1 / 24))
  return (
    line.0 * Vector(repeating: 1 / 4), line.1 * sixth, line.2 * sixth, line.3 * twentyFourth, line.4 * twentyFourth,
    line.5
  )
}

/// The six products of one line of transformed weights with those of some tiles' values.
struct FilterProduct {
  /// `[depth][9][lane]`
  var weights: UnsafePointer<Float>
  var depth: Int
  /// `[chunk of channels][column of six][tile][lane]`
  var values: UnsafePointer<Float>
  /// `[column of six]`, in steps of `sumStride`, of `[tile][lane]`: added to, or written where there are none yet.
  var sums: UnsafeMutablePointer<Float>
  var sumStride: Int
  var isFirst: Bool
  /// Weights to ask for meanwhile, so many with each channel.
  var next: UnsafePointer<Float>
  var nextStep: Int
}

/// A register tile of six sums for each of some tiles.
struct WinogradTile<let tiles: Int> {
  typealias Sums = InlineArray<6, InlineArray<tiles, Vector>>
  @inline(__always) static var tileCount: Int { tiles }

  @inline(__always)
  static func multiply(_ product: UnsafePointer<FilterProduct>, line: Int) {
    switch line {
    case 0: first(product)
    case 1: second(product)
    case 2: third(product)
    case 3: fourth(product)
    case 4: fifth(product)
    default: last(product)
    }
  }

  // Functions of their own, with nothing beside the sums that needs registers.
  @inline(never) private static func first(_ product: UnsafePointer<FilterProduct>) { multiply(product, 0) }
  @inline(never) private static func second(_ product: UnsafePointer<FilterProduct>) { multiply(product, 1) }
  @inline(never) private static func third(_ product: UnsafePointer<FilterProduct>) { multiply(product, 2) }
  @inline(never) private static func fourth(_ product: UnsafePointer<FilterProduct>) { multiply(product, 3) }
  @inline(never) private static func fifth(_ product: UnsafePointer<FilterProduct>) { multiply(product, 4) }
  @inline(never) private static func last(_ product: UnsafePointer<FilterProduct>) { multiply(product, 5) }

  /// One line of G g, for the column of g that begins at `g`.
  @inline(__always)
  private static func filterLine(_ line: Int, _ g: UnsafePointer<Float>) -> Vector {
    let (second, third) = (g + 3 * Vector.scalarCount, g + 6 * Vector.scalarCount)
    switch line {
    case 0: return read(g)
    case 1: return read(g) + read(third) + read(second)
    case 2: return read(g) + read(third) - read(second)
    case 3, 4:
      let even = multiplyAdd(read(g), read(third), Vector(repeating: 4))
      return multiplyAdd(even, read(second), Vector(repeating: line == 3 ? 2 : -2))
    default: return read(third)
    }
  }

  @inline(__always)
  private static func multiply(_ product: UnsafePointer<FilterProduct>, _ line: Int) {
    let (lanes, stride, place) = (Vector.scalarCount, product.pointee.sumStride, product.pointee.sums)
    var sums = Sums { _ in InlineArray { _ in .zero } }
    if !product.pointee.isFirst {
      sums = Sums { x in InlineArray { read(place + x * stride + $0 * lanes) } }
    }
    let nextStep = product.pointee.nextStep
    var (weights, values, next) = (product.pointee.weights, product.pointee.values, product.pointee.next)
    var remaining = product.pointee.depth
    while remaining > 0 {
      for _ in 0..<min(lanes, remaining) {
        let a = filterLine(line, weights)
        let b = filterLine(line, weights + lanes)
        let c = filterLine(line, weights + 2 * lanes)
        pacer_prefetch_outer(next)
        pacer_prefetch_outer(next + 16)
        add(&sums[0], a, values)
        add(&sums[5], c, values + 5 * tiles * lanes)
        let even = a + c
        add(&sums[1], even + b, values + tiles * lanes)
        add(&sums[2], even - b, values + 2 * tiles * lanes)
        let wide = multiplyAdd(a, c, Vector(repeating: 4))
        add(&sums[3], multiplyAdd(wide, b, Vector(repeating: 2)), values + 3 * tiles * lanes)
        add(&sums[4], multiplyAdd(wide, b, Vector(repeating: -2)), values + 4 * tiles * lanes)
        weights += 9 * lanes
        values += 1
        next += nextStep
      }
      values += (6 * tiles - 1) * lanes
      remaining -= lanes
    }
    for x in 0..<6 {
      for r in 0..<tiles { write(sums[x][r], place + x * stride + r * lanes) }
    }
  }

  /// Adds one weight's products with the values of each tile.
  @inline(__always)
  private static func add(_ sums: inout InlineArray<tiles, Vector>, _ weight: Vector, _ values: UnsafePointer<Float>) {
    for r in 0..<tiles {
      sums[r] = multiplyAdd(sums[r], Vector(repeating: values[r * Vector.scalarCount]), weight)
    }
  }
}
