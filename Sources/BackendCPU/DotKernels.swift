import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// Convolution, channels last, or linear layer, of bytes with exact sums.
struct DotKernel: CPUKernel {
  let name: String
  private let outputs: DotOutputs
  private let table: PacerKernelTable
  private let threads: Int
  private let groups: Int
  /// Of packed weights.
  private let groupBytes: Int
  /// Images; pixels of each; and bytes from one to the next.
  private let batch: Int
  private let pixels: Int
  private let image: Int
  /// Copies the image with a border of zero points, so that the taps of a window row are one run of bytes.
  private let border: Border?
  private let offsets: FixedArray<Int32>?
  private let work: DotWork
  private let channels: Int
  private let inputStride: Int
  private let zeros: FixedArray<UInt8>

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let (input, weight) = (request.inputs[0], request.inputs[safe: 1])
    guard let weight else { return nil }
    if let op = request.node.op as? Linear {
      guard let outputs = DotOutputs(layout(op, request.inputs, request.table), op, request.inputs, request.output)
      else {
        return nil
      }
      let depth = weight.shape[1]
      return DotKernel(
        name: "linear-dots-", outputs, request, groups: 1, batch: 1, pixels: input.shape.count / depth, image: 0,
        border: nil, offsets: nil, taps: 1, channels: depth, inputStride: depth)
    }
    guard let op = request.node.op as? Conv2D, input.format == .nhwc,
      !op.isDepthwise(input.shape, weight.shape),
      request.inputs.count < 4 || request.inputs[3].format == .nhwc,
      let outputs = DotOutputs(layout(op, request.inputs, request.table), op, request.inputs, request.output)
    else { return nil }
    let output = request.output.shape
    let (_, depth, kh, kw) = weight.shape.nchw
    let pixels = output[2] * output[3]
    guard pixels.multipliedReportingOverflow(by: kh * kw).partialValue <= 1 << 27, kh * kw <= 1 << 16 else {
      return nil
    }
    let isPointwise = op.isPointwise(weight.shape)
    let border = outputs.layout.kind == .rows ? Border.joiningTaps(op, input.shape) : nil
    let taps = Pair(kh, border == nil ? kw : 1)
    let offsets =
      isPointwise
      ? nil
      : IndirectConvolutionKernel.offsets(
        op, output, kernel: taps, size: border?.size ?? Pair(input.shape[2], input.shape[3]),
        channels: input.shape[1], padding: border == nil ? op.padding.before : 0, rows: request.table.dotRows)
    return DotKernel(
      name: isPointwise ? "pointwise-dots-nhwc-" : "conv-dots-nhwc-", outputs, request, groups: op.groups,
      batch: input.shape[0], pixels: pixels, image: input.shape.count / input.shape[0], border: border,
      offsets: offsets, taps: taps.h * taps.w,
      channels: border == nil ? depth : outputs.layout.row(of: weight.shape), inputStride: input.shape[1])
  }

  static func layout(_ op: any FusingOp, _ inputs: [TensorType], _ table: PacerKernelTable) -> DotLayout {
    guard let op = op as? Conv2D else { return DotLayout(.matrix, lanes: table.lanes) }
    let joins = !op.isPointwise(inputs[1].shape) && Border.joiningTaps(op, inputs[0].shape) != nil
    return DotLayout(joins ? .rows : .matrix, lanes: table.lanes, groups: op.groups)
  }

  private init(
    name: String, _ outputs: DotOutputs, _ request: KernelRequest, groups: Int, batch: Int, pixels: Int, image: Int,
    border: Border?, offsets: [Int32]?, taps: Int, channels: Int, inputStride: Int
  ) {
    self.name = name + String(cString: request.table.name)
    (self.outputs, table, threads) = (outputs, request.table, request.threads)
    groupBytes = outputs.layout.byteCount(for: outputs.weight.shape) / groups
    (self.groups, self.batch, self.pixels, self.image) = (groups, batch, pixels, image)
    (self.border, self.offsets) = (border, offsets.map { FixedArray($0) })
    work = DotWork(outputs, request.table, pixels: pixels, taps: taps, inputByteCount: pixels * inputStride)
    (self.channels, self.inputStride) = (channels, inputStride)
    zeros = FixedArray(
      [UInt8](repeating: UInt8(truncatingIfNeeded: outputs.input.zeroPoints[0]), count: channels))
  }

  /// What fills up the last row is read up to 3 bytes behind the image.
  private var borderByteCount: Int { border.map { rounded($0.count + 3) } ?? 0 }
  var scratchByteCount: Int { outputs.scratchByteCount + borderByteCount + work.scratchPerThread * threads }
  // What a residual stands for is read before the same bytes are written.
  var overwritableInputs: [Int] { outputs.residual != nil && outputs.output != nil ? [3] : [] }

  func run(_ call: borrowing KernelCall) {
    let scratch = UnsafeMutableRawPointer(call.scratch!)
    let (weights, biases) = outputs.parameters(call, scratch)
    let copy = (scratch + outputs.scratchByteCount).assumingMemoryBound(to: UInt8.self)
    let input = UnsafePointer(call.inputs[0].assumingMemoryBound(to: UInt8.self))
    let residual = call.inputs.count > 3 ? UnsafePointer(call.inputs[3].assumingMemoryBound(to: UInt8.self)) : nil
    let count = outputs.weight.shape[0]
    let perGroup = count / groups
    let (layout, places) = (outputs.layout, outputs.places / groups)
    let panels = (perGroup + layout.width - 1) / layout.width
    let tiles = (pixels + table.dotRows - 1) / table.dotRows
    var p = PacerDotGEMM()
    work.fill(&p, scratch: copy + borderByteCount)
    (p.channels, p.inputStride) = (channels, inputStride)
    p.isJoined = channels % 4 == 0 ? 0 : 1
    (p.outputs, p.outputStride) = (perGroup, count)
    p.zeroPoint = Int(outputs.output?.zeroPoints[0] ?? 0)
    p.isFloat = outputs.output == nil ? 1 : 0
    p.saturates = outputs.saturates && !outputs.isReal ? 1 : 0
    p.divisor = outputs.isReal ? outputs.output?.scales[0] ?? 1 : 0
    (p.minimum, p.maximum) = (outputs.limits.min, outputs.limits.max)
    if let residual = outputs.residual {
      (p.residualScale, p.residualZeroPoint) = (residual.scales[0], Int(residual.zeroPoints[0]))
    }
    let size = outputs.output == nil ? 4 : 1
    (p.zeros, p.offsets) = (UnsafePointer(zeros.pointer), offsets.map { UnsafePointer($0.pointer) })
    for n in 0..<batch {
      var source = input + n * image
      if let border {
        border.copy(source, to: copy, filled: zeros.pointer[0])
        source = UnsafePointer(copy)
      }
      for group in 0..<groups {
        p.input = source + group * channels
        p.weights = weights + group * groupBytes
        p.bias = biases + group * places
        (p.factors, p.minima, p.maxima) = (
          outputs.factors + group * places, outputs.minima + group * places, outputs.maxima + group * places
        )
        let place = n * pixels * count + group * perGroup
        p.output = call.outputs[0] + place * size
        p.residual = residual.map { $0 + place }
        call.pool.run(table.dotGEMM, p, count: tiles * panels)
      }
    }
  }
}

