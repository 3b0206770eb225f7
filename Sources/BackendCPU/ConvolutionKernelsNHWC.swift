import CIntrinsics
import GraphCore
import TensorCore

/// Convolution, channels last, as a product that reads its taps through a table of offsets.
struct IndirectConvolutionKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: KernelWeight
  let table: PacerKernelTable
  let threads: Int
  /// Copies the image with a zero border, so that the taps of a window row are one run of floats.
  let border: Border?
  let offsets: [Int32]?
  let taps: Int
  let depth: Int
  let zeros: Zeros

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nhwc else { return nil }
    return IndirectConvolutionKernel(op, request)
  }

  static func weightFormat(_ op: Conv2D, _ table: PacerKernelTable) -> MemoryFormat {
    .panels(PanelLayout(width: table.gemmWidth, depth: .tapsThenChannels, groups: op.groups))
  }

  init(_ op: Conv2D, _ request: KernelRequest) {
    self.op = op
    input = request.inputs[0].shape
    output = request.output.shape
    table = request.table
    threads = request.threads
    weight = KernelWeight(type: request.inputs[1], wanted: Self.weightFormat(op, table))
    let (_, depth, kh, kw) = request.inputs[1].shape.nchw
    zeros = Zeros(count: depth)
    let isPointwise = kh == 1 && kw == 1 && op.padding == 0 && op.stride == 1
    // Few channels make short runs: worth a copy that joins the taps of a row.
    border = !isPointwise && depth < 8 && op.dilation.w == 1 && op.groups == 1 ? Border(input, op.padding) : nil
    self.taps = border != nil ? kh : kh * kw
    self.depth = border != nil ? kw * depth : depth
    if isPointwise {
      offsets = nil
    } else if let border {
      offsets = Self.offsets(op, output, kernel: Pair(kh, 1), size: border.size, channels: input[1], padding: 0)
    } else {
      offsets = Self.offsets(
        op, output, kernel: Pair(kh, kw), size: Pair(input[2], input[3]), channels: input[1], padding: op.padding)
    }
    name = (isPointwise ? "pointwise-nhwc" : "conv-nhwc") + "-" + String(cString: table.name)
  }

  private static func offsets(
    _ op: Conv2D, _ output: Shape, kernel: Pair, size: Pair, channels: Int, padding: Pair
  ) -> [Int32] {
    var list: [Int32] = []
    list.reserveCapacity(output[2] * output[3] * kernel.h * kernel.w)
    for oy in 0..<output[2] {
      for ox in 0..<output[3] {
        for ky in 0..<kernel.h {
          for kx in 0..<kernel.w {
            let y = oy * op.stride.h - padding.h + ky * op.dilation.h
            let x = ox * op.stride.w - padding.w + kx * op.dilation.w
            let inside = (0..<size.h).contains(y) && (0..<size.w).contains(x)
            list.append(inside ? Int32((y * size.w + x) * channels) : -1)
          }
        }
      }
    }
    return list
  }

  private var scratchPerThread: Int { table.gemmScratch(taps: taps) }
  var scratchByteCount: Int { (weight.scratchCount + (border?.count ?? 0) + scratchPerThread * threads) * 4 }
  var overwritableInputs: [Int] { [3] }

  func run(_ call: borrowing KernelCall) {
    let weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    let (batch, channels, height, width) = input.nchw
    let outputs = output[1]
    let pixels = output[2] * output[3]
    let perGroup = outputs / op.groups
    let tiles = (pixels + table.gemmRows - 1) / table.gemmRows
    let panels = (perGroup + table.gemmWidth - 1) / table.gemmWidth
    let groupSize = panels * table.gemmWidth * taps * depth
    var p = PacerIndirectGEMM()
    p.zeros = UnsafePointer(zeros.pointer)
    (p.scratch, p.scratchStride) = (call.scratch! + weight.scratchCount + (border?.count ?? 0), scratchPerThread)
    (p.pixels, p.taps, p.channels, p.inputStride) = (pixels, taps, depth, channels)
    (p.outputs, p.outputStride) = (perGroup, outputs)
    // What is larger is streamed once; what is smaller stays in cache.
    p.panelMajor = groupSize > height * width * channels ? 1 : 0
    (p.minimum, p.maximum) = (op.activation ?? .none).limits
    for n in 0..<batch {
      var image = call.input(0)! + n * height * width * channels
      if let border {
        let copy = call.scratch! + weight.scratchCount
        border.copy(image, to: copy)
        image = UnsafePointer(copy)
      }
      for group in 0..<op.groups {
        p.input = image + group * depth
        p.weights = weights + group * groupSize
        p.bias = call.input(2).map { $0 + group * perGroup }
        let place = n * pixels * outputs + group * perGroup
        p.output = call.output + place
        p.residual = call.input(3).map { $0 + place }
        if let offsets {
          offsets.withUnsafeBufferPointer {
            p.offsets = $0.baseAddress
            call.pool.run(table.indirectGEMM, p, count: tiles * panels)
          }
        } else {
          call.pool.run(table.indirectGEMM, p, count: tiles * panels)
        }
      }
    }
  }
}

