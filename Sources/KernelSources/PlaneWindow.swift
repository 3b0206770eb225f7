import CIntrinsics

/// Depthwise convolution and maximum pooling over single planes.
///
/// The plane is copied with its border into `strideHeight × strideWidth` phase planes, one for each remainder of the
/// coordinates. Then a tap is a constant distance for all outputs, and a row of outputs is a run of whole vectors.
func planeWindow(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int) {
  let p = raw!.assumingMemoryBound(to: PacerPlaneWindow.self).pointee
  let scratch = p.scratch + begin / p.itemsPerPiece * p.scratchStride
  let padding = p.weights == nil ? -Float.infinity : 0
  let phaseHeight = (p.height + 2 * p.padHeight + p.strideHeight - 1) / p.strideHeight
  let phaseWidth = (p.width + 2 * p.padWidth + p.strideWidth - 1) / p.strideWidth
  let phaseSize = phaseHeight * phaseWidth
  let taps = p.kernelHeight * p.kernelWidth
  withUnsafeTemporaryAllocation(of: Int.self, capacity: taps) { distances in
    for tap in 0..<taps {
      let y = tap / p.kernelWidth * p.dilationHeight
      let x = tap % p.kernelWidth * p.dilationWidth
      let phase = y % p.strideHeight * p.strideWidth + x % p.strideWidth
      distances[tap] = phase * phaseSize + y / p.strideHeight * phaseWidth + x / p.strideWidth
    }
    for item in begin..<end {
      let channel = item % p.channels
      copyPhases(p, p.input + item * p.height * p.width, scratch, padding, phaseWidth, phaseSize)
      let output = p.output + item * p.outputHeight * p.outputWidth
      let call = WindowCall(
        scratch: scratch, output: output, outputWidth: p.outputWidth, outputCount: p.outputHeight * p.outputWidth,
        phaseWidth: phaseWidth, distances: distances.baseAddress!, taps: taps, minimum: p.minimum, maximum: p.maximum)
      if let weights = p.weights {
        slide(call, p.outputHeight, isMaximum: false, weights + channel * taps, p.bias?[channel] ?? 0)
      } else {
        slide(call, p.outputHeight, isMaximum: true, scratch, -.infinity)
      }
    }
  }
}

@inline(__always)
private func copyPhases(
  _ p: PacerPlaneWindow, _ plane: UnsafePointer<Float>, _ scratch: UnsafeMutablePointer<Float>, _ padding: Float,
  _ phaseWidth: Int, _ phaseSize: Int
) {
  let (sh, sw) = (p.strideHeight, p.strideWidth)
  for y in 0..<((p.height + 2 * p.padHeight + sh - 1) / sh * sh) {
    let iy = y - p.padHeight
    for phase in 0..<sw {
      let target = scratch + (y % sh * sw + phase) * phaseSize + y / sh * phaseWidth
      if iy < 0 || iy >= p.height {
        for x in 0..<phaseWidth { target[x] = padding }
        continue
      }
      let line = plane + iy * p.width
      // Columns x of this phase lie at x · sw + phase − padWidth in the image.
      let start = phase - p.padWidth
      let below = start < 0 ? min(phaseWidth, (sw - 1 - start) / sw) : 0
      let inside = start >= p.width ? 0 : min(phaseWidth, (p.width - 1 - start) / sw + 1)
      var x = 0
      while x < below {
        target[x] = padding
        x += 1
      }
      if sw == 1 {
        while x + Vector.scalarCount <= inside {
          write(read(line + start + x), target + x)
          x += Vector.scalarCount
        }
      } else if sw == 2 {
        while x + Vector.scalarCount < inside {
          let pair = UnsafeRawPointer(line + start + 2 * x).loadUnaligned(as: DoubleVector.self)
          write(pair.evenHalf, target + x)
          x += Vector.scalarCount
        }
      }
      while x < inside {
        target[x] = line[start + x * sw]
        x += 1
      }
      while x < phaseWidth {
        target[x] = padding
        x += 1
      }
    }
  }
}

private struct WindowCall {
  let scratch: UnsafePointer<Float>
  let output: UnsafeMutablePointer<Float>
  let outputWidth: Int
  let outputCount: Int
  let phaseWidth: Int
  let distances: UnsafePointer<Int>
  let taps: Int
  let minimum: Float
  let maximum: Float
}

@inline(__always)
private func slide(
  _ call: WindowCall, _ rows: Int, isMaximum: Bool, _ weights: UnsafePointer<Float>, _ initial: Float
) {
  var oy = 0
  while oy + 4 <= rows {
    WindowRows<4>.run(call, oy, isMaximum: isMaximum, weights, initial)
    oy += 4
  }
  while oy < rows {
    WindowRows<1>.run(call, oy, isMaximum: isMaximum, weights, initial)
    oy += 1
  }
}

/// Some rows of outputs at once, in whole vectors. The last vector of a row starts early enough to end with the row.
/// Where a row is shorter than a vector, what is written past it the next row overwrites, up to the plane's end.
private struct WindowRows<let rows: Int> {
  @inline(__always)
  static func run(
    _ call: WindowCall, _ oy: Int, isMaximum: Bool, _ weights: UnsafePointer<Float>, _ initial: Float
  ) {
    let (minimum, maximum) = (Vector(repeating: call.minimum), Vector(repeating: call.maximum))
    let last = max(call.outputWidth - Vector.scalarCount, 0)
    var next = 0
    while next < call.outputWidth {
      let ox = min(next, last)
      var sums = InlineArray<rows, Vector>(repeating: Vector(repeating: initial))
      let source = call.scratch + oy * call.phaseWidth + ox
      if isMaximum {
        for tap in 0..<call.taps {
          let line = source + call.distances[tap]
          for r in 0..<rows {
            let value = read(line + r * call.phaseWidth)
            sums[r] = sums[r].replacing(with: value, where: value .> sums[r])
          }
        }
      } else {
        for tap in 0..<call.taps {
          let line = source + call.distances[tap]
          let weight = Vector(repeating: weights[tap])
          for r in 0..<rows { sums[r] = multiplyAdd(sums[r], read(line + r * call.phaseWidth), weight) }
        }
      }
      for r in 0..<rows { sums[r] = clamped(sums[r], minimum, maximum) }
      let start = oy * call.outputWidth + ox
      if start + (rows - 1) * call.outputWidth + Vector.scalarCount <= call.outputCount {
        for r in 0..<rows { write(sums[r], call.output + start + r * call.outputWidth) }
      } else {
        var copy = sums
        withUnsafeBytes(of: &copy) { raw in
          let vectors = raw.baseAddress!.assumingMemoryBound(to: Vector.self)
          var r = 0
          while r < rows {
            let here = start + r * call.outputWidth
            let count = here + Vector.scalarCount <= call.outputCount ? Vector.scalarCount : call.outputWidth - ox
            write(vectors[r], call.output + here, first: count)
            r += 1
          }
        }
      }
      next += Vector.scalarCount
    }
  }
}
