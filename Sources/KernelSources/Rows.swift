import CIntrinsics

/// Softmax along rows, or along an axis whose elements are `inner` apart: then items are blocks of neighbours, a vector of them at a
/// time.
func softmaxKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerSoftmax.self).pointee
  let lanes = Vector.scalarCount
  let (low, zero) = (Vector(repeating: -87), Vector(repeating: 0))
  if p.inner == 1 {
    for row in begin..<end {
      let (x, y) = (p.input + row * p.count, p.output + row * p.count)
      let largest = Vector(repeating: maximum(x, p.count))
      var sums = zero
      var i = 0
      while i < p.count {
        write(exponential(clamped(read(x + i, first: p.count - i) - largest, low, zero)), y + i, first: p.count - i)
        // Lanes behind the end are 0 again.
        sums += read(UnsafePointer(y + i), first: p.count - i)
        i += lanes
      }
      let factor = Vector(repeating: 1 / sums.sum())
      i = 0
      while i < p.count {
        write(read(UnsafePointer(y + i), first: p.count - i) * factor, y + i, first: p.count - i)
        i += lanes
      }
    }
    return
  }
  let blocks = (p.inner + lanes - 1) / lanes
  for item in begin..<end {
    let offset = item / blocks * p.count * p.inner + item % blocks * lanes
    let n = min(lanes, p.inner - item % blocks * lanes)
    let (x, y) = (p.input + offset, p.output + offset)
    var largest = read(x, first: n)
    for i in 1..<max(p.count, 1) { largest = larger(read(x + i * p.inner, first: n), largest) }
    var sums = zero
    for i in 0..<p.count {
      let power = exponential(clamped(read(x + i * p.inner, first: n) - largest, low, zero))
      write(power, y + i * p.inner, first: n)
      sums += power
    }
    let factor = quotient(Vector(repeating: 1), sums)
    for i in 0..<p.count { write(read(UnsafePointer(y + i * p.inner), first: n) * factor, y + i * p.inner, first: n) }
  }
}

/// The largest of a row.
@inline(__always) private func maximum(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
  var best = -Float.infinity
  var i = 0
  if count >= Vector.scalarCount {
    var bests = read(x)
    i = Vector.scalarCount
    while i + Vector.scalarCount <= count {
      bests = larger(read(x + i), bests)
      i += Vector.scalarCount
    }
    for lane in 0..<Vector.scalarCount where bests[lane] > best { best = bests[lane] }
  }
  while i < count {
    if x[i] > best { best = x[i] }
    i += 1
  }
  return best
}

@inline(__always) private func sum(_ x: UnsafePointer<Float>, _ count: Int, _ function: (Vector) -> Vector) -> Float {
  var sums = Vector(repeating: 0)
  var i = 0
  while i + Vector.scalarCount <= count {
    sums += function(read(x + i))
    i += Vector.scalarCount
  }
  // What lies behind the end is 0, and so must be what the function makes of that: it is taken off again.
  if i < count {
    let part = function(read(x + i, first: count - i))
    for lane in 0..<(count - i) { sums[lane] += part[lane] }
  }
  return sums.sum()
}

/// One number of each row.
func reduceRows(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerRowNumbers.self).pointee
  for row in begin..<end {
    let x = p.input + row * p.count
    switch p.function {
    case PacerRowMaximum: p.output[row] = maximum(x, p.count)
    case PacerRowMean: p.output[row] = sum(x, p.count) { $0 } / Float(p.count)
    default: p.output[row] = sum(x, p.count) { $0 }
    }
  }
}

/// Rows with a mean of 0 and a variance of 1, or a mean square of 1, scaled and shifted.
func layerNormKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerRowNumbers.self).pointee
  for row in begin..<end {
    let (x, y) = (p.input + row * p.count, p.output + row * p.count)
    let mean = p.isRootMeanSquare != 0 ? 0 : sum(x, p.count) { $0 } / Float(p.count)
    let centre = Vector(repeating: mean)
    let variance = sum(x, p.count) { ($0 - centre) * ($0 - centre) } / Float(p.count)
    let factor = Vector(repeating: 1 / (variance + p.epsilon).squareRoot())
    var i = 0
    while i < p.count {
      let n = p.count - i
      var value = (read(x + i, first: n) - centre) * factor
      if let scale = p.scale { value = value * read(scale + i, first: n) }
      if let bias = p.bias { value += read(bias + i, first: n) }
      write(value, y + i, first: n)
      i += Vector.scalarCount
    }
  }
}

/// Products of a matrix's rows with a vector.
func dotsKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerDots.self).pointee
  for row in begin..<end {
    let line = p.matrix + row * p.depth
    var (first, second) = (Vector(repeating: 0), Vector(repeating: 0))
    var k = 0
    while k + 2 * Vector.scalarCount <= p.depth {
      first = multiplyAdd(first, read(line + k), read(p.vector + k))
      second = multiplyAdd(
        second, read(line + k + Vector.scalarCount), read(p.vector + k + Vector.scalarCount))
      k += 2 * Vector.scalarCount
    }
    while k < p.depth {
      first = multiplyAdd(first, read(line + k, first: p.depth - k), read(p.vector + k, first: p.depth - k))
      k += Vector.scalarCount
    }
    p.output[row] = p.added[row] + (first + second).sum()
  }
}
