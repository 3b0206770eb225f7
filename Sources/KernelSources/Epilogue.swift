import CIntrinsics

/// What is left of an epilogue when `rows × count` sums have been stored, their rows `stride` floats apart: output `first` and
/// those behind it, one a column.
@_transparent
func finish(
  _ epilogue: PacerEpilogue, _ output: UnsafeMutablePointer<Float>, stride: Int, rows: Int, first: Int, count: Int
) {
  if epilogue.kind != PacerClamp { finishRows(epilogue, output, stride, rows, first, count) }
}

/// The same for a run of sums of one output.
@_transparent
func finish(_ epilogue: PacerEpilogue, _ output: UnsafeMutablePointer<Float>, count: Int, of channel: Int) {
  if epilogue.kind != PacerClamp { finishRun(epilogue, output, count, channel) }
}

@inline(never)
private func finishRows(
  _ epilogue: PacerEpilogue, _ output: UnsafeMutablePointer<Float>, _ stride: Int, _ rows: Int, _ first: Int,
  _ count: Int
) {
  for r in 0..<rows {
    let row = output + r * stride
    if epilogue.kind == PacerClampChannels {
      let (minima, maxima) = (epilogue.minima + first, epilogue.maxima + first)
      replace(row, count) { c, n, x in clamped(x, read(minima + c, first: n), read(maxima + c, first: n)) }
    } else {
      finishRun(epilogue, row, count, first)
    }
  }
}

@inline(never)
private func finishRun(
  _ epilogue: PacerEpilogue, _ output: UnsafeMutablePointer<Float>, _ count: Int, _ channel: Int
) {
  let (zero, one) = (Vector(repeating: 0), Vector(repeating: 1))
  let (three, six, sixth) = (Vector(repeating: 3), Vector(repeating: 6), Vector(repeating: 1 / 6))
  switch epilogue.kind {
  case PacerClampChannels:
    let limits = (Vector(repeating: epilogue.minima[channel]), Vector(repeating: epilogue.maxima[channel]))
    replace(output, count) { _, _, x in clamped(x, limits.0, limits.1) }
  case PacerHardSwish: replace(output, count) { _, _, x in x * (clamped(x + three, zero, six) * sixth) }
  case PacerHardSigmoid: replace(output, count) { _, _, x in clamped(x + three, zero, six) * sixth }
  case PacerSigmoid:
    // Beyond ±87 it is 0 or 1.
    let (low, high) = (Vector(repeating: -87), Vector(repeating: 87))
    replace(output, count) { _, _, x in quotient(one, one + exponential(zero - clamped(x, low, high))) }
  case PacerSiLU:
    let (low, high) = (Vector(repeating: -87), Vector(repeating: 87))
    replace(output, count) { _, _, x in quotient(x, one + exponential(zero - clamped(x, low, high))) }
  default: break
  }
}

@inline(__always)
private func replace(
  _ output: UnsafeMutablePointer<Float>, _ count: Int, _ function: (_ place: Int, _ count: Int, Vector) -> Vector
) {
  var i = 0
  while i + Vector.scalarCount <= count {
    write(function(i, Vector.scalarCount, read(output + i)), output + i)
    i += Vector.scalarCount
  }
  if i < count {
    write(function(i, count - i, read(UnsafePointer(output + i), first: count - i)), output + i, first: count - i)
  }
}
