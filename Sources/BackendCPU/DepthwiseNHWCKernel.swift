import CIntrinsics
import GraphCore
import TensorCore

/// Depthwise convolution, channels last, alone or with the convolution before it and the pointwise one behind it.
struct DepthwiseNHWCKernel: CPUKernel {
  /// Bytes between the convolutions of a block from which on it is worth running it row by row: half of what a core's
  /// own cache holds on the processors of these years.
  static let leastBytesBetween = 512 << 10

  let name: String
  let input: Shape
  /// What the depthwise convolution reads.
  let wide: Shape
  let output: Shape
  /// One for each convolution, in order.
  let weights: [KernelWeight]
  let table: PacerKernelTable
  let threads: Int
  let zeros: Zeros
  /// One for each convolution, in order.
  let epilogues: [KernelEpilogue]
  /// Where the convolution before is not pointwise: where its taps lie for each pixel of a row, in copies of the rows of
  /// the image under it.
  let offsets: [Int32]
  /// Which rows of the image those are; none where the convolution before is pointwise.
  let rows: PacerRows
  /// Of the depthwise convolution.
  let window: Window
  let (expands, projects): (Bool, Bool)
  let scratchPerThread: Int

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard request.inputs[0].format == .nhwc else { return nil }
    if let block = request.node.op as? DepthwiseBlock {
      guard runs(block, request.inputs.map(\.shape)), let types = try? block.types(for: request.inputs) else {
        return nil
      }
      return DepthwiseNHWCKernel(block, request, between: types, "block")
    }
    guard let op = request.node.op as? Conv2D, request.inputs.count <= 3,
      op.isDepthwise(request.inputs[0].shape, request.inputs[1].shape)
    else { return nil }
    return DepthwiseNHWCKernel(
      DepthwiseBlock(expand: nil, depthwise: op, project: nil), request, between: [], "depthwise")
  }

  /// Whether it can: the convolution before is pointwise or one of few channels, the one behind pointwise.
  static func runs(_ block: DepthwiseBlock, _ inputs: [Shape]) -> Bool {
    let weights = block.convolutions.indices.map { inputs[1 + 2 * $0] }
    let before = block.expand.map { op in
      op.groups == 1 && op.isPointwise(weights[0])
        || Border.joiningTaps(op, inputs[0]) != nil && op.dilation.h == 1
    }
    let behind = block.project.map { op in op.groups == 1 && op.isPointwise(weights.last!) }
    let hasResidual = inputs.count > 1 + 2 * weights.count
    return (before ?? true) && (behind ?? !hasResidual)
  }

  init(_ block: DepthwiseBlock, _ request: KernelRequest, between: [TensorType], _ kind: String) {
    epilogues = block.convolutions.map { KernelEpilogue($0.epilogue) }
    table = request.table
    threads = request.threads
    input = request.inputs[0].shape
    output = request.output.shape
    (expands, projects) = (block.expand != nil, block.project != nil)
    wide = expands ? between[0].shape : input
    let wanted = Self.formats(block, channels: wide[1], table)
    weights = wanted.indices.map { KernelWeight(type: request.inputs[1 + 2 * $0], wanted: wanted[$0]) }
    if let op = block.expand, !op.isPointwise(request.inputs[1].shape) {
      let kernel = request.inputs[1].shape
      offsets = IndirectConvolutionKernel.offsets(
        op, [1, wide[1], 1, wide[3]], kernel: Pair(kernel[2], 1), size: Pair(kernel[2], input[3] + op.padding.total.w),
        channels: input[1], padding: 0, rows: table.gemmRows)
    } else {
      offsets = []
    }
    var rows = PacerRows()
    if !offsets.isEmpty, let op = block.expand {
      rows = PacerRows(
        count: weights[0].type.shape[2], stride: op.stride.h, padHeight: op.padding.top, padWidth: op.padding.left,
        padRight: op.padding.right, height: input[2], width: input[3], channels: input[1])
    }
    self.rows = rows
    let filter = weights[expands ? 1 : 0].type.shape
    window = Window(
      kernel: Pair(filter[2], filter[3]), stride: block.depthwise.stride, padding: block.depthwise.padding,
      dilation: block.depthwise.dilation)
    let isPaired = window.isPaired
    let span = (window.kernel.h - 1) * window.dilation.h + (isPaired ? 2 : 1)
    let row = (wide[3] + window.padding.total.w) * wide[1]
    let line = projects ? output[3] * wide[1] * (isPaired ? 2 : 1) : 0
    let copies = rows.count * (rows.padWidth + rows.width + rows.padRight) * rows.channels
    scratchPerThread = (span * row + table.lanes + line + copies + 15) / 16 * 16
    zeros = Zeros(count: (wide[3] + window.padding.total.w) * wide[1] + table.lanes)
    name = "\(kind)-nhwc-" + String(cString: table.name)
  }

  /// One panel: `[tap][channels, rounded up to whole vectors]`.
  static func weightFormat(channels: Int, _ table: PacerKernelTable) -> MemoryFormat {
    .panels(PanelLayout(width: (channels + table.lanes - 1) / table.lanes * table.lanes, depth: .channelsThenTaps))
  }

  private static func formats(_ block: DepthwiseBlock, channels: Int, _ table: PacerKernelTable) -> [MemoryFormat] {
    [
      block.expand.map { IndirectConvolutionKernel.weightFormat($0, streams: false, table) },
      weightFormat(channels: channels, table),
      block.project.map { IndirectConvolutionKernel.weightFormat($0, streams: false, table) },
    ].compactMap { $0 }
  }

  static func weightFormats(_ block: DepthwiseBlock, _ types: [TensorType], _ table: PacerKernelTable)
    -> [Int: MemoryFormat]
  {
    let channels = types[block.expand == nil ? 1 : 3].shape[0]
    let formats = formats(block, channels: channels, table)
    return Dictionary(uniqueKeysWithValues: formats.enumerated().map { (1 + 2 * $0.offset, $0.element) })
  }

  private var weightScratch: Int { weights.reduce(0) { $0 + $1.scratchCount } }
  private var taps: Int { max(rows.count, 1) }
  var scratchByteCount: Int {
    (weightScratch + (scratchPerThread + table.gemmScratch(taps: taps)) * threads) * 4
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerDepthwiseNHWC()
    var scratch = call.scratch!
    let ring = scratch + weightScratch
    let tiles = ring + scratchPerThread * threads
    var next = 0
    func parameters() -> (UnsafePointer<Float>, UnsafePointer<Float>?, PacerEpilogue) {
      let (weight, place) = (weights[next], 1 + 2 * next)
      let pointer = weight.pointer(call.input(place)!, scratch: scratch)
      scratch += weight.scratchCount
      defer { next += 1 }
      return (pointer, place + 1 < call.inputs.count ? call.input(place + 1) : nil, epilogues[next].parameters())
    }
    func product(row: Int, channels: Int, outputs: Int) -> PacerIndirectGEMM {
      var product = PacerIndirectGEMM()
      (product.weights, product.bias, product.epilogue) = parameters()
      (product.pixels, product.taps, product.channels, product.inputStride) = (row, 1, channels, channels)
      (product.outputs, product.outputStride) = (outputs, outputs)
      (product.scratch, product.scratchStride) = (tiles, table.gemmScratch(taps: taps))
      return product
    }
    if expands {
      p.expand = product(row: wide[3], channels: input[1], outputs: wide[1])
      p.rows = rows
      if rows.count > 0 {
        (p.expand.taps, p.expand.channels) = (taps, weights[0].type.shape[3] * input[1])
      }
    }
    (p.weights, p.bias, p.epilogue) = parameters()
    if projects { p.project = product(row: output[3], channels: wide[1], outputs: output[1]) }
    (p.zeros, p.scratch, p.scratchStride) = (UnsafePointer(zeros.pointer), ring, scratchPerThread)
    p.channels = wide[1]
    p.channelStride = (wide[1] + table.lanes - 1) / table.lanes * table.lanes
    (p.height, p.width, p.outputHeight, p.outputWidth) = (wide[2], wide[3], output[2], output[3])
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = window.paddingAndDilation
    p.padRight = window.padding.right
    p.isPaired = window.isPaired ? 1 : 0
    for n in 0..<input[0] {
      p.input = call.input(0)! + n * input.count / input[0]
      let place = n * output.count / input[0]
      p.output = call.output + place
      p.project.residual = call.input(1 + 2 * weights.count).map { $0 + place }
      offsets.withUnsafeBufferPointer {
        p.expand.offsets = offsets.isEmpty ? nil : $0.baseAddress
        call.pool.run(table.depthwiseNHWC, p, count: output[2], piecesPerThread: 1)
      }
    }
  }
}

extension Window {
  /// Whether two rows of outputs are made at a time.
  fileprivate var isPaired: Bool { kernel == Pair(3, 3) && stride == Pair(1, 1) && dilation == Pair(1, 1) }
}
