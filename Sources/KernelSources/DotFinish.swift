import CIntrinsics

// What sums of products become: bytes, or numbers.

/// Sums that become bytes and nothing else.
@inline(never)
func finishByteDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int
) {
  if isWhole(product, p, width) {
    finishByteDots(product, p, spare, width, isWhole: true)
  } else {
    finishByteDots(product, p, spare, width, isWhole: false)
  }
}

@inline(__always)
private func finishByteDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int,
  isWhole: Bool
) {
  let (zeroPoint, lanes) = (p.pointee.zeroPoint, Ints.scalarCount)
  let rows = DotRows(product, p, spare, width, isWhole: isWhole)
  let limits = DotLimits(p, product.pointee.first)
  @inline(__always) func sum(_ place: Int) -> Ints {
    UnsafeRawPointer(spare.sums + place).loadUnaligned(as: Ints.self)
  }
  if width > lanes && p.pointee.saturates != 0 {
    var r = 0
    while r < product.pointee.count {
      // Of an odd number of rows the last is written twice.
      let next = min(r + 1, product.pointee.count - 1)
      let (a, b) = (r * width, next * width)
      writeSaturated(
        (limits.real(sum(a), 0), limits.real(sum(a + lanes), lanes)),
        (limits.real(sum(b), 0), limits.real(sum(b + lanes), lanes)), zeroPoint: zeroPoint, rows.target(r),
        rows.target(next))
      rows.keep(r)
      rows.keep(next)
      r += 2
    }
  } else if width > lanes {
    for r in 0..<product.pointee.count {
      writeRounded(
        limits.finish(sum(r * width), 0), limits.finish(sum(r * width + lanes), lanes), zeroPoint: zeroPoint,
        rows.target(r))
      rows.keep(r)
    }
  } else {
    for r in 0..<product.pointee.count {
      writeRounded(limits.finish(sum(r * width), 0), zeroPoint: zeroPoint, rows.target(r))
      rows.keep(r)
    }
  }
}

/// Whether `finishAddedDots` does it, where there is a residual.
func addsToBytes(_ p: PacerDotGEMM) -> Bool { p.isFloat == 0 && p.addend == nil && isInvertible(p.divisor) }

/// Sums to which a residual is added, that become bytes.
@inline(never)
func finishAddedDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int
) {
  if isWhole(product, p, width) {
    finishAddedDots(product, p, spare, width, isWhole: true)
  } else {
    finishAddedDots(product, p, spare, width, isWhole: false)
  }
}

@inline(__always)
private func finishAddedDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int,
  isWhole: Bool
) {
  let (zeroPoint, lanes) = (p.pointee.zeroPoint, Ints.scalarCount)
  let rows = DotRows(product, p, spare, width, isWhole: isWhole)
  let limits = DotLimits(p, product.pointee.first)
  let scale = Vector(repeating: p.pointee.residualScale)
  let zero = Vector(repeating: Float(p.pointee.residualZeroPoint))
  let divisor = p.pointee.divisor
  let (whole, inverse) = (Vector(repeating: divisor), Vector(repeating: 1 / divisor))
  // Beyond ±1024 there is but one byte.
  let most = 1024 * divisor
  let minimum = Vector(repeating: min(max(p.pointee.minimum, -most), most))
  let maximum = Vector(repeating: min(max(p.pointee.maximum, -most), most))
  for r in 0..<product.pointee.count {
    @inline(__always) func finish(_ bytes: Ints, _ place: Int) -> Vector {
      let sum = UnsafeRawPointer(spare.sums + r * width + place).loadUnaligned(as: Ints.self)
      let real = limits.real(sum, place) + (floats(bytes) - zero) * scale
      return limits.held(quotient(clamped(real, minimum, maximum), whole, inverse: inverse), place)
    }
    let residual = rows.residual(r)
    if width > lanes {
      let a = finish(readHalves(residual, second: false), 0)
      writeRounded(a, finish(readHalves(residual, second: true), lanes), zeroPoint: zeroPoint, rows.target(r))
    } else {
      writeRounded(finish(readWidened(residual), 0), zeroPoint: zeroPoint, rows.target(r))
    }
    rows.keep(r)
  }
}

/// Whether all of a panel is output.
@inline(__always)
func isWhole(_ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ width: Int) -> Bool {
  p.pointee.outputs - product.pointee.first >= width
}

/// Rows of bytes of a tile. Of a panel of which a part is no output they are written elsewhere first.
struct DotRows {
  /// A constant where there is a loop for either: nothing is asked of every row then.
  let isWhole: Bool
  let output: UnsafeMutablePointer<UInt8>
  let added: UnsafePointer<UInt8>?
  let spare: UnsafeMutablePointer<UInt8>
  let stride: Int
  /// Outputs of a row.
  let count: Int
  let width: Int
  /// Rows of the residual before this one can be read at whole width: what follows them is the tile's own.
  let last: Int

