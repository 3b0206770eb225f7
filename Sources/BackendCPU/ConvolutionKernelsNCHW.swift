import CIntrinsics
import GraphCore
import TensorCore

/// Convolution over planes: blocks of pixels are gathered into panels and multiplied with the weights.
struct PlaneConvolutionKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: KernelWeight
  let table: PacerKernelTable
  /// Whether the product can read the planes as they are.
  private let readsPlanes: Bool

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nchw else { return nil }
    return PlaneConvolutionKernel(op, request.inputs[0].shape, request.inputs[1], request.output.shape, request.table)
  }

  static func weightFormat(_ op: Conv2D, _ table: PacerKernelTable) -> MemoryFormat {
    .panels(PanelLayout(width: table.outputBlock, depth: .channelsThenTaps, groups: op.groups))
  }

  init(_ op: Conv2D, _ input: Shape, _ weight: TensorType, _ output: Shape, _ table: PacerKernelTable) {
    self.op = op
    self.input = input
    self.output = output
    self.table = table
    self.weight = KernelWeight(type: weight, wanted: Self.weightFormat(op, table))
    let isPointwise = weight.shape[2] == 1 && weight.shape[3] == 1 && op.padding == 0 && op.stride == 1
    readsPlanes = isPointwise && output[2] * output[3] >= table.pixelPanel
    name = (isPointwise ? "pointwise-nchw" : "conv-nchw") + "-" + String(cString: table.name)
  }

  private var depth: Int { weight.type.shape.count / weight.type.shape[0] }
  private var pixels: Int { output[2] * output[3] }
  /// Steps of depth at a time: a panel of weights stays in the first-level cache.
  private var stepsPerBlock: Int {
    let blocks = (depth + 511) / 512
    return (depth + blocks - 1) / blocks
  }
  /// Pixels at a time: the gathered block stays in the second-level cache.
  private var pixelsPerBlock: Int {
    let fitting = max(1, 96 * 1024 / stepsPerBlock / table.pixelPanel) * table.pixelPanel
    return min(fitting, (pixels + table.pixelPanel - 1) / table.pixelPanel * table.pixelPanel)
  }

  var scratchByteCount: Int {
    (weight.scratchCount + (readsPlanes ? 0 : stepsPerBlock * pixelsPerBlock)) * 4
  }

  func run(_ call: borrowing KernelCall) {
    let weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    let (batch, channels, height, width) = input.nchw
    let perGroup = output[1] / op.groups
    let blocks = (perGroup + table.outputBlock - 1) / table.outputBlock
    let groupSize = blocks * table.outputBlock * depth
    var product = PacerPanelGEMM()
    (product.depth, product.outputs, product.planeStride) = (depth, perGroup, pixels)
    (product.minimum, product.maximum) = (op.activation ?? .none).limits
    for n in 0..<batch {
      for group in 0..<op.groups {
        let image = call.input(0)! + (n * channels + group * channels / op.groups) * height * width
        product.weights = weights + group * groupSize
        product.bias = call.input(2).map { $0 + group * perGroup }
        product.output = call.output + (n * output[1] + group * perGroup) * pixels
        if readsPlanes {
          multiply(image, &product, blocks, call.pool)
        } else {
          gatherAndMultiply(image, &product, blocks, call.scratch! + weight.scratchCount, call.pool)
        }
      }
    }
  }

  private func multiply(
    _ image: UnsafePointer<Float>, _ product: inout PacerPanelGEMM, _ blocks: Int, _ pool: ThreadPool
  ) {
    product.input = image
    (product.firstStep, product.steps, product.first, product.last) = (0, depth, 1, 1)
    product.pixels = pixels
    // The side with more planes is gone through once.
    product.panelMajor = depth >= product.outputs ? 1 : 0
    pool.run(table.panelGEMM, product, count: blocks * ((pixels + table.pixelPanel - 1) / table.pixelPanel))
  }

  /// Blocks of pixels, and of the steps that make one: what is gathered stays in cache until it has been used.
  private func gatherAndMultiply(
    _ image: UnsafePointer<Float>, _ product: inout PacerPanelGEMM, _ blocks: Int,
    _ packed: UnsafeMutablePointer<Float>, _ pool: ThreadPool
  ) {
    let window = Window(
      kernel: Pair(weight.type.shape[2], weight.type.shape[3]), stride: op.stride, padding: op.padding,
      dilation: op.dilation)
    var pack = PacerPackPixels()
    pack.input = image
    pack.packed = packed
    (pack.height, pack.width, pack.outputWidth) = (input[2], input[3], output[3])
    (pack.kernelHeight, pack.kernelWidth, pack.strideHeight, pack.strideWidth) = window.kernelAndStride
    (pack.padHeight, pack.padWidth, pack.dilationHeight, pack.dilationWidth) = window.paddingAndDilation
    product.input = UnsafePointer(packed)
    product.packed = 1
    let output = product.output!
    for firstPixel in stride(from: 0, to: pixels, by: pixelsPerBlock) {
      let count = min(pixelsPerBlock, pixels - firstPixel)
      let panels = (count + table.pixelPanel - 1) / table.pixelPanel
      (pack.firstPixel, pack.pixels) = (firstPixel, count)
      product.pixels = count
      product.output = output + firstPixel
      for firstStep in stride(from: 0, to: depth, by: stepsPerBlock) {
        let steps = min(stepsPerBlock, depth - firstStep)
        (pack.firstStep, pack.steps) = (firstStep, steps)
        pool.run(table.packPixels, pack, count: panels)
        (product.firstStep, product.steps) = (firstStep, steps)
        product.first = firstStep == 0 ? 1 : 0
        product.last = firstStep + steps == depth ? 1 : 0
        pool.run(table.panelGEMM, product, count: blocks * panels)
      }
    }
  }
}

