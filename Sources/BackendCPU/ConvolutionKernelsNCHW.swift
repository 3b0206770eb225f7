import CIntrinsics
import GraphCore
import TensorCore

/// Convolution over planes. A pointwise one reads them as they are, any other a copy with border.
struct PlaneConvolutionKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: KernelWeight
  let table: PacerKernelTable
  let threads: Int
  /// Nil where the planes are read as they are.
  private let phases: PlanePhases?
  /// Of each step of the depth axis.
  private let offsets: [Int32]
  private let epilogue: KernelEpilogue

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nchw else { return nil }
    return PlaneConvolutionKernel(
      op, request.inputs[0].shape, request.inputs[1], request.output.shape, request.table, threads: request.threads)
  }

  static func weightFormat(_ op: Conv2D, _ table: PacerKernelTable) -> MemoryFormat {
    .panels(PanelLayout(width: table.planeBlock, depth: .channelsThenTaps, groups: op.groups))
  }

  init(
    _ op: Conv2D, _ input: Shape, _ weight: TensorType, _ output: Shape, _ table: PacerKernelTable, threads: Int
  ) {
    self.op = op
    epilogue = KernelEpilogue(op.epilogue)
    self.threads = threads
    self.input = input
    self.output = output
    self.table = table
    self.weight = KernelWeight(type: weight, wanted: Self.weightFormat(op, table))
    let (_, channels, kh, kw) = weight.shape.nchw
    let isPointwise = kh == 1 && kw == 1 && op.padding == 0 && op.stride == 1
    name = (isPointwise ? "pointwise-nchw" : "conv-nchw") + "-" + String(cString: table.name)
    if isPointwise && output[2] * output[3] >= table.planePanel {
      phases = nil
      offsets = (0..<channels).map { Int32($0 * output[2] * output[3]) }
    } else {
      let window = Window(kernel: Pair(kh, kw), stride: op.stride, padding: op.padding, dilation: op.dilation)
      let phases = PlanePhases(window, input, output, padding: 0)
      self.phases = phases
      let stride = Self.phaseStride(phases, table)
      offsets = (0..<channels).flatMap { c in phases.distances.map { Int32(c * stride) + $0 } }
    }
  }

  /// The last line's last vector may end past the phases, where another thread may be at work on the next plane.
  private static func phaseStride(_ phases: PlanePhases, _ table: PacerKernelTable) -> Int {
    phases.count + table.lanes
  }

  var scratchByteCount: Int {
    // A panel may start at the last position.
    let copy = phases.map { weight.type.shape[1] * Self.phaseStride($0, table) + table.planePanel }
    return (weight.scratchCount + tileCount * threads + (copy ?? 0)) * 4
  }
  private var tileCount: Int { table.planeBlock * table.planePanel + table.lanes }
  var overwritableInputs: [Int] { [3] }

  func run(_ call: borrowing KernelCall) { run(call, from: 0) }

  /// - Parameter first: what its first output is among those that the op has.
  func run(_ call: borrowing KernelCall, from first: Int) {
    let weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    let (batch, channels, height, width) = input.nchw
    let (perGroup, channelsPerGroup) = (output[1] / op.groups, channels / op.groups)
    let blocks = (perGroup + table.planeBlock - 1) / table.planeBlock
    let groupSize = blocks * table.planeBlock * offsets.count

    var product = PacerPlaneGEMM()
    product.scratch = call.scratch! + weight.scratchCount
    (product.depth, product.outputs, product.planeStride) = (offsets.count, perGroup, output[2] * output[3])
    product.positions = phases?.positions ?? product.planeStride
    (product.rowWidth, product.outputWidth) = (phases?.parameters.phaseWidth ?? output[3], output[3])
    product.hasSlack = phases != nil ? 1 : 0
    // Where there are more weights than values, weights are gone through once, else planes, the more numerous ones.
    let isPlaneHeavy = channelsPerGroup * height * width > groupSize
    product.panelMajor = isPlaneHeavy && offsets.count >= perGroup ? 1 : 0
    let panels = (product.positions + table.planePanel - 1) / table.planePanel

    for n in 0..<batch {
      for group in 0..<op.groups {
        product.input = call.input(0)! + (n * channels + group * channelsPerGroup) * height * width
        if let phases {
          let copy = product.scratch + tileCount * threads
          let planes = PacerCopyPhases(
            input: product.input, output: copy, planes: channelsPerGroup,
            outputStride: Self.phaseStride(phases, table), phases: phases.parameters)
          call.pool.run(table.copyPhases, planes, count: channelsPerGroup)
          product.input = UnsafePointer(copy)
        }
        product.weights = weights + group * groupSize
        product.bias = call.input(2).map { $0 + group * perGroup }
        product.epilogue = epilogue.parameters(from: first + group * perGroup)
        let place = (n * output[1] + group * perGroup) * product.planeStride
        product.output = call.output + place
        product.residual = call.input(3).map { $0 + place }
        offsets.withUnsafeBufferPointer {
          product.offsets = $0.baseAddress
          call.pool.run(table.planeGEMM, product, count: blocks * panels)
        }
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
  /// In rows: of a graph that was packed for other kernels, once it has been unpacked.
  let weight: KernelWeight
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
    weight = KernelWeight(type: request.inputs[1], wanted: .nchw)
    let shape = weight.type.shape
    let (perGroup, depth) = (shape[0] / op.groups, shape.count / shape[0])
    product = PlaneConvolutionKernel(
      Conv2D(epilogue: op.epilogue), [1, depth, output[2], output[3]],
      TensorType([perGroup, depth, 1, 1]), [1, perGroup, output[2], output[3]], request.table,
      threads: request.threads)
    name = "im2col-" + String(cString: request.table.name)
  }

  private var depth: Int { weight.type.shape.count / weight.type.shape[0] }
  private var matrixCount: Int { (depth * output[2] * output[3] + 15) / 16 * 16 }

  var scratchByteCount: Int { (weight.scratchCount + matrixCount) * 4 + product.scratchByteCount }
  var overwritableInputs: [Int] { product.overwritableInputs }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = input.nchw
    let perGroup = output[1] / op.groups
    let pixels = output[2] * output[3]
    let weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    let matrix = call.scratch! + weight.scratchCount
    for n in 0..<batch {
      for group in 0..<op.groups {
        let image = call.input(0)! + (n * channels + group * channels / op.groups) * height * width
        fillMatrix(image, matrix)
        let rows = UnsafeMutableRawPointer(mutating: weights + group * perGroup * depth)
        let place = (n * output[1] + group * perGroup) * pixels
        withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer.self, capacity: 5) { pointers in
          pointers[0] = UnsafeMutableRawPointer(matrix)
          pointers[1] = rows
          if let bias = call.input(2) { pointers[2] = UnsafeMutableRawPointer(mutating: bias + group * perGroup) }
          if let residual = call.input(3) { pointers[3] = UnsafeMutableRawPointer(mutating: residual + place) }
          pointers[4] = UnsafeMutableRawPointer(call.output + place)
          product.run(
            KernelCall(
              inputs: UnsafeBufferPointer(rebasing: pointers[..<call.inputs.count]),
              outputs: UnsafeBufferPointer(rebasing: pointers[4...]), scratch: matrix + matrixCount, pool: call.pool),
            from: group * perGroup)
        }
      }
    }
  }

  private func fillMatrix(_ image: UnsafePointer<Float>, _ matrix: UnsafeMutablePointer<Float>) {
    let (_, depth, kh, kw) = weight.type.shape.nchw
    let (height, width, outHeight, outWidth) = (input[2], input[3], output[2], output[3])
    var target = matrix
    for c in 0..<depth {
      for ky in 0..<kh {
        for kx in 0..<kw {
          for oy in 0..<outHeight {
            let y = oy * op.stride.h - op.padding.top + ky * op.dilation.h
            let line = image + (c * height + y) * width
            for ox in 0..<outWidth {
              let x = ox * op.stride.w - op.padding.left + kx * op.dilation.w
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
  let epilogue: KernelEpilogue
  let window: PlaneWindowCall

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nchw,
      op.isDepthwise(request.inputs[0].shape, request.inputs[1].shape), request.inputs[1].format == .nchw,
      request.inputs.count <= 3
    else { return nil }
    let kernel = request.inputs[1].shape
    return DepthwisePlanesKernel(
      name: "depthwise-nchw-" + String(cString: request.table.name), epilogue: KernelEpilogue(op.epilogue),
      window: PlaneWindowCall(
        request,
        Window(
          kernel: Pair(kernel[2], kernel[3]), stride: op.stride, padding: op.padding, dilation: op.dilation),
        padding: 0))
  }

  var scratchByteCount: Int { window.scratchByteCount }

  func run(_ call: borrowing KernelCall) {
    window.run(call, weights: call.input(1), bias: call.input(2), epilogue)
  }
}

/// A window over planes: what depthwise convolution and maximum pooling share in NCHW.
struct PlaneWindowCall: Sendable {
  let phases: PlanePhases
  let input: Shape
  let output: Shape
  let table: PacerKernelTable
  let threads: Int

  init(_ request: KernelRequest, _ window: Window, padding: Float) {
    input = request.inputs[0].shape
    output = request.output.shape
    phases = PlanePhases(window, input, output, padding: padding)
    table = request.table
    threads = request.threads
  }

  /// Four vectors at a time may start at the last position, and a line's last vector may end past it.
  private var scratchPerThread: Int { (phases.count + 5 * table.lanes + 15) / 16 * 16 }
  var scratchByteCount: Int { scratchPerThread * threads * 4 }

  func run(
    _ call: borrowing KernelCall, weights: UnsafePointer<Float>?, bias: UnsafePointer<Float>?,
    _ epilogue: KernelEpilogue
  ) {
    let planes = input[0] * input[1]
    var p = PacerPlaneWindow()
    p.input = call.input(0)
    p.weights = weights
    p.bias = bias
    p.output = call.output
    p.scratch = call.scratch
    p.scratchStride = scratchPerThread
    (p.channels, p.taps, p.positions) = (input[1], phases.distances.count, phases.positions)
    (p.outputHeight, p.outputWidth) = (output[2], output[3])
    p.phases = phases.parameters
    p.epilogue = epilogue.parameters()
    phases.distances.withUnsafeBufferPointer {
      p.distances = $0.baseAddress
      call.pool.run(table.planeWindow, p, count: planes)
    }
  }
}
