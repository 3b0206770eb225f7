import CIntrinsics
import GraphCore
import TensorCore

/// A function of two tensors of float32 that are broadcast, of any rank and in either format.
struct BinaryKernel: CPUKernel {
  let name: String
  private let function: Int
  /// Elements of a line, and whether each operand moves along it.
  private let count: Int
  private let strides: (Int, Int)
  /// Where each line begins.
  private let places: (first: [Int32], second: [Int32])
  private let table: PacerKernelTable
  let overwritableInputs: [Int]
  /// Done to the result in place.
  private let epilogue: KernelEpilogue?
  private let output: TensorType

  private static let functions: [Binary.Function: Int] = [
    .add: PacerAdd, .subtract: PacerSubtract, .multiply: PacerMultiply, .divide: PacerDivide, .minimum: PacerMinimum,
    .maximum: PacerMaximum,
  ]
  /// Elements of a line below which a table of lines would be as large as the tensor.
  private static let shortestLine = 4
  /// Lines up to which there is a table of them.
  private static let mostLines = 1 << 22

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Binary, let function = functions[op.function],
      request.output.shape.count > 0, request.output.shape.count < Int(Int32.max)
    else { return nil }
    return BinaryKernel(op, function, request)
  }

  private init?(_ op: Binary, _ function: Int, _ request: KernelRequest) {
    let extents = request.output.physicalExtents(of: request.output.shape)
    let views = request.inputs.map { $0.physicalStrides(broadcastTo: request.output) }
    // Axes along which both operands move as one are one axis.
    var axes: [(extent: Int, first: Int, second: Int)] = []
    for (axis, extent) in extents.enumerated() where extent > 1 {
      let (first, second) = (views[0][axis], views[1][axis])
      if let last = axes.last, last.first == first * extent, last.second == second * extent {
        axes[axes.count - 1] = (last.extent * extent, first, second)
      } else {
        axes.append((extent, first, second))
      }
    }
    var line = axes.popLast() ?? (1, 1, 1)
    // A tensor in one line is many, for as many threads.
    if axes.isEmpty, line.extent > 4096 {
      var size = 4096
      while line.extent % size != 0 { size -= 1 }
      if size >= 256 {
        axes.append((line.extent / size, line.first * size, line.second * size))
        line.extent = size
      }
    }
    guard line.extent >= Self.shortestLine || axes.isEmpty, line.first <= 1, line.second <= 1 else { return nil }
    (count, strides) = (line.extent, (line.first, line.second))
    guard axes.reduce(1, { $0 * $1.extent }) <= Self.mostLines else { return nil }
    func starts(_ stride: KeyPath<(extent: Int, first: Int, second: Int), Int>) -> [Int32] {
      axes.reduce([0]) { starts, axis in
        starts.flatMap { start in (0..<axis.extent).map { start + Int32($0 * axis[keyPath: stride]) } }
      }
    }
    places = (starts(\.first), starts(\.second))
    name = "\(op.name)-lines-" + String(cString: request.table.name)
    (self.function, table) = (function, request.table)
    overwritableInputs = request.inputs.indices.filter { request.inputs[$0] == request.output }
    (epilogue, output) = (op.epilogue.map { KernelEpilogue($0) }, request.output)
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerBinary()
    (p.a, p.b, p.output) = (call.input(0), call.input(1), call.output)
    (p.count, p.aStride, p.bStride, p.function) = (count, strides.0, strides.1, function)
    places.first.withUnsafeBufferPointer { first in
      places.second.withUnsafeBufferPointer { second in
        (p.aPlaces, p.bPlaces) = (first.baseAddress, second.baseAddress)
        call.pool.run(table.binary, p, count: first.count)
      }
    }
    guard let epilogue else { return }
    var finish = PacerElementwise(output)
    (finish.a, finish.output, finish.epilogue) = (UnsafePointer(call.output), call.output, epilogue.parameters())
    call.pool.run(table.activate, finish, count: (output.shape.count + 1023) / 1024)
  }
}

extension TensorType {
  /// Extents of a shape of as many axes in the order in which this type's elements lie.
  func physicalExtents(of shape: Shape) -> [Int] {
    format == .nhwc ? [shape[0], shape[2], shape[3], shape[1]] : shape.extents
  }

  /// Elements from one index of each of `wanted`'s axes to the next, in the order in which those lie; 0 where it is repeated. What
  /// has one element, or one along every axis but its channels, lies alike in every format.
  func physicalStrides(broadcastTo wanted: TensorType) -> [Int] {
    let rank = wanted.shape.rank
    let extents = [Int](repeating: 1, count: rank - shape.rank) + shape.extents
    let own = TensorType(Shape(extents), dtype, shape.rank == rank ? format : .nchw)
    var strides = own.physicalExtents(of: own.shape).isEmpty ? [] : Shape(own.physicalExtents(of: own.shape)).strides
    if own.format == .nhwc { strides = [strides[0], strides[3], strides[1], strides[2]] }
    let logical = zip(strides, extents).map { $1 == 1 ? 0 : $0 }
    return wanted.format == .nhwc ? [logical[0], logical[2], logical[3], logical[1]] : logical
  }
}

/// A function of each element of a tensor of float32.
struct UnaryKernel: CPUKernel {
  let name: String
  private let function: (kind: Int, alpha: Float, beta: Float)
  private let count: Int
  private let table: PacerKernelTable
  let overwritableInputs = [0]

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? Unary, let function = function(op.function) else { return nil }
    return UnaryKernel(
      name: "\(op.name)-" + String(cString: request.table.name), function: function, count: request.output.shape.count,
      table: request.table)
  }

  private static func function(_ function: Unary.Function) -> (kind: Int, alpha: Float, beta: Float)? {
    switch function {
    case .absolute: (PacerAbsolute, 0, 0)
    case .negate: (PacerNegate, 0, 0)
    case .squareRoot: (PacerSquareRoot, 0, 0)
    case .reciprocal: (PacerReciprocal, 0, 0)
    case .exp: (PacerExp, 0, 0)
    case .tanh: (PacerTanh, 0, 0)
    case .erf: (PacerErf, 0, 0)
    case .gelu(isApproximate: false): (PacerGELU, 0, 0)
    case .leakyReLU(let alpha): (PacerLeakyReLU, alpha, 0)
    case .elu(let alpha): (PacerELU, alpha, 0)
    case .hardSigmoid(let alpha, let beta): (PacerHardSigmoidOf, alpha, beta)
    default: nil
    }
  }

  func run(_ call: borrowing KernelCall) {
    var p = PacerUnary()
    (p.a, p.output, p.count) = (call.input(0), call.output, count)
    (p.function, p.alpha, p.beta) = (function.kind, function.alpha, function.beta)
    call.pool.run(table.unary, p, count: (count + 1023) / 1024)
  }
}
