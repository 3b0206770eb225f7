import CIntrinsics

/// Depthwise convolution, channels last: strips of four pixels, vectors of channels.
func depthwiseNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDepthwiseNHWC.self)
  withUnsafeTemporaryAllocation(
    of: UnsafePointer<Float>.self, capacity: 4 * p.pointee.kernelHeight * p.pointee.kernelWidth
  ) { sources in
    for oy in begin..<end {
      var ox = 0
      while ox + 4 <= p.pointee.outputWidth {
        DepthwiseStrip<4>.run(p, oy, ox, sources.baseAddress!)
        ox += 4
      }
      while ox < p.pointee.outputWidth {
        DepthwiseStrip<1>.run(p, oy, ox, sources.baseAddress!)
        ox += 1
      }
    }
  }
}

private struct DepthwiseStrip<let pixels: Int> {
  typealias Sums = InlineArray<pixels, Vector>

  /// Notes where each tap of each pixel lies, then goes through the channels.
  @inline(__always)
  static func run(
    _ pointer: UnsafePointer<PacerDepthwiseNHWC>, _ oy: Int, _ ox: Int,
    _ sources: UnsafeMutablePointer<UnsafePointer<Float>>
  ) {
    let p = pointer.pointee
    let (input, zeros) = (p.input!, p.zeros!)
    var next = sources
    for ky in 0..<p.kernelHeight {
      let iy = oy * p.strideHeight - p.padHeight + ky * p.dilationHeight
      for kx in 0..<p.kernelWidth {
        let left = ox * p.strideWidth - p.padWidth + kx * p.dilationWidth
        for i in 0..<pixels {
          let ix = left + i * p.strideWidth
          let inside = iy >= 0 && iy < p.height && ix >= 0 && ix < p.width
          next[i] = inside ? input + (iy * p.width + ix) * p.channels : zeros
        }
        next += pixels
      }
    }
    let taps = p.kernelHeight * p.kernelWidth
    let output = p.output + (oy * p.outputWidth + ox) * p.channels
    var c = 0
    while c + Vector.scalarCount <= p.channels {
      let sums = strip(pointer, sources, taps, c, Vector.scalarCount)
      for i in 0..<pixels { write(sums[i], output + i * p.channels + c) }
      c += Vector.scalarCount
    }
    if c < p.channels {
      let sums = strip(pointer, sources, taps, c, p.channels - c)
      for i in 0..<pixels { write(sums[i], output + i * p.channels + c, first: p.channels - c) }
    }
  }

  @inline(__always)
  private static func strip(
    _ p: UnsafePointer<PacerDepthwiseNHWC>, _ sources: UnsafePointer<UnsafePointer<Float>>, _ taps: Int, _ c: Int,
    _ count: Int
  ) -> Sums {
    var sums = Sums(repeating: p.pointee.bias.map { read($0 + c, first: count) } ?? .zero)
    var weights = p.pointee.weights + c
    var source = sources
    for _ in 0..<taps {
      let weight = read(weights)
      for i in 0..<pixels { sums[i] = multiplyAdd(sums[i], read(source[i] + c, first: count), weight) }
      weights += p.pointee.channelStride
      source += pixels
    }
    let (minimum, maximum) = (Vector(repeating: p.pointee.minimum), Vector(repeating: p.pointee.maximum))
    for i in 0..<pixels { sums[i] = clamped(sums[i], minimum, maximum) }
    return sums
  }
}
