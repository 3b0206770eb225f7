import CIntrinsics
import TensorCore

/// How a product of bytes goes through pixels and panels of weights, and what memory a thread has for it.
struct DotWork: Sendable {
  /// Bytes: sums, two rows of bytes, joined rows, and a pointer for each row and tap; behind them the panel that is widened.
  let scratchPerThread: Int
  private let pixels: Int
  private let taps: Int
  private let depth: Int
  private let isSmall: Bool
  private let isPanelMajor: Bool
  /// 0 where panels are not widened.
  private let wideOffset: Int

  /// - Parameters:
  ///   - taps: of a window, those that lie beside each other counted once.
  ///   - inputByteCount: of the pixels that a group reads.
  init(_ outputs: DotOutputs, _ table: PacerKernelTable, pixels: Int, taps: Int, inputByteCount: Int) {
    let (layout, shape) = (outputs.layout, outputs.weight.shape)
    (self.pixels, self.taps, depth, isSmall) = (pixels, taps, layout.depth(of: shape), layout.isSmall)
    // Of a few pixels there is little to gain, and shallow panels would look pixels up more often than they multiply. Both limits
    // are guesses.
    let widens = table.widensDots != 0 && !isSmall && pixels >= 2 * table.dotRows && depth >= 64
    // Where there are more weights than pixels, each panel is read once; and widened once.
    isPanelMajor = widens || layout.byteCount(for: shape) / layout.groups > inputByteCount
    let own = rounded(table.dotRows * (table.lanes * 8 + depth) + 72 + 8 * table.dotRows * taps)
    wideOffset = widens ? own : 0
    scratchPerThread = own + (widens ? rounded(2 * depth * layout.width) : 0)
  }

  /// - Parameter scratch: `scratchPerThread` bytes for each thread.
  func fill(_ p: inout PacerDotGEMM, scratch: UnsafeMutablePointer<UInt8>) {
    (p.scratch, p.scratchStride, p.wideOffset) = (scratch, scratchPerThread, wideOffset)
    (p.pixels, p.taps, p.depth) = (pixels, taps, depth)
    (p.isSmall, p.panelMajor) = (isSmall ? 1 : 0, isPanelMajor ? 1 : 0)
  }
}
