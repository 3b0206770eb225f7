import CIntrinsics

/// Mean over the pixels, channels last. Items are vectors of channels.
func globalPoolNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerGlobalPool.self).pointee
  let factor = Vector(repeating: 1 / Float(p.pixels))
  for item in begin..<end {
    let c = item * Vector.scalarCount
    let count = p.channels - c
    var sum = Vector.zero
    for pixel in 0..<p.pixels { sum += read(p.input + pixel * p.channels + c, first: count) }
    write(sum * factor, p.output + c, first: count)
  }
}

/// Mean over each plane. Items are planes.
func globalPoolNCHW(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerGlobalPool.self).pointee
  for plane in begin..<end {
    let line = p.input + plane * p.pixels
    var sum = Vector.zero
    var i = 0
    while i < p.pixels {
      sum += read(line + i, first: p.pixels - i)
      i += Vector.scalarCount
    }
    p.output[plane] = sum.sum() / Float(p.pixels)
  }
}
