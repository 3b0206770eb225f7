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
  let streams: Bool
  let epilogue: KernelEpilogue

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Conv2D, request.inputs[0].format == .nhwc else { return nil }
    // A table has an entry for each pixel and tap, and none is larger than half a gibibyte.
    let (pixels, kernel) = (request.output.shape[2] * request.output.shape[3], request.inputs[1].shape)
    let taps = kernel[2].multipliedReportingOverflow(by: kernel[3])
    guard !taps.overflow, pixels.multipliedReportingOverflow(by: taps.partialValue).partialValue <= 1 << 27,
      !pixels.multipliedReportingOverflow(by: taps.partialValue).overflow
    else { return nil }
    return IndirectConvolutionKernel(op, request)
  }

  static func weightFormat(_ op: Conv2D, streams: Bool, _ table: PacerKernelTable) -> MemoryFormat {
    .panels(
      PanelLayout(
        width: streams ? table.streamWidth : table.gemmWidth, lanes: table.lanes, depth: .tapsThenChannels,
        groups: op.groups))
  }

  /// Whether there are so many weights for so few pixels that their arrival decides.
  static func streams(_ op: Conv2D, weight: Shape, output: Shape) -> Bool {
    op.groups == 1 && output[2] * output[3] <= 64 && weight.count >= 32 << 10
  }

  init(_ op: Conv2D, _ request: KernelRequest) {
    self.op = op
    epilogue = KernelEpilogue(op.epilogue)
    input = request.inputs[0].shape
    output = request.output.shape
    table = request.table
    threads = request.threads
    streams = Self.streams(op, weight: request.inputs[1].shape, output: output)
    weight = KernelWeight(type: request.inputs[1], wanted: Self.weightFormat(op, streams: streams, table))
    let (_, depth, kh, kw) = request.inputs[1].shape.nchw
    zeros = Zeros(count: depth)
    let isPointwise = op.isPointwise(request.inputs[1].shape)
    border = !isPointwise ? Border.joiningTaps(op, input) : nil
    self.taps = border != nil ? kh : kh * kw
    self.depth = border != nil ? kw * depth : depth
    let rows = streams ? table.streamRows : table.gemmRows
    if isPointwise {
      offsets = nil
    } else if let border {
      offsets = Self.offsets(
        op, output, kernel: Pair(kh, 1), size: border.size, channels: input[1], padding: 0, rows: rows)
    } else {
      offsets = Self.offsets(
        op, output, kernel: Pair(kh, kw), size: Pair(input[2], input[3]), channels: input[1],
        padding: op.padding.before,
        rows: rows)
    }
    name =
      (isPointwise ? "pointwise-" : "conv-") + (streams ? "streamed-nhwc-" : "nhwc-") + String(cString: table.name)
  }

  /// Where each tap of each pixel lies, from the first element of the image; −1 outside. `[tile][tap][rows]`, where the
  /// last tile repeats its last pixel.
  static func offsets(
    _ op: Conv2D, _ output: Shape, kernel: Pair, size: Pair, channels: Int, padding: Pair, rows: Int
  ) -> [Int32] {
    let pixels = output[2] * output[3]
    var list: [Int32] = []
    list.reserveCapacity((pixels + rows - 1) / rows * rows * kernel.h * kernel.w)
    for first in stride(from: 0, to: pixels, by: rows) {
      for ky in 0..<kernel.h {
        for kx in 0..<kernel.w {
          for pixel in first..<first + rows {
            let (oy, ox) = min(pixel, pixels - 1).quotientAndRemainder(dividingBy: output[3])
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

  private var scratchPerThread: Int {
    if !streams { return table.gemmScratch(taps: taps) }
    let pixels = (output[2] * output[3] + table.streamRows - 1) / table.streamRows * table.streamRows
    return (pixels * (table.streamWidth + 2 * taps) + 15) / 16 * 16
  }
  var scratchByteCount: Int { (weight.scratchCount + (border?.count ?? 0) + scratchPerThread * threads) * 4 }
  var overwritableInputs: [Int] { [3] }

  func run(_ call: borrowing KernelCall) {
    let weights = weight.pointer(call.input(1)!, scratch: call.scratch)
    let (batch, channels, height, width) = input.nchw
    let outputs = output[1]
    let pixels = output[2] * output[3]
    let perGroup = outputs / op.groups
    let panelWidth = streams ? table.streamWidth : table.gemmWidth
    let panels = (perGroup + panelWidth - 1) / panelWidth
    // A few panels are not as many for each thread: then each half of the tiles is claimed by itself.
    let parts = threads > 1 && panels < 4 * threads && pixels > table.streamRows ? 2 : 1
    let items = streams ? panels * parts : (pixels + table.gemmRows - 1) / table.gemmRows * panels
    let kernel = streams ? table.streamedGEMM! : table.indirectGEMM!
    let groupSize = (perGroup + table.lanes - 1) / table.lanes * table.lanes * taps * depth
    var p = PacerIndirectGEMM()
    p.zeros = UnsafePointer(zeros.pointer)
    (p.scratch, p.scratchStride) = (call.scratch! + weight.scratchCount + (border?.count ?? 0), scratchPerThread)
    (p.pixels, p.taps, p.channels, p.inputStride) = (pixels, taps, depth, channels)
    (p.outputs, p.outputStride, p.parts) = (perGroup, outputs, parts)
    // What is larger is streamed once; what is smaller stays in cache.
    p.panelMajor = groupSize > height * width * channels ? 1 : 0
    let piecesPerThread = !streams ? 4 : parts > 1 ? items : 2
    for n in 0..<batch {
      var image = call.input(0)! + n * height * width * channels
      if let border {
        let copy = call.scratch! + weight.scratchCount
        border.copy(image, to: copy, filled: 0)
        image = UnsafePointer(copy)
      }
      for group in 0..<op.groups {
        p.input = image + group * depth
        p.weights = weights + group * groupSize
        p.bias = call.input(2).map { $0 + group * perGroup }
        p.epilogue = epilogue.parameters(from: group * perGroup)
        let place = n * pixels * outputs + group * perGroup
        p.output = call.output + place
        p.residual = call.input(3).map { $0 + place }
        if let offsets {
          offsets.withUnsafeBufferPointer {
            p.offsets = $0.baseAddress
            call.pool.run(kernel, p, count: items, piecesPerThread: piecesPerThread)
          }
        } else {
          call.pool.run(kernel, p, count: items, piecesPerThread: piecesPerThread)
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
  let padding: Padding

  init(_ image: Shape, _ padding: Padding) {
    self.image = image
    self.padding = padding
  }

  /// Few channels make short runs: a copy with a border joins the taps of a row. Nil where there are more, or where it would be many
  /// times as large as the image.
  static func joiningTaps(_ op: Conv2D, _ image: Shape) -> Border? {
    guard image[1] < 8, op.dilation.w == 1, op.groups == 1 else { return nil }
    let border = Border(image, op.padding)
    let (pixels, overflows) = border.size.h.multipliedReportingOverflow(by: border.size.w)
    return overflows || pixels > max(8 * image[2] * image[3], 1 << 16) ? nil : border
  }

  var size: Pair { Pair(image[2] + padding.total.h, image[3] + padding.total.w) }
  var count: Int { (size.h * size.w * image[1] + 15) / 16 * 16 }

  func copy<Element>(
    _ source: UnsafePointer<Element>, to target: UnsafeMutablePointer<Element>, filled value: Element
  ) {
    let row = image[3] * image[1]
    var next = target
    func fill(_ count: Int) {
      next.update(repeating: value, count: count)
      next += count
    }
    fill(padding.top * size.w * image[1])
    for y in 0..<image[2] {
      fill(padding.left * image[1])
      next.update(from: source + y * row, count: row)
      next += row
      fill(padding.right * image[1])
    }
    fill(target + count - next)
  }
}

extension Window {
  var kernelAndStride: (Int, Int, Int, Int) { (kernel.h, kernel.w, stride.h, stride.w) }
  var paddingAndDilation: (Int, Int, Int, Int) { (padding.top, padding.left, dilation.h, dilation.w) }
}
