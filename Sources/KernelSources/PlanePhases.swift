import CIntrinsics

/// Copies each plane of an image, with its border, into phase planes.
func copyPhases(_ raw: UnsafeRawPointer?, _ begin: Int, _ end: Int, _ thread: Int) {
  let p = raw!.assumingMemoryBound(to: PacerCopyPhases.self).pointee
  let size = p.phases.height * p.phases.width
  for plane in begin..<end {
    copyPhases(
      p.phases, p.input + plane * size, readable: (p.planes - plane) * size, p.output + plane * p.outputStride)
  }
}

/// Copies a plane, of which `readable` floats may be read. Each line may spoil the beginning of the next one, which is
/// written after it.
@inline(__always)
func copyPhases(
  _ phases: PacerPhases, _ plane: UnsafePointer<Float>, readable: Int, _ output: UnsafeMutablePointer<Float>
) {
  var target = output
  for row in 0..<phases.rows {
    for column in 0..<phases.columns {
      var y = row - phases.padHeight
      for _ in 0..<phases.phaseHeight {
        if y >= 0 && y < phases.height {
          copyLine(
            plane + y * phases.width, length: phases.width, readable: readable - y * phases.width,
            start: column - phases.padWidth, stride: phases.strideWidth, padding: phases.padding, to: target,
            count: phases.phaseWidth, writable: .max)
        } else {
          fill(target, phases.padding, phases.phaseWidth)
        }
        target += phases.phaseWidth
        y += phases.strideHeight
      }
    }
  }
}
