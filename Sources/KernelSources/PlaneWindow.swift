import CIntrinsics

/// Depthwise convolution and maximum pooling over single planes.
///
/// Among the phases of a plane a tap is a constant distance for all outputs, and all rows of outputs together are one
/// run of whole vectors. The columns in it that belong to no output are computed and dropped: they cost less than the
/// short vectors of a row.
func planeWindow(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPlaneWindow.self).pointee
  let scratch = p.scratch + thread * p.scratchStride
  let size = p.phases.height * p.phases.width
  var channel = begin % p.channels
  for item in begin..<end {
    copyPhases(p.phases, p.input + item * size, readable: (end - item) * size, scratch)
    if let weights = p.weights {
      slide(p, scratch, weights: weights + channel * p.taps, initial: p.bias?[channel] ?? 0)
    } else {
      slide(p, scratch, weights: nil, initial: -.infinity)
    }
    let output = p.output + item * p.outputHeight * p.outputWidth
    for y in 0..<p.outputHeight {
      copyLine(
        scratch + y * p.phases.phaseWidth, length: p.outputWidth, readable: .max, start: 0, stride: 1, padding: 0,
        to: output + y * p.outputWidth, count: p.outputWidth, writable: (p.outputHeight - y) * p.outputWidth)
    }
    finish(p.epilogue, output, count: p.outputHeight * p.outputWidth, of: channel)
    channel = channel + 1 == p.channels ? 0 : channel + 1
  }
}

/// Replaces each of the first values by the weighted sum or, without weights, the maximum of the values at the taps'
/// distances from it. No distance is negative, so that what is replaced is never read again.
@inline(__always)
private func slide(
  _ p: PacerPlaneWindow, _ values: UnsafeMutablePointer<Float>, weights: UnsafePointer<Float>?, initial: Float
) {
  let (minimum, maximum) = (Vector(repeating: p.epilogue.minimum), Vector(repeating: p.epilogue.maximum))
  let distances = p.distances!
  var position = 0
  while position < p.positions {
    var sums = WindowSums { _ in Vector(repeating: initial) }
    let source = UnsafePointer(values + position)
    if let weights {
      for tap in 0..<p.taps {
        let line = source + Int(distances[tap])
        let weight = Vector(repeating: weights[tap])
        for i in 0..<WindowSums.count { sums[i] = multiplyAdd(sums[i], read(line + i * Vector.scalarCount), weight) }
      }
    } else {
      for tap in 0..<p.taps {
        let line = source + Int(distances[tap])
        for i in 0..<WindowSums.count {
          let value = read(line + i * Vector.scalarCount)
          sums[i] = sums[i].replacing(with: value, where: value .> sums[i])
        }
      }
    }
    for i in 0..<WindowSums.count {
      write(clamped(sums[i], minimum, maximum), values + position + i * Vector.scalarCount)
    }
    position += WindowSums.count * Vector.scalarCount
  }
}

private typealias WindowSums = InlineArray<4, Vector>
