import CIntrinsics

/// Numbers to the nearest bytes, halves to the even one.
func quantizeKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerQuantize.self).pointee
  let input = p.input!.assumingMemoryBound(to: Float.self)
  let output = p.output!.assumingMemoryBound(to: UInt8.self)
  let lowest = Float((p.isSigned != 0 ? -128 : 0) - p.zeroPoint)
  let (low, high) = (Vector(repeating: lowest), Vector(repeating: lowest + 255))
  let (scale, inverse) = (Vector(repeating: p.scale), Vector(repeating: 1 / p.scale))
  // Beyond them there is but one byte.
  let (least, most) = (Vector(repeating: -1024 * p.scale), Vector(repeating: 1024 * p.scale))
  let isInvertible = isInvertible(p.scale)
  // What is no number becomes the lowest.
  @inline(__always) func held(_ x: Vector) -> Vector {
    let bytes =
      isInvertible
      ? quotient(clamped(larger(x, least), least, most), scale, inverse: inverse) : larger(quotient(x, scale), low)
    return clamped(bytes, low, high)
  }
  var i = begin * 1024
  let last = min(end * 1024, p.count)
  while i + Ints.scalarCount <= last {
    writeRounded(held(read(input + i)), zeroPoint: p.zeroPoint, output + i)
    i += Ints.scalarCount
  }
  while i < last {
    let rounded = held(Vector(repeating: input[i]))[0].rounded(.toNearestOrEven)
    output[i] = UInt8(truncatingIfNeeded: Int(rounded) + p.zeroPoint)
    i += 1
  }
}

/// How far numbers go below and above zero.
func rangeKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerRange.self).pointee
  let zero = Vector(repeating: 0)
  for block in begin..<end {
    var (below, above) = (zero, zero)
    forEachVector(block * 1024, min((block + 1) * 1024, p.count)) { i, n in
      // Lanes behind the end are 0.
      let x = read(p.input + i, first: n)
      below = larger(zero - x, below)
      above = larger(x, above)
    }
    var (low, high): (Float, Float) = (0, 0)
    for lane in 0..<Vector.scalarCount { (low, high) = (max(low, below[lane]), max(high, above[lane])) }
    (p.below[block], p.above[block]) = (low, high)
  }
}

/// The numbers that bytes stand for.
func dequantizeKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerQuantize.self).pointee
  let input = p.input!.assumingMemoryBound(to: UInt8.self)
  let output = p.output!.assumingMemoryBound(to: Float.self)
  let (zero, scale) = (Vector(repeating: Float(p.zeroPoint)), Vector(repeating: p.scale))
  var i = begin * 1024
  let last = min(end * 1024, p.count)
  while i + Ints.scalarCount <= last {
    let bytes = p.isSigned != 0 ? readWidenedSigned(input + i) : readWidened(input + i)
    write((floats(bytes) - zero) * scale, output + i)
    i += Ints.scalarCount
  }
  while i < last {
    let byte = p.isSigned != 0 ? Int(Int8(bitPattern: input[i])) : Int(input[i])
    output[i] = Float(byte - p.zeroPoint) * p.scale
    i += 1
  }
}
