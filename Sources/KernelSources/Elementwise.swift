import CIntrinsics

/// `body` over `begin..<end`, whole vectors and then the rest.
@inline(__always)
func forEachVector(_ begin: Int, _ end: Int, _ body: (Int, Int) -> Void) {
  var i = begin
  while i + Vector.scalarCount <= end {
    body(i, Vector.scalarCount)
    i += Vector.scalarCount
  }
  if i < end { body(i, end - i) }
}

/// Elements per item of the ops that know neither channels nor pixels.
let elementsPerItem = 1024

func addKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  let (minimum, maximum) = (Vector(repeating: p.epilogue.minimum), Vector(repeating: p.epilogue.maximum))
  let range = begin * elementsPerItem..<min(end * elementsPerItem, p.count)
  forEachVector(range.lowerBound, range.upperBound) { i, n in
    write(clamped(read(p.a + i, first: n) + read(p.b + i, first: n), minimum, maximum), p.output + i, first: n)
  }
  finishBlocks(p, range)
}

/// What is left of an epilogue of tensors of any format, channel by channel where it asks for that.
private func finishBlocks(_ p: PacerElementwise, _ range: Range<Int>) {
  if p.epilogue.kind != PacerClampChannels {
    return finish(p.epilogue, p.output + range.lowerBound, count: range.count, of: 0)
  }
  var i = range.lowerBound
  while i < range.upperBound {
    if p.pixels == 1 {
      let channel = i % p.channels
      let count = min(p.channels - channel, range.upperBound - i)
      finish(p.epilogue, p.output + i, stride: 0, rows: 1, first: channel, count: count)
      i += count
    } else {
      let count = min(p.pixels - i % p.pixels, range.upperBound - i)
      finish(p.epilogue, p.output + i, count: count, of: i / p.pixels % p.channels)
      i += count
    }
  }
}

func multiplyKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  let zero = Vector(repeating: 0)
  forEachVector(begin * elementsPerItem, min(end * elementsPerItem, p.count)) { i, n in
    write(multiplyAdd(zero, read(p.a + i, first: n), read(p.b + i, first: n)), p.output + i, first: n)
  }
}

func activateKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  let (minimum, maximum) = (Vector(repeating: p.epilogue.minimum), Vector(repeating: p.epilogue.maximum))
  let range = begin * elementsPerItem..<min(end * elementsPerItem, p.count)
  forEachVector(range.lowerBound, range.upperBound) { i, n in
    write(clamped(read(p.a + i, first: n), minimum, maximum), p.output + i, first: n)
  }
  finishBlocks(p, range)
}

func affineNHWC(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  for pixel in begin..<end {
    let offset = pixel * p.channels
    forEachVector(0, p.channels) { c, n in
      let sum = multiplyAdd(read(p.shift + c, first: n), read(p.a + offset + c, first: n), read(p.scale + c, first: n))
      write(sum, p.output + offset + c, first: n)
    }
  }
}

func affineNCHW(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  for plane in begin..<end {
    let scale = Vector(repeating: p.scale[plane % p.channels])
    let shift = Vector(repeating: p.shift[plane % p.channels])
    forEachVector(plane * p.pixels, (plane + 1) * p.pixels) { i, n in
      write(multiplyAdd(shift, read(p.a + i, first: n), scale), p.output + i, first: n)
    }
  }
}
