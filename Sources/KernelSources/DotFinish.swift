import CIntrinsics

// What sums of products become: bytes, or numbers.

/// Sums of whole panels that become bytes and nothing else.
@inline(never)
func finishWholeDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int
) {
  let (stride, zeroPoint, lanes) = (p.pointee.outputStride, p.pointee.zeroPoint, Ints.scalarCount)
  var output = p.pointee.output!.assumingMemoryBound(to: UInt8.self) + product.pointee.place
  let limits = DotLimits(p, product.pointee.first)
  @inline(__always) func sum(_ place: Int) -> Ints {
    UnsafeRawPointer(spare.sums + place).loadUnaligned(as: Ints.self)
  }
  if width > lanes && p.pointee.saturates != 0 {
    var r = 0
    while r < product.pointee.count {
      // Of an odd number of rows the last is written twice.
      let next = r + 1 < product.pointee.count ? 1 : 0
      let (a, b) = (r * width, (r + next) * width)
      writeSaturated(
        (limits.real(sum(a), 0), limits.real(sum(a + lanes), lanes)),
        (limits.real(sum(b), 0), limits.real(sum(b + lanes), lanes)), zeroPoint: zeroPoint, output,
        output + next * stride)
      output += 2 * stride
      r += 2
    }
  } else if width > lanes {
    for r in 0..<product.pointee.count {
      writeRounded(
        limits.finish(sum(r * width), 0), limits.finish(sum(r * width + lanes), lanes), zeroPoint: zeroPoint, output)
      output += stride
    }
  } else {
    for r in 0..<product.pointee.count {
      writeRounded(limits.finish(sum(r * width), 0), zeroPoint: zeroPoint, output)
      output += stride
    }
  }
}

/// Whether `finishAddedDots` does it, of whole panels with a residual.
func addsToBytes(_ p: PacerDotGEMM, _ width: Int) -> Bool {
  width > Ints.scalarCount && p.isFloat == 0 && p.addend == nil && isInvertible(p.divisor)
}

/// Sums of whole panels of two vectors to which a residual is added, that become bytes.
@inline(never)
func finishAddedDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int
) {
  let (stride, zeroPoint, lanes) = (p.pointee.outputStride, p.pointee.zeroPoint, Ints.scalarCount)
  let limits = DotLimits(p, product.pointee.first)
  let scale = Vector(repeating: p.pointee.residualScale)
  let zero = Vector(repeating: Float(p.pointee.residualZeroPoint))
  let divisor = p.pointee.divisor
  let (whole, inverse) = (Vector(repeating: divisor), Vector(repeating: 1 / divisor))
  // Beyond ±1024 there is but one byte.
  let most = 1024 * divisor
  let minimum = Vector(repeating: min(max(p.pointee.minimum, -most), most))
  let maximum = Vector(repeating: min(max(p.pointee.maximum, -most), most))
  var (residual, output) = (
    p.pointee.residual! + product.pointee.place,
    p.pointee.output!.assumingMemoryBound(to: UInt8.self) + product.pointee.place
  )
  for r in 0..<product.pointee.count {
    @inline(__always) func finish(_ bytes: Ints, _ place: Int) -> Vector {
      let sum = UnsafeRawPointer(spare.sums + r * width + place).loadUnaligned(as: Ints.self)
      let real = limits.real(sum, place) + (floats(bytes) - zero) * scale
      return limits.held(quotient(clamped(real, minimum, maximum), whole, inverse: inverse), place)
    }
    let a = finish(readHalves(residual, second: false), 0)
    writeRounded(a, finish(readHalves(residual, second: true), lanes), zeroPoint: zeroPoint, output)
    residual += stride
    output += stride
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

/// Sums that wait in memory: with a residual, to float32, or of a panel of which a part is no output.
@inline(never)
func finishDots(
  _ product: UnsafePointer<DotProduct>, _ p: UnsafePointer<PacerDotGEMM>, _ spare: DotSpare, _ width: Int
) {
  let (first, stride, lanes) = (product.pointee.first, p.pointee.outputStride, Ints.scalarCount)
  let count = min(p.pointee.outputs - first, width)
  let isWide = width > lanes
  let limits = DotLimits(p, first)
  let residualScale = Vector(repeating: p.pointee.residualScale)
  let residualZero = Vector(repeating: Float(p.pointee.residualZeroPoint))
  let divisor = Vector(repeating: p.pointee.divisor)
  let (minimum, maximum) = (Vector(repeating: p.pointee.minimum), Vector(repeating: p.pointee.maximum))
  for r in 0..<product.pointee.count {
    let place = product.pointee.place + r * stride
    var added = p.pointee.residual.map { $0 + place }
    if let all = added, count < width {
      spare.bytes.update(from: all, count: count)
      added = UnsafePointer(spare.bytes)
    }
    func finish(_ vector: Int) -> Vector {
      let sum = UnsafeRawPointer(spare.sums + r * width + vector * lanes).loadUnaligned(as: Ints.self)
      var real = limits.real(sum, vector * lanes)
      if p.pointee.divisor == 0 { return limits.held(real, vector * lanes) }
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
      let output = p.pointee.output!.assumingMemoryBound(to: Float.self) + place
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
      let output = p.pointee.output!.assumingMemoryBound(to: UInt8.self) + place
      let target = count < width ? spare.bytes : output
      if isWide {
        writeRounded(a, b, zeroPoint: p.pointee.zeroPoint, target)
      } else {
        writeRounded(a, zeroPoint: p.pointee.zeroPoint, target)
      }
      if count < width { output.update(from: spare.bytes, count: count) }
    }
  }
}
