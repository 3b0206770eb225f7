import CIntrinsics
import GraphCore
import TensorCore

/// Linear layer: a product with one row per image.
struct LinearKernel: CPUKernel {
  let name: String
  let weight: KernelWeight
  let rows: Int
  let epilogue: KernelEpilogue
  let table: PacerKernelTable
  let threads: Int

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Linear else { return nil }
    return LinearKernel(
      name: "linear-" + String(cString: request.table.name),
      weight: KernelWeight(type: request.inputs[1], wanted: weightFormat(request.table)),
      rows: request.output.shape.extents.dropLast().reduce(1, *), epilogue: KernelEpilogue(op.epilogue),
      table: request.table,
      threads: request.threads)
  }

  static func weightFormat(_ table: PacerKernelTable) -> MemoryFormat {
    .panels(PanelLayout(width: table.gemmWidth, lanes: table.lanes, depth: .channelsThenTaps))
  }

  var scratchByteCount: Int { (weight.scratchCount + table.gemmScratch(taps: 1) * threads) * 4 }

  func run(_ call: borrowing KernelCall) {
    let (outputs, depth) = (weight.type.shape[0], weight.type.shape[1])
    var p = PacerIndirectGEMM()
    p.input = call.input(0)
    p.weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    p.bias = call.input(2)
    p.output = call.output
    (p.scratch, p.scratchStride) = (call.scratch! + weight.scratchCount, table.gemmScratch(taps: 1))
    (p.pixels, p.taps, p.channels, p.inputStride) = (rows, 1, depth, depth)
    (p.outputs, p.outputStride, p.panelMajor) = (outputs, outputs, 1)
    p.epilogue = epilogue.parameters()
    let tiles = (rows + table.gemmRows - 1) / table.gemmRows
    let panels = (outputs + table.gemmWidth - 1) / table.gemmWidth
    call.pool.run(table.indirectGEMM, p, count: tiles * panels)
  }
}

/// Batch norm as `x · scale + shift`, both computed from the statistics at each call.
struct BatchNormKernel: CPUKernel {
  let name: String
  let op: BatchNorm
  let input: TensorType
  let table: PacerKernelTable

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? BatchNorm else { return nil }
    return BatchNormKernel(
      name: "batch-norm-\(request.inputs[0].format)-" + String(cString: request.table.name), op: op,
      input: request.inputs[0], table: request.table)
  }

  private var padded: Int { (input.shape[1] + 15) / 16 * 16 }
  var scratchByteCount: Int { padded * 8 }
  var overwritableInputs: [Int] { [0] }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels) = (input.shape[0], input.shape[1])
    let pixels = input.shape.extents[2...].reduce(1, *)
    let (scale, shift) = (call.scratch!, call.scratch! + padded)
    let (weight, bias, mean, variance) = (call.input(1)!, call.input(2)!, call.input(3)!, call.input(4)!)
    for c in 0..<channels {
      scale[c] = weight[c] / (variance[c] + op.epsilon).squareRoot()
      shift[c] = bias[c] - mean[c] * scale[c]
    }
    var p = PacerElementwise()
    p.a = call.input(0)
    p.output = call.output
    (p.scale, p.shift) = (UnsafePointer(scale), UnsafePointer(shift))
    (p.channels, p.pixels) = (channels, pixels)
    if input.format == .nhwc {
      call.pool.run(table.affineNHWC, p, count: batch * pixels)
    } else {
      call.pool.run(table.affineNCHW, p, count: batch * channels)
    }
  }
}

/// Addition, multiplication and activation of tensors of one type.
struct ElementwiseKernel: CPUKernel {
  let name: String
  let type: TensorType
  let epilogue: KernelEpilogue
  let kernel: PacerKernel?
  var overwritableInputs: [Int] { [0, 1] }

  private init(_ name: String, _ request: KernelRequest, _ epilogue: KernelEpilogue, _ kernel: PacerKernel?) {
    self.name = "\(name)-" + String(cString: request.table.name)
    (type, self.epilogue, self.kernel) = (request.output, epilogue, kernel)
  }

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let table = request.table
    switch request.node.op {
    case let op as Binary
    where op.function == .multiply && request.inputs[0] == request.inputs[1]:
      return ElementwiseKernel("multiply", request, KernelEpilogue(nil), table.multiply)
    case let op as Binary where op.function == .add && request.inputs[0] == request.inputs[1]:
      return ElementwiseKernel("add", request, KernelEpilogue(op.epilogue), table.add)
    case let op as Activation:
      let epilogue = KernelEpilogue(op.function)
      return ElementwiseKernel(epilogue.name, request, epilogue, table.activate)
    default: return nil
    }
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerElementwise(type)
    (p.a, p.b, p.output) = (call.input(0), call.input(1), call.output)
    p.epilogue = epilogue.parameters()
    call.pool.run(kernel, p, count: (p.count + 1023) / 1024)
  }
}

extension PacerElementwise {
  /// Of all elements of a tensor, which know their channels.
  init(_ type: TensorType) {
    self.init()
    let shape = type.shape
    (count, channels) = (shape.count, shape.rank > 1 ? shape[1] : 1)
    pixels = shape.rank > 2 && type.format == .nchw ? shape.extents[2...].reduce(1, *) : 1
  }
}

