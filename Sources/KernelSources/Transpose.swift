import CIntrinsics

/// NCHW to NHWC. Items are pixels.
func toNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerTranspose.self).pointee
  for pixel in begin..<end {
    for c in 0..<p.channels { p.output[pixel * p.channels + c] = p.input[c * p.pixels + pixel] }
  }
}

/// NHWC to NCHW. Items are channels.
func toNCHW(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerTranspose.self).pointee
  for c in begin..<end {
    for pixel in 0..<p.pixels { p.output[c * p.pixels + pixel] = p.input[pixel * p.channels + c] }
  }
}
