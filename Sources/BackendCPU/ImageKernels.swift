import CIntrinsics
import GraphCore
import TensorCore

/// Images of other extents, by the nearest pixels or between four of them, in either format.
struct ResizeKernel: CPUKernel {
  let name: String
  private let images: Int
  private let channels: Int
  private let input: Pair
  private let output: Pair
  private let isNearest: Bool
  private let rows: (places: [Int32], weights: [Float])
  private let columns: (places: [Int32], weights: [Float])
  private let table: PacerKernelTable

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Resize, request.inputs[0].shape.rank == 4, request.output.shape.count > 0,
      // A table has an entry for each row and column.
      op.axes.allSatisfy({ $0.axis > 1 && $0.extent <= 1 << 16 }), op.coordinates != .crop, !op.antialiases
    else { return nil }
    return ResizeKernel(op, request)
  }

  private init?(_ op: Resize, _ request: KernelRequest) {
    let (shape, result) = (request.inputs[0].shape, request.output.shape)
    /// Two places and weights for each output row or column; nil where there are more.
    func taps(_ axis: Int) -> (places: [Int32], weights: [Float])? {
      guard let change = op.axes.first(where: { $0.axis == axis }) else {
        return ((0..<Int32(shape[axis])).flatMap { [$0, $0] }, (0..<shape[axis]).flatMap { _ in [1, 0] as [Float] })
      }
      let samples = op.samples(along: change, of: shape[axis])
      guard samples.allSatisfy({ (1...2).contains($0.taps.count) }) else { return nil }
      return (
        samples.flatMap { [Int32($0.taps[0].place), Int32($0.taps.last!.place)] },
        samples.flatMap { [$0.taps[0].weight, $0.taps.count > 1 ? $0.taps[1].weight : 0] }
      )
    }
    guard let rows = taps(2), let columns = taps(3) else { return nil }
    (self.rows, self.columns, table) = (rows, columns, request.table)
    let isLast = request.inputs[0].format == .nhwc
    (images, channels) = isLast ? (shape[0], shape[1]) : (shape[0] * shape[1], 1)
    (input, output) = (Pair(shape[2], shape[3]), Pair(result[2], result[3]))
    if case .nearest = op.mode { isNearest = true } else { isNearest = false }
    name = "resize-\(request.inputs[0].format)-" + String(cString: request.table.name)
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerResize()
    (p.input, p.output, p.channels) = (call.input(0), call.output, channels)
    (p.height, p.width, p.outputHeight, p.outputWidth) = (input.h, input.w, output.h, output.w)
    p.isNearest = isNearest ? 1 : 0
    rows.places.withUnsafeBufferPointer { rowPlaces in
      columns.places.withUnsafeBufferPointer { columnPlaces in
        rows.weights.withUnsafeBufferPointer { rowWeights in
          columns.weights.withUnsafeBufferPointer { columnWeights in
            (p.rowPlaces, p.columnPlaces) = (rowPlaces.baseAddress, columnPlaces.baseAddress)
            (p.rowWeights, p.columnWeights) = (rowWeights.baseAddress, columnWeights.baseAddress)
            call.pool.run(table.resize, p, count: images * output.h)
          }
        }
      }
    }
  }
}

/// Average pooling, channels last.
struct AveragePoolKernel: CPUKernel {
  let name: String
  private let op: AveragePool2D
  private let input: Shape
  private let output: Shape
  private let table: PacerKernelTable

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? AveragePool2D, request.inputs[0].format == .nhwc else { return nil }
    return AveragePoolKernel(
      name: "avg-pool-nhwc-" + String(cString: request.table.name), op: op, input: request.inputs[0].shape,
      output: request.output.shape, table: request.table)
  }

  func run(_ call: borrowing KernelCall) {
    let (batch, channels, height, width) = input.nchw
    var p = PacerMaxPoolNHWC()
    (p.channels, p.height, p.width) = (channels, height, width)
    (p.outputHeight, p.outputWidth) = (output[2], output[3])
    (p.kernelHeight, p.kernelWidth, p.strideHeight, p.strideWidth) = op.window.kernelAndStride
    (p.padHeight, p.padWidth, p.dilationHeight, p.dilationWidth) = op.window.paddingAndDilation
    p.divisor = op.countsPadding ? op.window.kernel.h * op.window.kernel.w : 0
    for n in 0..<batch {
      p.input = call.input(0)! + n * height * width * channels
      p.output = call.output + n * p.outputHeight * p.outputWidth * channels
      call.pool.run(table.averagePoolNHWC, p, count: p.outputHeight)
    }
  }
}