extension PacerKernelTable {
  /// Floats that each thread of `indirectGEMM` works in.
  func gemmScratch(taps: Int) -> Int { (gemmRows * gemmWidth + 2 * gemmRows * taps + 15) / 16 * 16 }
}

/// A channels-last image with a border of zeros around it.
struct Border: Sendable {
  let image: Shape
  let padding: Pair

  init(_ image: Shape, _ padding: Pair) {
    self.image = image
    self.padding = padding
  }

  var size: Pair { Pair(image[2] + 2 * padding.h, image[3] + 2 * padding.w) }
  var count: Int { (size.h * size.w * image[1] + 15) / 16 * 16 }

  func copy(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>) {
    let row = image[3] * image[1]
    target.update(repeating: 0, count: count)
    for y in 0..<image[2] {
      (target + ((y + padding.h) * size.w + padding.w) * image[1]).update(from: source + y * row, count: row)
    }
  }
}

/// Depthwise convolution, channels last.
struct DepthwiseNHWCKernel: CPUKernel {
  let name: String
  let op: Conv2D
  let input: Shape
  let output: Shape
  let weight: KernelWeight
  let table: PacerKernelTable
  let zeros: Zeros

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nhwc,
      op.isDepthwise(request.inputs[0].shape, request.inputs[1].shape), request.inputs.count <= 3
    else { return nil }
    return DepthwiseNHWCKernel(
      name: "depthwise-nhwc-" + String(cString: request.table.name), op: op, input: request.inputs[0].shape,
      output: request.output.shape,
      weight: KernelWeight(
        type: request.inputs[1], wanted: weightFormat(channels: request.inputs[0].shape[1], request.table)),
      table: request.table, zeros: Zeros(count: (request.inputs[0].shape[1] + 15) / 16 * 16))
  }

  /// One panel: `[tap][channels, rounded up to whole vectors]`.
  static func weightFormat(channels: Int, _ table: PacerKernelTable) -> MemoryFormat {
    .panels(PanelLayout(width: (channels + table.lanes - 1) / table.lanes * table.lanes, depth: .channelsThenTaps))
  }

  var scratchByteCount: Int { weight.scratchCount * 4 }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = input.nchw
    let window = Window(
      kernel: Pair(weight.type.shape[2], weight.type.shape[3]), stride: op.stride, padding: op.padding,
      dilation: op.dilation)
    var p = PacerDepthwiseNHWC()
    p.weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    p.bias = call.input(2)
    p.zeros = UnsafePointer(zeros.pointer)
    p.channels = channels
    p.channelStride = (channels + table.lanes - 1) / table.lanes * table.lanes
    (p.height, p.width, p.outputHeight, p.outputWidth) = (height, width, output[2], output[3])
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = window.paddingAndDilation
    (p.minimum, p.maximum) = (op.activation ?? .none).limits
    for n in 0..<batch {
      p.input = call.input(0)! + n * height * width * channels
      p.output = call.output + n * output[2] * output[3] * channels
      call.pool.run(table.depthwiseNHWC, p, count: output[2])
    }
  }
}

extension Clamp {
  var limits: (Float, Float) { (min, max) }
}

extension Window {
  var kernelAndStride: (Int, Int, Int, Int) { (kernel.h, kernel.w, stride.h, stride.w) }
  var paddingAndDilation: (Int, Int, Int, Int) { (padding.h, padding.w, dilation.h, dilation.w) }
}
