import CIntrinsics

/// A function of two tensors, line by line. Items are lines.
func binaryKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerBinary.self)
  switch p.pointee.function {
  case PacerAdd: lines(p, begin, end) { $0 + $1 }
  case PacerSubtract: lines(p, begin, end) { $0 - $1 }
  case PacerMultiply: lines(p, begin, end) { $0 * $1 }
  case PacerDivide: lines(p, begin, end) { quotient($0, $1) }
  // What is no number stays so, whichever of the two it is.
  case PacerMinimum:
    let zero = Vector(repeating: 0)
    lines(p, begin, end) { a, b in unlessNaN(a, zero - larger(zero - a, zero - b)) }
  case PacerMaximum: lines(p, begin, end) { a, b in unlessNaN(a, larger(a, b)) }
  default: break
  }
}

@inline(__always)
private func lines(
  _ p: UnsafePointer<PacerBinary>, _ begin: Int, _ end: Int, _ function: (Vector, Vector) -> Vector
) {
  let (count, lanes) = (p.pointee.count, Vector.scalarCount)
  for line in begin..<end {
    let a = p.pointee.a + Int(p.pointee.aPlaces[line])
    let b = p.pointee.b + Int(p.pointee.bPlaces[line])
    let output = p.pointee.output + line * count
    var i = 0
    switch (p.pointee.aStride, p.pointee.bStride) {
    case (1, 1):
      while i < count {
        write(function(read(a + i, first: count - i), read(b + i, first: count - i)), output + i, first: count - i)
        i += lanes
      }
    case (1, _):
      let second = Vector(repeating: b[0])
      while i < count {
        write(function(read(a + i, first: count - i), second), output + i, first: count - i)
        i += lanes
      }
    case (_, 1):
      let first = Vector(repeating: a[0])
      while i < count {
        write(function(first, read(b + i, first: count - i)), output + i, first: count - i)
        i += lanes
      }
    default:
      let value = function(Vector(repeating: a[0]), Vector(repeating: b[0]))
      while i < count {
        write(value, output + i, first: count - i)
        i += lanes
      }
    }
  }
}

/// A function of one tensor. Items are blocks of 1024 elements.
func unaryKernel(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerUnary.self)
  let (zero, one, half) = (Vector(repeating: 0), Vector(repeating: 1), Vector(repeating: 0.5))
  let (alpha, beta) = (Vector(repeating: p.pointee.alpha), Vector(repeating: p.pointee.beta))
  let (low, high) = (Vector(repeating: -87), Vector(repeating: 88.72))
  switch p.pointee.function {
  case PacerAbsolute: blocks(p, begin, end) { larger($0, zero - $0) }
  case PacerNegate: blocks(p, begin, end) { zero - $0 }
  case PacerSquareRoot: blocks(p, begin, end) { root($0) }
  case PacerReciprocal: blocks(p, begin, end) { quotient(one, $0) }
  case PacerExp:
    let infinity = Vector(repeating: .infinity)
    blocks(p, begin, end) { x in unless(x, above: high, infinity, exponential(clamped(x, low, high))) }
  case PacerTanh:
    let limit = Vector(repeating: 7.9)
    blocks(p, begin, end) { hyperbolicTangent(clamped($0, zero - limit, limit)) }
  case PacerErf:
    let limit = Vector(repeating: 4)
    blocks(p, begin, end) { errorFunction(clamped($0, zero - limit, limit)) }
  case PacerGELU:
    let (limit, scale) = (Vector(repeating: 4), Vector(repeating: 0.70710678))
    blocks(p, begin, end) { x in x * half * (one + errorFunction(clamped(x * scale, zero - limit, limit))) }
  case PacerLeakyReLU: blocks(p, begin, end) { x in larger(x, zero) + alpha * (zero - larger(zero - x, zero)) }
  case PacerELU:
    blocks(p, begin, end) { x in larger(x, zero) + alpha * (exponential(clamped(x, low, zero)) - one) }
  case PacerHardSigmoidOf: blocks(p, begin, end) { x in clamped(multiplyAdd(beta, alpha, x), zero, one) }
  default: break
  }
}

@inline(__always)
private func blocks(_ p: UnsafePointer<PacerUnary>, _ begin: Int, _ end: Int, _ function: (Vector) -> Vector) {
  let limit = min(end * elementsPerItem, p.pointee.count)
  var i = begin * elementsPerItem
  while i < limit {
    write(function(read(p.pointee.a + i, first: limit - i)), p.pointee.output + i, first: limit - i)
    i += Vector.scalarCount
  }
}
