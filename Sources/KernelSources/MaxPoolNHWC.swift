import CIntrinsics

/// Maximum pooling, channels last.
func maxPoolNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerMaxPoolNHWC.self).pointee
  for oy in begin..<end {
    for ox in 0..<p.outputWidth {
      let output = p.output + (oy * p.outputWidth + ox) * p.channels
      var c = 0
      while c < p.channels {
        var best = Vector(repeating: -.infinity)
        for ky in 0..<p.kernelHeight {
          let iy = oy * p.strideHeight - p.padHeight + ky * p.dilationHeight
          if iy < 0 || iy >= p.height { continue }
          for kx in 0..<p.kernelWidth {
            let ix = ox * p.strideWidth - p.padWidth + kx * p.dilationWidth
            if ix < 0 || ix >= p.width { continue }
            let value = read(p.input + (iy * p.width + ix) * p.channels + c, first: p.channels - c)
            best = best.replacing(with: value, where: value .> best)
          }
        }
        write(best, output + c, first: p.channels - c)
        c += Vector.scalarCount
      }
    }
  }
}
