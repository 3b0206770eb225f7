import CIntrinsics
import GraphCore
import TensorCore

/// How the planes of an image are laid out for a window: with their border, taken apart into phases, so that each tap
/// is a constant distance from an output's position.
struct PlanePhases: Sendable {
  let parameters: PacerPhases
  /// Floats of one plane's phases.
  let count: Int
  /// Distance of each tap, by row, from the position of its output.
  let distances: [Int32]
  /// Positions from the first output to the last.
  let positions: Int

  init(_ window: Window, _ input: Shape, _ output: Shape, padding: Float) {
    var p = PacerPhases()
    (p.height, p.width) = (input[2], input[3])
    (p.strideHeight, p.strideWidth, p.padHeight, p.padWidth) = (
      window.stride.h, window.stride.w, window.padding.top, window.padding.left
    )
    p.rows = min(window.stride.h, (window.kernel.h - 1) * window.dilation.h + 1)
    p.columns = min(window.stride.w, (window.kernel.w - 1) * window.dilation.w + 1)
    p.phaseHeight = (input[2] + window.padding.total.h + window.stride.h - 1) / window.stride.h
    p.phaseWidth = (input[3] + window.padding.total.w + window.stride.w - 1) / window.stride.w
    p.padding = padding
    parameters = p
    count = p.rows * p.columns * p.phaseHeight * p.phaseWidth
    positions = (output[2] - 1) * p.phaseWidth + output[3]
    distances = (0..<window.kernel.h * window.kernel.w).map { tap in
      let y = tap / window.kernel.w * window.dilation.h
      let x = tap % window.kernel.w * window.dilation.w
      let phase = y % window.stride.h * p.columns + x % window.stride.w
      return Int32((phase * p.phaseHeight + y / window.stride.h) * p.phaseWidth + x / window.stride.w)
    }
  }
}
