import CIntrinsics

/// Mean under each window position, channels last. Items are output rows.
func averagePoolNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerMaxPoolNHWC.self).pointee
  let (tapStep, lineStep) = (p.dilationWidth * p.channels, p.dilationHeight * p.width * p.channels)
  for oy in begin..<end {
    let lines = tapsInside(p.kernelHeight, oy * p.strideHeight - p.padHeight, p.dilationHeight, p.height)
    for ox in 0..<p.outputWidth {
      let taps = tapsInside(p.kernelWidth, ox * p.strideWidth - p.padWidth, p.dilationWidth, p.width)
      let output = p.output + (oy * p.outputWidth + ox) * p.channels
      let first = p.input + (lines.place * p.width + taps.place) * p.channels
      let inside = lines.count * taps.count
      let factor = Vector(repeating: 1 / Float(p.divisor > 0 ? p.divisor : inside > 0 ? inside : 1))
      var c = 0
      while c < p.channels {
        var sum = Vector(repeating: 0)
        var line = first + c
        for _ in 0..<lines.count {
          var source = line
          for _ in 0..<taps.count {
            sum += read(source, first: p.channels - c)
            source += tapStep
          }
          line += lineStep
        }
        write(sum * factor, output + c, first: p.channels - c)
        c += Vector.scalarCount
      }
    }
  }
}