  @inline(__always)
  init(
    _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int,
    isWhole: Bool
  ) {
    self.isWhole = isWhole
    let place = product.pointee.place
    output = p.pointee.output!.assumingMemoryBound(to: UInt8.self) + place
    added = p.pointee.residual.map { $0 + place }
    (self.spare, stride, self.width) = (spare.bytes, p.pointee.outputStride, width)
    count = min(p.pointee.outputs - product.pointee.first, width)
    // Otherwise another thread may be writing there.
    last = count == stride ? product.pointee.count - (width - 1) / count : 0
  }

  /// Where a row of `width` bytes is written: even and odd rows in places of their own, since two are written at once.
  @inline(__always) func target(_ row: Int) -> UnsafeMutablePointer<UInt8> {
    isWhole ? output + row * stride : spare + row % 2 * width
  }

  @inline(__always) func keep(_ row: Int) {
    if !isWhole { copyBytes(target(row), output + row * stride, count) }
  }

  /// A row of `width` bytes.
  @inline(__always) func residual(_ row: Int) -> UnsafePointer<UInt8> {
    let source = added! + row * stride
    if isWhole || row < last { return source }
    copyBytes(source, target(row), count)
    return UnsafePointer(target(row))
  }
}

/// What each sum is multiplied by and held within.
struct DotLimits {
  let factors: UnsafePointer<Float>
  let minima: UnsafePointer<Float>
  let maxima: UnsafePointer<Float>

  @inline(__always) init(_ p: UnsafePointer<PacerDotGEMM>, _ first: Int) {
    (factors, minima, maxima) = (p.pointee.factors + first, p.pointee.minima + first, p.pointee.maxima + first)
  }

  @inline(__always) func real(_ sum: Ints, _ place: Int) -> Vector { floats(sum) * read(factors + place) }
  @inline(__always) func held(_ real: Vector, _ place: Int) -> Vector {
    clamped(real, read(minima + place), read(maxima + place))
  }
  @inline(__always) func finish(_ sum: Ints, _ place: Int) -> Vector { held(real(sum, place), place) }
}

/// All other sums: those that become float32, and with a residual those whose scale has no inverse to multiply by.
@inline(never)
func finishDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int
) {
  let (first, lanes) = (product.pointee.first, Ints.scalarCount)
  let rows = DotRows(product, p, spare, width, isWhole: isWhole(product, p, width))
  let count = rows.count
  let isWide = width > lanes
  let limits = DotLimits(p, first)
  let residualScale = Vector(repeating: p.pointee.residualScale)
  let residualZero = Vector(repeating: Float(p.pointee.residualZeroPoint))
  let divisor = Vector(repeating: p.pointee.divisor)
  let (minimum, maximum) = (Vector(repeating: p.pointee.minimum), Vector(repeating: p.pointee.maximum))
  for r in 0..<product.pointee.count {
    let added = p.pointee.residual == nil ? nil : rows.residual(r)
    func finish(_ vector: Int) -> Vector {
      let sum = UnsafeRawPointer(spare.sums + r * width + vector * lanes).loadUnaligned(as: Ints.self)
      var real = limits.real(sum, vector * lanes)
      if let addend = p.pointee.addend { real += read(addend + first + vector * lanes) }
      if let added {
        let bytes = isWide ? readHalves(added, second: vector > 0) : readWidened(added)
        real += (floats(bytes) - residualZero) * residualScale
      }
      real = clamped(real, minimum, maximum)
      return p.pointee.isFloat != 0 ? real : limits.held(quotient(real, divisor), vector * lanes)
    }
    let a = finish(0)
    let b = isWide ? finish(1) : a
    if p.pointee.isFloat != 0 {
      let output = p.pointee.output!.assumingMemoryBound(to: Float.self) + product.pointee.place + r * rows.stride
      if isWide {
        // Its sums have been read. Fours of the one vector and of the other by turns.
        let reals = UnsafeMutableRawPointer(spare.sums + r * width).assumingMemoryBound(to: Float.self)
        write(a, reals)
        write(b, reals + lanes)
        var target = 0
        while target + 4 <= count {
          let source = reals + target % 8 / 4 * lanes + target / 8 * 4
          UnsafeMutableRawPointer(output + target).copyMemory(from: source, byteCount: 16)
          target += 4
        }
        while target < count {
          output[target] = reals[target % 8 / 4 * lanes + target / 8 * 4 + target % 4]
          target += 1
        }
      } else {
        write(a, output, first: count)
      }
    } else {
      if isWide {
        writeRounded(a, b, zeroPoint: p.pointee.zeroPoint, rows.target(r))
      } else {
        writeRounded(a, zeroPoint: p.pointee.zeroPoint, rows.target(r))
      }
      rows.keep(r)
    }
  }
}
