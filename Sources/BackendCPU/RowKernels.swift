import CIntrinsics
import GraphCore
import TensorCore

/// Softmax along any axis of a tensor in NCHW.
struct SoftmaxKernel: CPUKernel {
  let name: String
  private let outer: Int
  private let count: Int
  private let inner: Int
  private let table: PacerKernelTable
  let overwritableInputs = [0]

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Softmax, !op.isLogarithm, request.inputs[0].shape.count > 0 else { return nil }
    let shape = request.inputs[0].shape
    let (outer, inner) = shape.around(op.axis)
    return SoftmaxKernel(
      name: "softmax-" + String(cString: request.table.name), outer: outer, count: shape[op.axis], inner: inner,
      table: request.table)
  }

  func run(_ call: borrowing KernelCall) {
    let p = PacerSoftmax(input: call.input(0), output: call.output, count: count, inner: inner)
    call.pool.run(table.softmax, p, count: inner == 1 ? outer : outer * ((inner + table.lanes - 1) / table.lanes))
  }
}

/// One number of the elements along the last axes, or those elements normalised.
struct RowsKernel: CPUKernel {
  let name: String
  private let rows: Int
  private let count: Int
  private let epsilon: Float
  private let isRootMeanSquare: Bool
  private let function: Int
  private let kernel: PacerKernel?
  let overwritableInputs: [Int]

  private init(
    _ name: String, _ shape: Shape, from axis: Int, _ request: KernelRequest, function: Int = 0, epsilon: Float = 0,
    isRootMeanSquare: Bool = false, _ kernel: PacerKernel?, overwrites: Bool
  ) {
    self.name = "\(name)-" + String(cString: request.table.name)
    (rows, count) = (shape.extents[..<axis].reduce(1, *), shape.extents[axis...].reduce(1, *))
    (self.function, self.epsilon, self.isRootMeanSquare) = (function, epsilon, isRootMeanSquare)
    (self.kernel, overwritableInputs) = (kernel, overwrites ? [0] : [])
  }

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    let shape = request.inputs[0].shape
    guard shape.count > 0, request.inputs[0].format == .nchw else { return nil }
    switch request.node.op {
    case let op as LayerNorm where !op.givesStatistics:
      return RowsKernel(
        op.name, shape, from: op.axis, request, epsilon: op.epsilon, isRootMeanSquare: op.isRootMeanSquare,
        request.table.layerNorm, overwrites: true)
    case let op as Reduce:
      let functions: [Reduce.Function: Int] = [.sum: PacerRowSum, .mean: PacerRowMean, .maximum: PacerRowMaximum]
      guard let function = functions[op.function], let first = op.axes.first,
        op.axes == Array(first..<shape.rank)
      else { return nil }
      return RowsKernel(
        op.name, shape, from: first, request, function: function, request.table.reduceRows, overwrites: false)
    default: return nil
    }
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerRowNumbers()
    (p.input, p.scale, p.bias, p.output) = (call.input(0), call.input(1), call.input(2), call.output)
    (p.count, p.function, p.epsilon) = (count, function, epsilon)
    p.isRootMeanSquare = isRootMeanSquare ? 1 : 0
    call.pool.run(kernel, p, count: rows)
  }
}
