import CIntrinsics

/// Images of other extents, channels last: each pixel from one pixel of the input or between four. Items are output rows of all
/// images.
func resizeKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerResize.self).pointee
  let line = p.width * p.channels
  for item in begin..<end {
    let (image, row) = (item / p.outputHeight, item % p.outputHeight)
    let source = p.input + image * p.height * line
    let upper = source + Int(p.rowPlaces[2 * row]) * line
    let lower = source + Int(p.rowPlaces[2 * row + 1]) * line
    let (top, bottom) = (Vector(repeating: p.rowWeights[2 * row]), Vector(repeating: p.rowWeights[2 * row + 1]))
    var output = p.output + item * p.outputWidth * p.channels
    for column in 0..<p.outputWidth {
      let near = Int(p.columnPlaces[2 * column]) * p.channels
      if p.isNearest != 0 {
        var c = 0
        while c < p.channels {
          write(read(upper + near + c, first: p.channels - c), output + c, first: p.channels - c)
          c += Vector.scalarCount
        }
      } else {
        let far = Int(p.columnPlaces[2 * column + 1]) * p.channels
        let left = Vector(repeating: p.columnWeights[2 * column])
        let right = Vector(repeating: p.columnWeights[2 * column + 1])
        var c = 0
        while c < p.channels {
          let n = p.channels - c
          let above = multiplyAdd(read(upper + near + c, first: n) * left, read(upper + far + c, first: n), right)
          let below = multiplyAdd(read(lower + near + c, first: n) * left, read(lower + far + c, first: n), right)
          write(multiplyAdd(above * top, below, bottom), output + c, first: n)
          c += Vector.scalarCount
        }
      }
      output += p.channels
    }
  }
}
