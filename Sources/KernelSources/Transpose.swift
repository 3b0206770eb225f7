import CIntrinsics

/// NCHW to NHWC. Items are pixels.
func toNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerTranspose.self).pointee
  var pixel = begin
  if p.channels == 3 {
    while pixel + 4 <= end {
      let red = p.input! + pixel
      pacer_interleave3(red, red + p.pixels, red + 2 * p.pixels, p.output + 3 * pixel)
      pixel += 4
    }
  }
  transpose(p.input + pixel, p.pixels, p.output + pixel * p.channels, p.channels, rows: p.channels, end - pixel)
}

/// NHWC to NCHW. Items are channels.
func toNCHW(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerTranspose.self).pointee
  transpose(p.input + begin, p.channels, p.output + begin * p.pixels, p.pixels, rows: p.pixels, end - begin)
}

/// `output[column][row] = input[row][column]`, a few columns at a time, so that what is written stays in cache until it
/// is whole lines.
private func transpose(
  _ input: UnsafePointer<Float>, _ inputStride: Int, _ output: UnsafeMutablePointer<Float>, _ outputStride: Int,
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