/// Multiplication of each channel of an image by a number of its own, as squeeze-and-excitation does.
struct ChannelScaleKernel: CPUKernel {
  let name: String
  let image: TensorType
  /// Whether each image of the batch has numbers of its own.
  let isPerImage: Bool
  let table: PacerKernelTable
  var scratchByteCount: Int { (image.shape[1] + 15) / 16 * 64 }
  var overwritableInputs: [Int] { [0] }

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Binary, op.function == .multiply,
      request.output == request.inputs[0], request.output.shape.rank == 4
    else {
      return nil
    }
    let (image, scale) = (request.inputs[0], request.inputs[1].shape)
    guard scale.rank == 4, scale[1] == image.shape[1], scale[2] == 1, scale[3] == 1,
      scale[0] == 1 || scale[0] == image.shape[0]
    else { return nil }
    return ChannelScaleKernel(
      name: "scale-channels-\(image.format)-" + String(cString: request.table.name), image: image,
      isPerImage: scale[0] > 1, table: request.table)
  }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = image.shape.nchw
    call.scratch!.update(repeating: 0, count: channels)
    var p = PacerElementwise()
    p.shift = UnsafePointer(call.scratch!)
    (p.channels, p.pixels) = (channels, height * width)
    for n in 0..<batch {
      p.a = call.input(0)! + n * channels * height * width
      p.output = call.output + n * channels * height * width
      p.scale = call.input(1)! + (isPerImage ? n * channels : 0)
      if image.format == .nhwc {
        call.pool.run(table.affineNHWC, p, count: height * width)
      } else {
        call.pool.run(table.affineNCHW, p, count: channels)
      }
    }
  }
}

/// Maximum pooling in either format.
struct MaxPoolKernel: CPUKernel {
  let name: String
  let format: MemoryFormat
  let window: Window
  let planes: PlaneWindowCall

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? MaxPool2D else { return nil }
    return MaxPoolKernel(
      name: "max-pool-\(request.inputs[0].format)-" + String(cString: request.table.name),
      format: request.inputs[0].format, window: op.window,
      planes: PlaneWindowCall(request, op.window, padding: -.infinity))
  }

  var scratchByteCount: Int { format == .nhwc ? 0 : planes.scratchByteCount }

  func run(_ call: borrowing KernelCall) {
    guard format == .nhwc else { return planes.run(call, weights: nil, bias: nil, KernelEpilogue(nil)) }
    let (batch, channels, height, width) = planes.input.nchw
    var p = PacerMaxPoolNHWC()
    (p.channels, p.height, p.width) = (channels, height, width)
    (p.outputHeight, p.outputWidth) = (planes.output[2], planes.output[3])
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = window.paddingAndDilation
    for n in 0..<batch {
      p.input = call.input(0)! + n * height * width * channels
      p.output = call.output + n * p.outputHeight * p.outputWidth * channels
      call.pool.run(planes.table.maxPoolNHWC, p, count: p.outputHeight)
    }
  }
}

/// Global average pooling in either format.
struct GlobalPoolKernel: CPUKernel {
  let name: String
  let input: TensorType
  let table: PacerKernelTable

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard request.node.op is GlobalAveragePool else { return nil }
    return GlobalPoolKernel(
      name: "global-avg-pool-\(request.inputs[0].format)-" + String(cString: request.table.name),
      input: request.inputs[0], table: request.table)
  }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = input.shape.nchw
    var p = PacerGlobalPool()
    (p.channels, p.pixels) = (channels, height * width)
    if input.format == .nchw {
      (p.input, p.output) = (call.input(0), call.output)
      return call.pool.run(table.globalPoolNCHW, p, count: batch * channels)
    }
    for n in 0..<batch {
      p.input = call.input(0)! + n * channels * height * width
      p.output = call.output + n * channels
      call.pool.run(table.globalPoolNHWC, p, count: (channels + table.lanes - 1) / table.lanes)
    }
  }
}

/// Conversion between NCHW and NHWC, of float32 or of bytes.
struct FormatKernel: CPUKernel {
  let name: String
  private let input: TensorType
  private let target: MemoryFormat
  private let kernels: (toNHWC: PacerKernel?, toNCHW: PacerKernel?)

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let (input, table) = (request.inputs[0], request.table)
    guard let op = request.node.op as? ConvertFormat, op.format == .nchw || op.format == .nhwc,
      input.format == .nchw || input.format == .nhwc, !input.isUpperBound, request.node.stored == nil
    else { return nil }
    let kernels: (PacerKernel?, PacerKernel?)
    switch input.dtype {
    case .float32: kernels = (table.toNHWC, table.toNCHW)
    case .uint8, .int8: kernels = (table.bytesToNHWC, table.bytesToNCHW)
    default: return nil
    }
    return FormatKernel(name: "to-\(op.format)", input: input, target: op.format, kernels: kernels)
  }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = input.shape.nchw
    let (source, output, image) = (call.inputs[0], call.outputs[0], input.byteCount / batch)
    if input.format == target { return output.copyMemory(from: source, byteCount: image * batch) }
    var p = PacerTranspose()
    (p.channels, p.pixels) = (channels, height * width)
    for n in 0..<batch {
      (p.input, p.output) = (UnsafeRawPointer(source + n * image), output + n * image)
      if target == .nhwc {
        call.pool.run(kernels.toNHWC, p, count: height * width)
      } else {
        call.pool.run(kernels.toNCHW, p, count: channels)
      }
    }
  }
}
