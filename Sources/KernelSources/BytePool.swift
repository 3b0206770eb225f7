import CIntrinsics

/// Means and maxima of bytes, channels last.
func bytePool(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerBytePool.self).pointee
  for oy in begin..<end {
    let lines = tapsInside(p.kernelHeight, oy * p.strideHeight - p.padHeight, p.dilationHeight, p.height)
    for ox in 0..<p.outputWidth {
      let taps = tapsInside(p.kernelWidth, ox * p.strideWidth - p.padWidth, p.dilationWidth, p.width)
      let pool = BytePixel(
        p: p, first: p.input + (lines.place * p.width + taps.place) * p.channels,
        output: (oy * p.outputWidth + ox) * p.channels, lines: lines.count, taps: taps.count)
      var c = 0
      while c + Ints.scalarCount <= p.channels {
        pool.store(pool.number(c) { readWidened($0) }, c, count: Ints.scalarCount)
        c += Ints.scalarCount
      }
      while c < p.channels {
        pool.store(pool.number(c) { Ints(repeating: Int32($0.pointee)) }, c, count: 1)
        c += 1
      }
    }
  }
}

/// One output pixel.
private struct BytePixel {
  let p: PacerBytePool
  let first: UnsafePointer<UInt8>
  let output: Int
  let lines: Int
  let taps: Int

  /// What channels from `c` on become: bytes less the zero point, or numbers.
  @inline(__always)
  func number(_ c: Int, _ read: (UnsafePointer<UInt8>) -> Ints) -> Vector {
    let (tapStep, lineStep) = (p.dilationWidth * p.channels, p.dilationHeight * p.width * p.channels)
    var line = first + c
    var sum = Ints.zero
    for _ in 0..<lines {
      var source = line
      for _ in 0..<taps {
        if p.isMaximum != 0 {
          sum = sum.replacing(with: read(source), where: read(source) .> sum)
        } else {
          sum &+= read(source)
        }
        source += tapStep
      }
      line += lineStep
    }
    let zeroPoint = Int32(truncatingIfNeeded: p.inputZeroPoint)
    if p.isMaximum != 0 { return floats(sum &- Ints(repeating: zeroPoint)) }
    let inside = lines * taps
    let count = p.divisor > 0 ? p.divisor : inside
    if inside == 0 { return Vector(repeating: 0) }
    let mean = quotient(
      floats(sum &- Ints(repeating: zeroPoint &* Int32(truncatingIfNeeded: inside))), Vector(repeating: Float(count)))
    let real = mean * Vector(repeating: p.inputScale)
    return p.isFloat != 0 ? real : quotient(real, Vector(repeating: p.scale))
  }

  @inline(__always)
  func store(_ number: Vector, _ c: Int, count: Int) {
    if p.isFloat != 0 {
      let target = p.output!.assumingMemoryBound(to: Float.self) + output + c
      if count == 1 { target.pointee = number[0] } else { write(number, target) }
      return
    }
    let low = Float(0 - p.zeroPoint)
    let held = clamped(number, Vector(repeating: low), Vector(repeating: low + 255))
    let target = p.output!.assumingMemoryBound(to: UInt8.self) + output + c
    if count == 1 {
      target.pointee = UInt8(truncatingIfNeeded: Int(held[0].rounded(.toNearestOrEven)) + p.zeroPoint)
    } else {
      writeRounded(held, zeroPoint: p.zeroPoint, target)
    }
  }
}
