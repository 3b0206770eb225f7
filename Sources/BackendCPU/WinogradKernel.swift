import CIntrinsics
import GraphCore
import TensorCore

/// 3×3 convolution of stride 1 by Winograd's F(4×4, 3×3), channels last.
struct WinogradKernel: CPUKernel {
  /// When weights are transformed.
  enum Schedule: Sendable {
    /// Before the first inference.
    case before(Split)
    /// In each inference: what comes from memory is a quarter as much.
    case streamed
  }

  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: KernelWeight
  let table: PacerKernelTable
  let threads: Int
  let schedule: Schedule
  let zeros: Zeros
  let epilogue: KernelEpilogue

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, op.algorithm == .winograd, request.inputs[0].format == .nhwc,
      op.allowsWinograd(request.inputs[1].shape)
    else { return nil }
    return WinogradKernel(op, request)
  }

  init(_ op: Conv2D, _ request: KernelRequest) {
    self.op = op
    epilogue = KernelEpilogue(op.epilogue)
    (input, output) = (request.inputs[0].shape, request.output.shape)
    (table, threads) = (request.table, request.threads)
    let streams = Self.streams(output, table)
    weight = KernelWeight(type: request.inputs[1], wanted: Self.weightFormat(output, table))
    schedule = streams ? .streamed : .before(Split(input, output, table, threads: threads))
    name = (streams ? "winograd-streamed-nhwc-" : "winograd-nhwc-") + String(cString: table.name)
    zeros = Zeros(count: max(input[1], table.gemmWidth))
  }

  /// Products that one weight takes part in, and what its transforms cost, in products, where they are made in each
  /// inference and where they come from memory. These are guesses from counting instructions and bytes.
  private static func costs(_ output: Shape, _ table: PacerKernelTable) -> (streamed: Int, before: Int) {
    let tiles = tiles(output)
    let count = tiles.h * tiles.w
    let groups = (count + table.filterTiles - 1) / table.filterTiles
    return (groups * (36 * table.filterTiles + 66), 36 * (count + table.lanes))
  }

  static func streams(_ output: Shape, _ table: PacerKernelTable) -> Bool {
    let costs = costs(output, table)
    return costs.streamed < costs.before
  }

  static func weightFormat(_ output: Shape, _ table: PacerKernelTable) -> MemoryFormat {
    streams(output, table)
      ? .panels(PanelLayout(width: table.lanes, depth: .channelsThenTaps))
      : .winograd(WinogradLayout(width: table.gemmWidth))
  }

  /// Whether it costs clearly less than the direct algorithm.
  static func pays(_ input: Shape, _ output: Shape, _ table: PacerKernelTable) -> Bool {
    let costs = costs(output, table)
    let direct = 9 * (output[2] * output[3] + table.lanes)
    return 10 * direct >= 13 * min(costs.streamed, costs.before) && input[1] >= 16 && output[1] >= 16
  }

  static func tiles(_ output: Shape) -> Pair { Pair((output[2] + 3) / 4, (output[3] + 3) / 4) }

  /// How the work is cut: so many tiles at a time, whose values are transformed once for each part of the outputs.
  struct Split: Sendable {
    var blockTiles: Int
    var parts: Int

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
      var best = (cost: Int.max, split: Split(blockTiles: count, parts: 1))
      for block in stride(from: rows, to: count + rows, by: rows).map({ min($0, count) }) {
        // A block's values and one panel's sums share the cache with the weights.
        let fits = 36 * 4 * block * (channels + table.gemmWidth) <= 640 << 10
        for parts in 1...min(panels, threads) {
          let items = (count + block - 1) / block * parts
          let outputs = (panels + parts - 1) / parts * table.gemmWidth
          let values = (fits ? 20 : 60) * block * (channels + outputs)
          let item = block * channels * outputs + values + 6 * channels * outputs
          let cost = (items + threads - 1) / threads * item
          if cost < best.cost {
            best = (cost, Split(blockTiles: block, parts: parts))
          }
        }
      }
      self = best.split
    }

    private init(blockTiles: Int, parts: Int) { (self.blockTiles, self.parts) = (blockTiles, parts) }
  }

  /// As the kernels divide it.
  private var scratchPerThread: Int {
    let tile = 2 * 36 + 36 * table.lanes
    let count: Int
    switch schedule {
    case .before(let split):
      let sums = (36 * split.blockTiles + table.gemmRows) * table.gemmWidth
      count = tile + 36 * split.blockTiles * input[1] + sums
    case .streamed:
      let tiles = Self.tiles(output)
      let places = (tiles.h * tiles.w + table.filterTiles - 1) / table.filterTiles * table.filterTiles
      count = tile + 36 * places * ((input[1] + table.lanes - 1) / table.lanes + 1) * table.lanes
    }
    return (count + 15) / 16 * 16
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
    (p.padHeight, p.padWidth) = (op.padding.top, op.padding.left)
    (p.tilesAcross, p.tiles) = (tiles.w, tiles.h * tiles.w)
    p.epilogue = epilogue.parameters()
    let (kernel, items, piecesPerThread): (PacerKernel?, Int, Int)
    switch schedule {
    case .before(let split):
      (p.blockTiles, p.parts) = (split.blockTiles, split.parts)
      (kernel, piecesPerThread) = (table.winograd, 4)
      items = (p.tiles + p.blockTiles - 1) / p.blockTiles * p.parts
    case .streamed:
      // Their weights stay in a core's first cache; half and twice as many were measured to be slower.
      p.channelsAtOnce = max(1, (40 << 10) / (4 * 9 * table.lanes * table.lanes)) * table.lanes
      (kernel, piecesPerThread) = (table.streamedWinograd, 1)
      items = (p.outputs + table.lanes - 1) / table.lanes
    }
    for n in 0..<batch {
      p.input = call.input(0)! + n * height * width * channels
      let place = n * output.count / batch
      p.output = call.output + place
      p.residual = call.input(3).map { $0 + place }
      call.pool.run(kernel, p, count: items, piecesPerThread: piecesPerThread)
    }
  }
}