/// Depthwise convolution of bytes, channels last.
struct DotColumnsKernel: CPUKernel {
  let name: String
  private let outputs: DotOutputs
  private let table: PacerKernelTable
  private let threads: Int
  private let input: Shape
  private let output: Shape
  private let window: Window
  private let zeros: FixedArray<UInt8>

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nhwc, let weight = request.inputs[safe: 1],
      request.inputs.count < 4, op.isDepthwise(request.inputs[0].shape, weight.shape),
      let outputs = DotOutputs(layout(request.table), op, request.inputs, request.output), !outputs.isReal
    else { return nil }
    return DotColumnsKernel(op, outputs, request)
  }

  static func layout(_ table: PacerKernelTable) -> DotLayout { DotLayout(.depthwise, lanes: table.lanes) }

  private init(_ op: Conv2D, _ outputs: DotOutputs, _ request: KernelRequest) {
    name = "depthwise-dots-nhwc-" + String(cString: request.table.name)
    (self.outputs, table, threads) = (outputs, request.table, request.threads)
    (input, output) = (request.inputs[0].shape, request.output.shape)
    let weight = request.inputs[1].shape
    window = Window(
      kernel: Pair(weight[2], weight[3]), stride: op.stride, padding: op.padding, dilation: op.dilation)
    zeros = FixedArray(
      [UInt8](repeating: UInt8(truncatingIfNeeded: outputs.input.zeroPoints[0]), count: 4 * request.table.lanes))
  }

  private var scratchPerThread: Int {
    80 * table.lanes + (input[3] + window.padding.total.w) * ((window.kernel.h + 3) / 4) * 16 * table.lanes
  }
  var scratchByteCount: Int { outputs.scratchByteCount + scratchPerThread * threads }

  func run(_ call: borrowing KernelCall) {
    let scratch = UnsafeMutableRawPointer(call.scratch!)
    var p = PacerDotColumns()
    let biases: UnsafePointer<Int32>
    (p.weights, biases) = outputs.parameters(call, scratch)
    p.bias = biases
    p.scratch = (scratch + outputs.scratchByteCount).assumingMemoryBound(to: UInt8.self)
    p.scratchStride = scratchPerThread
    (p.channels, p.height, p.width, p.outputHeight, p.outputWidth) = (
      input[1], input[2], input[3], output[2], output[3]
    )
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = window.paddingAndDilation
    p.padRight = window.padding.right
    p.zeroPoint = Int(outputs.output!.zeroPoints[0])
    p.saturates = outputs.saturates ? 1 : 0
    p.isPaired = window.kernel.h == 3 && window.stride.h == 1 && window.dilation.h == 1 ? 1 : 0
    (p.factors, p.minima, p.maxima) = (outputs.factors, outputs.minima, outputs.maxima)
    p.zeros = UnsafePointer(zeros.pointer)
    for n in 0..<input[0] {
      p.input = UnsafePointer(call.inputs[0].assumingMemoryBound(to: UInt8.self)) + n * input.count / input[0]
      p.output = call.outputs[0].assumingMemoryBound(to: UInt8.self) + n * output.count / output[0]
      call.pool.run(table.dotColumns, p, count: p.isPaired != 0 ? (output[2] + 1) / 2 : output[2])
    }
  }
}
