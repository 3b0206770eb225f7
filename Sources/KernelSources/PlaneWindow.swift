import CIntrinsics

/// Depthwise convolution and maximum pooling over single planes.
///
/// The plane is copied with its border into `strideHeight × strideWidth` phase planes, one for each remainder of the
/// coordinates. Then a tap is a constant distance for all outputs, and all rows of outputs together are one run of
/// whole vectors. The columns in it that belong to no output are computed and dropped: they cost less than the short
/// vectors of a row.
func planeWindow(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPlaneWindow.self).pointee
  let scratch = p.scratch + begin / p.itemsPerPiece * p.scratchStride
  let phaseHeight = (p.height + 2 * p.padHeight + p.strideHeight - 1) / p.strideHeight
  let phaseWidth = (p.width + 2 * p.padWidth + p.strideWidth - 1) / p.strideWidth
  let taps = p.kernelHeight * p.kernelWidth
  withUnsafeTemporaryAllocation(of: Int.self, capacity: taps) { distances in
    for tap in 0..<taps {
      let y = tap / p.kernelWidth * p.dilationHeight
      let x = tap % p.kernelWidth * p.dilationWidth
      let phase = y % p.strideHeight * p.strideWidth + x % p.strideWidth
      distances[tap] = (phase * phaseHeight + y / p.strideHeight) * phaseWidth + x / p.strideWidth
    }
    let positions = (p.outputHeight - 1) * phaseWidth + p.outputWidth
    let planeSize = p.height * p.width
    var channel = begin % p.channels
    for item in begin..<end {
      let plane = p.input + item * planeSize
      copyPhases(p, plane, (end - item) * planeSize, scratch, phaseHeight, phaseWidth)
      if let weights = p.weights {
        slide(
          scratch, positions, distances.baseAddress!, taps, weights: weights + channel * taps,
          initial: p.bias?[channel] ?? 0, p.minimum, p.maximum)
      } else {
        slide(scratch, positions, distances.baseAddress!, taps, weights: nil, initial: -.infinity, p.minimum, p.maximum)
      }
      let output = p.output + item * p.outputHeight * p.outputWidth
      for y in 0..<p.outputHeight {
        copyLine(
          scratch + y * phaseWidth, length: p.outputWidth, readable: .max, start: 0, stride: 1, padding: 0,
          to: output + y * p.outputWidth, count: p.outputWidth, writable: (p.outputHeight - y) * p.outputWidth)
      }
      channel = channel + 1 == p.channels ? 0 : channel + 1
    }
  }
}

/// Copies a plane, of which `readable` floats may be read, into its phases. Each line may spoil the beginning of the
/// next one, which is written after it.
@inline(__always)
private func copyPhases(
  _ p: PacerPlaneWindow, _ plane: UnsafePointer<Float>, _ readable: Int, _ scratch: UnsafeMutablePointer<Float>,
  _ phaseHeight: Int, _ phaseWidth: Int
) {
  let padding = p.weights == nil ? -Float.infinity : 0
  var target = scratch
  for row in 0..<p.strideHeight {
    for column in 0..<p.strideWidth {
      var y = row - p.padHeight
      for _ in 0..<phaseHeight {
        if y >= 0 && y < p.height {
          copyLine(
            plane + y * p.width, length: p.width, readable: readable - y * p.width, start: column - p.padWidth,
            stride: p.strideWidth, padding: padding, to: target, count: phaseWidth, writable: .max)
        } else {
          fill(target, padding, phaseWidth)
        }
        target += phaseWidth
        y += p.strideHeight
      }
    }
  }
}

/// Replaces each of the first `positions` floats by the weighted sum or, without weights, the maximum of the values at
/// the taps' distances from it. No distance is negative, so that what is replaced is never read again.
@inline(__always)
private func slide(
  _ values: UnsafeMutablePointer<Float>, _ positions: Int, _ distances: UnsafePointer<Int>, _ taps: Int,
  weights: UnsafePointer<Float>?, initial: Float, _ minimum: Float, _ maximum: Float
) {
  let (minimum, maximum) = (Vector(repeating: minimum), Vector(repeating: maximum))
  var position = 0
  while position < positions {
    var sums = WindowSums(repeating: Vector(repeating: initial))
    let source = UnsafePointer(values + position)
    if let weights {
      for tap in 0..<taps {
        let line = source + distances[tap]
        let weight = Vector(repeating: weights[tap])
        for i in 0..<WindowSums.count { sums[i] = multiplyAdd(sums[i], read(line + i * Vector.scalarCount), weight) }
      }
    } else {
      for tap in 0..<taps {
        let line = source + distances[tap]
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
