import CIntrinsics
import GraphCore
import TensorCore

/// 3×3 convolution of stride 1 by Winograd's F(4×4, 3×3), channels last.
struct WinogradKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: KernelWeight
  let table: PacerKernelTable
  let threads: Int
  let split: Split
  let zeros: Zeros

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, op.algorithm == .winograd, request.inputs[0].format == .nhwc,
      op.allowsWinograd(request.inputs[1].shape)
    else { return nil }
    let (input, output) = (request.inputs[0].shape, request.output.shape)
    return WinogradKernel(
      name: "winograd-nhwc-" + String(cString: request.table.name), op: op, input: input, output: output,
      weight: KernelWeight(type: request.inputs[1], wanted: weightFormat(request.table)), table: request.table,
      threads: request.threads, split: Split(input, output, request.table, threads: request.threads),
      zeros: Zeros(count: max(input[1], request.table.gemmWidth)))
  }

  static func weightFormat(_ table: PacerKernelTable) -> MemoryFormat {
    .winograd(WinogradLayout(width: table.gemmWidth))
  }

  static func tiles(_ output: Shape) -> Pair { Pair((output[2] + 3) / 4, (output[3] + 3) / 4) }

  /// Weights are four times as many as directly: they must serve enough tiles, and both transforms enough channels.
  static func pays(_ input: Shape, _ output: Shape) -> Bool {
    let tiles = tiles(output)
    return tiles.h * tiles.w >= 9 && input[1] >= 16 && output[1] >= 16
  }

  /// How the work is cut: so many tiles at a time, whose values are transformed once for each part of the outputs.
  struct Split: Sendable {
    var blockTiles: Int
    var parts: Int
    /// Panels of a part that one matrix of values meets before the next one does.
    var panelsAtOnce: Int

    /// The cheapest for the thread with the most work.
    ///
    /// Costs are guesses from counting instructions and bytes, in products: a transformed value 20, and 40 more where a
    /// block's values are more than a core's own cache holds, a weight that is read anew for each block 6. Only their order
    /// of magnitude matters.
    init(_ input: Shape, _ output: Shape, _ table: PacerKernelTable, threads: Int) {
      let tiles = WinogradKernel.tiles(output)
      let count = tiles.h * tiles.w
      let panels = (output[1] + table.gemmWidth - 1) / table.gemmWidth
      let (channels, rows) = (input[1], table.gemmRows)
      var best = (cost: Int.max, split: Split(blockTiles: count, parts: 1, panelsAtOnce: 1))
      for block in stride(from: rows, to: count + rows, by: rows).map({ min($0, count) }) {
        // A block's values and one panel's sums share the cache with the weights.
        let fits = 36 * 4 * block * (channels + table.gemmWidth) <= 640 << 10
        for parts in 1...min(panels, threads) {
          let items = (count + block - 1) / block * parts
          let partPanels = (panels + parts - 1) / parts
          let outputs = partPanels * table.gemmWidth
          let values = (fits ? 20 : 60) * block * (channels + outputs)
          let item = block * channels * outputs + values + 6 * channels * outputs
          let cost = (items + threads - 1) / threads * item
          if cost < best.cost {
            best = (cost, Split(blockTiles: block, parts: parts, panelsAtOnce: fits ? 1 : partPanels))
          }
        }
      }
      self = best.split
    }

    private init(blockTiles: Int, parts: Int, panelsAtOnce: Int) {
      (self.blockTiles, self.parts, self.panelsAtOnce) = (blockTiles, parts, panelsAtOnce)
    }
  }

  /// Pointers and vectors of one tile, values of a block and its sums, which a register tile may overshoot.
  private var scratchPerThread: Int {
    let sums = (36 * split.blockTiles * split.panelsAtOnce + table.gemmRows) * table.gemmWidth
    return (2 * 36 + 36 * table.lanes + 36 * split.blockTiles * input[1] + sums + 15) / 16 * 16
  }
  var scratchByteCount: Int { (weight.scratchCount + scratchPerThread * threads) * 4 }
  var overwritableInputs: [Int] { [3] }

  func run(_ call: borrowing KernelCall) {
    let weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    let (batch, channels, height, width) = input.nchw
    let tiles = Self.tiles(output)
    var p = PacerWinograd()
    (p.weights, p.bias, p.zeros) = (weights, call.input(2), UnsafePointer(zeros.pointer))
    (p.scratch, p.scratchStride) = (call.scratch! + weight.scratchCount, scratchPerThread)
    (p.height, p.width, p.channels) = (height, width, channels)
    (p.outputHeight, p.outputWidth, p.outputs) = (output[2], output[3], output[1])
    (p.padHeight, p.padWidth) = (op.padding.h, op.padding.w)
    (p.tilesAcross, p.tiles) = (tiles.w, tiles.h * tiles.w)
    (p.blockTiles, p.parts, p.panelsAtOnce) = (split.blockTiles, split.parts, split.panelsAtOnce)
    (p.minimum, p.maximum) = (op.activation ?? .none).limits
    for n in 0..<batch {
      p.input = call.input(0)! + n * height * width * channels
      let place = n * output.count / batch
      p.output = call.output + place
      p.residual = call.input(3).map { $0 + place }
      call.pool.run(table.winograd, p, count: (p.tiles + p.blockTiles - 1) / p.blockTiles * p.parts)
    }
  }
}
