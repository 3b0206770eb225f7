import CIntrinsics

/// Maximum pooling, channels last.
func maxPoolNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerMaxPoolNHWC.self).pointee
  let (tapStep, lineStep) = (p.dilationWidth * p.channels, p.dilationHeight * p.width * p.channels)
  for oy in begin..<end {
    let lines = tapsInside(p.kernelHeight, oy * p.strideHeight - p.padHeight, p.dilationHeight, p.height)
    for ox in 0..<p.outputWidth {
      let taps = tapsInside(p.kernelWidth, ox * p.strideWidth - p.padWidth, p.dilationWidth, p.width)
      let output = p.output + (oy * p.outputWidth + ox) * p.channels
      let first = p.input + (lines.place * p.width + taps.place) * p.channels
      var c = 0
      while c < p.channels {
        var best = Vector(repeating: -.infinity)
        var line = first + c
        for _ in 0..<lines.count {
          var source = line
          for _ in 0..<taps.count {
            best = larger(read(source, first: p.channels - c), best)
            source += tapStep
          }
          line += lineStep
        }
        write(best, output + c, first: p.channels - c)
        c += Vector.scalarCount
      }
    }
  }
}

/// Of `count` taps that begin at `start`, those within `size`: where the first of them lies, and how many.
@inline(__always)
func tapsInside(_ count: Int, _ start: Int, _ dilation: Int, _ size: Int) -> (place: Int, count: Int) {
  var (place, inside) = (start, 0)
  var tap = start
  for _ in 0..<count {
    if tap >= 0 && tap < size {
      if inside == 0 { place = tap }
      inside += 1
    }
    tap += dilation
  }
  return (inside == 0 ? 0 : place, inside)
}