/// The whole im2col matrix of each image and group in memory, then its product with the weights: how the first mobile
/// releases ran convolutions, depthwise ones included.
struct Im2colConvolutionKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: TensorType
  /// The product with one group's matrix, as a pointwise convolution of `depth` channels.
  let product: PlaneConvolutionKernel

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard request.useIm2col, let op = request.node.op as? Conv2D, request.inputs[0].format == .nchw else { return nil }
    return Im2colConvolutionKernel(op, request)
  }

  init(_ op: Conv2D, _ request: KernelRequest) {
    self.op = op
    input = request.inputs[0].shape
    output = request.output.shape
    weight = request.inputs[1]
    let perGroup = weight.shape[0] / op.groups
    let depth = weight.shape.count / weight.shape[0]
    product = PlaneConvolutionKernel(
      Conv2D(activation: op.activation), [1, depth, output[2], output[3]],
      TensorType([perGroup, depth, 1, 1]), [1, perGroup, output[2], output[3]], request.table)
    name = "im2col-" + String(cString: request.table.name)
  }

  private var depth: Int { weight.shape.count / weight.shape[0] }
  private var matrixCount: Int { (depth * output[2] * output[3] + 15) / 16 * 16 }

  var scratchByteCount: Int { matrixCount * 4 + product.scratchByteCount }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = input.nchw
    let perGroup = output[1] / op.groups
    let pixels = output[2] * output[3]
    let matrix = call.scratch!
    for n in 0..<batch {
      for group in 0..<op.groups {
        let image = call.input(0)! + (n * channels + group * channels / op.groups) * height * width
        fillMatrix(image, matrix)
        let rows = UnsafeMutablePointer(mutating: call.input(1)! + group * perGroup * depth)
        withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<Float>.self, capacity: 3) { pointers in
          pointers[0] = matrix
          pointers[1] = rows
          if let bias = call.input(2) { pointers[2] = UnsafeMutablePointer(mutating: bias + group * perGroup) }
          product.run(
            KernelCall(
              inputs: UnsafeBufferPointer(rebasing: UnsafeBufferPointer(pointers)[..<call.inputs.count]),
              output: call.output + (n * output[1] + group * perGroup) * pixels, scratch: matrix + matrixCount,
              pool: call.pool))
        }
      }
    }
  }

  private func fillMatrix(_ image: UnsafePointer<Float>, _ matrix: UnsafeMutablePointer<Float>) {
    let (_, depth, kh, kw) = weight.shape.nchw
    let (height, width, outHeight, outWidth) = (input[2], input[3], output[2], output[3])
    var target = matrix
    for c in 0..<depth {
      for ky in 0..<kh {
        for kx in 0..<kw {
          for oy in 0..<outHeight {
            let y = oy * op.stride.h - op.padding.h + ky * op.dilation.h
            let line = image + (c * height + y) * width
            for ox in 0..<outWidth {
              let x = ox * op.stride.w - op.padding.w + kx * op.dilation.w
              target[ox] = y >= 0 && y < height && x >= 0 && x < width ? line[x] : 0
            }
            target += outWidth
          }
        }
      }
    }
  }
}

/// Depthwise convolution over planes.
struct DepthwisePlanesKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let window: PlaneWindowCall

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nchw,
      op.isDepthwise(request.inputs[0].shape, request.inputs[1].shape), request.inputs[1].format == .nchw
    else { return nil }
    let kernel = request.inputs[1].shape
    return DepthwisePlanesKernel(
      name: "depthwise-nchw-" + String(cString: request.table.name), op: op,
      window: PlaneWindowCall(
        request,
        Window(
          kernel: Pair(kernel[2], kernel[3]), stride: op.stride, padding: op.padding, dilation: op.dilation)))
  }

  var scratchByteCount: Int { window.scratchByteCount }

  func run(_ call: borrowing KernelCall) {
    window.run(call, weights: call.input(1), bias: call.input(2), op.activation ?? .none)
  }
}

/// A window over planes: what depthwise convolution and maximum pooling share in NCHW.
struct PlaneWindowCall: Sendable {
  let window: Window
  let input: Shape
  let output: Shape
  let table: PacerKernelTable
  let pieceCount: Int

  init(_ request: KernelRequest, _ window: Window) {
    self.window = window
    input = request.inputs[0].shape
    output = request.output.shape
    table = request.table
    pieceCount = request.pieceCount
  }

  private var scratchPerPiece: Int {
    let height = (input[2] + 2 * window.padding.h + window.stride.h - 1) / window.stride.h
    let width = (input[3] + 2 * window.padding.w + window.stride.w - 1) / window.stride.w
    // Four vectors at a time may start at the last value, and one more lies past a line.
    return (height * width * window.stride.h * window.stride.w + 5 * table.lanes + 15) / 16 * 16
  }
  var scratchByteCount: Int { scratchPerPiece * pieceCount * 4 }

  func run(
    _ call: borrowing KernelCall, weights: UnsafePointer<Float>?, bias: UnsafePointer<Float>?, _ clamp: Clamp
  ) {
    let (batch, channels, height, width) = input.nchw
    var p = PacerPlaneWindow()
    p.input = call.input(0)
    p.weights = weights
    p.bias = bias
    p.output = call.output
    p.scratch = call.scratch
    p.scratchStride = scratchPerPiece
    p.itemsPerPiece = call.pool.itemsPerPiece(batch * channels)
    (p.channels, p.height, p.width, p.outputHeight, p.outputWidth) = (channels, height, width, output[2], output[3])
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = window.paddingAndDilation
    (p.minimum, p.maximum) = clamp.limits
    call.pool.run(table.planeWindow, p, count: batch * channels)
  }
}
