import CIntrinsics

/// `clamp(f(a, b))` over `begin..<end`, whole vectors and then the rest.
@inline(__always)
private func forEachVector(_ begin: Int, _ end: Int, _ body: (Int, Int) -> Void) {
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
  let (minimum, maximum) = (Vector(repeating: p.minimum), Vector(repeating: p.maximum))
  forEachVector(begin * elementsPerItem, min(end * elementsPerItem, p.count)) { i, n in
    write(clamped(read(p.a + i, first: n) + read(p.b + i, first: n), minimum, maximum), p.output + i, first: n)
  }
}

func multiplyKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  let zero = Vector(repeating: 0)
  forEachVector(begin * elementsPerItem, min(end * elementsPerItem, p.count)) { i, n in
    write(multiplyAdd(zero, read(p.a + i, first: n), read(p.b + i, first: n)), p.output + i, first: n)
  }
}

func clampKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerElementwise.self).pointee
  let (minimum, maximum) = (Vector(repeating: p.minimum), Vector(repeating: p.maximum))
  forEachVector(begin * elementsPerItem, min(end * elementsPerItem, p.count)) { i, n in
    write(clamped(read(p.a + i, first: n), minimum, maximum), p.output + i, first: n)
  }
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
