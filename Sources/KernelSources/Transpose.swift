import CIntrinsics

/// NCHW to NHWC. Items are pixels.
func toNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  toNHWC(raw, begin, end, of: Float.self, together: 4) { pacer_interleave3($0, $1, $2, $3) }
}

/// NHWC to NCHW. Items are channels.
func toNCHW(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  toNCHW(raw, begin, end, of: Float.self)
}

/// NCHW to NHWC, of bytes. Items are pixels.
func bytesToNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  toNHWC(raw, begin, end, of: UInt8.self, together: 16) { pacer_interleave3_bytes($0, $1, $2, $3) }
}

/// NHWC to NCHW, of bytes. Items are channels.
func bytesToNCHW(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  toNCHW(raw, begin, end, of: UInt8.self)
}

/// - Parameter interleave: of so many pixels of three channels.
@inline(__always)
private func toNHWC<Element>(
  _ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, of element: Element.Type, together count: Int,
  _ interleave: (
    UnsafePointer<Element>, UnsafePointer<Element>, UnsafePointer<Element>, UnsafeMutablePointer<Element>
  ) -> Void
) {
  let p = raw!.assumingMemoryBound(to: PacerTranspose.self).pointee
  let (input, output) = (
    p.input!.assumingMemoryBound(to: element), p.output!.assumingMemoryBound(to: element)
  )
  var pixel = begin
  if p.channels == 3 {
    while pixel + count <= end {
      let red = input + pixel
      interleave(red, red + p.pixels, red + 2 * p.pixels, output + 3 * pixel)
      pixel += count
    }
  }
  transpose(input + pixel, p.pixels, output + pixel * p.channels, p.channels, rows: p.channels, end - pixel)
}

@inline(__always)
private func toNCHW<Element>(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, of element: Element.Type) {
  let p = raw!.assumingMemoryBound(to: PacerTranspose.self).pointee
  let (input, output) = (
    p.input!.assumingMemoryBound(to: element), p.output!.assumingMemoryBound(to: element)
  )
  transpose(input + begin, p.channels, output + begin * p.pixels, p.pixels, rows: p.pixels, end - begin)
}

/// `output[column][row] = input[row][column]`, a few columns at a time, so that what is written stays in cache until it
/// is whole lines.
@inline(__always)
private func transpose<Element>(
  _ input: UnsafePointer<Element>, _ inputStride: Int, _ output: UnsafeMutablePointer<Element>, _ outputStride: Int,
  rows: Int, _ columns: Int
) {
  var column = 0
  while column < columns {
    let count = min(64, columns - column)
    for row in 0..<rows {
      let source = input + row * inputStride + column
      var target = output + column * outputStride + row
      for i in 0..<count {
        target.pointee = source[i]
        target += outputStride
      }
    }
    column += count
  }
}
