import CIntrinsics
import Foundation
import GraphCore
import RuntimeCore
import TensorCore

/// Rows of numbers that become bytes over their own range as they come, times a matrix of bytes, with exact sums.
struct DynamicProduct: Sendable {
  let outputs: DotOutputs
  private let table: PacerKernelTable
  private let threads: Int
  private let rows: Int
  private let work: DotWork

  /// - Parameters:
  ///   - weight: `[groups · outputs, depth]` of int8.
  ///   - rows: that are multiplied in a call.
  ///   - groups: whose outputs are made by calls of their own.
  init?(_ weight: TensorType, rows: Int, groups: Int = 1, _ request: KernelRequest) {
    // Of scale 1, so that factors are the weights' own scales.
    let input = StoredType(.uint8, scale: 1).type(of: TensorType([rows, weight.shape[1]]))
    guard
      let outputs = DotOutputs(
        Self.layout(groups, request.table), Linear(), [input, weight], TensorType([rows, weight.shape[0]]))
    else { return nil }
    (self.outputs, self.rows, table, threads) = (outputs, rows, request.table, request.threads)
    work = DotWork(outputs, request.table, pixels: rows, taps: 1, inputByteCount: rows * weight.shape[1])
  }

  static func layout(_ groups: Int, _ table: PacerKernelTable) -> DotLayout {
    DotLayout(.matrix, lanes: table.lanes, groups: groups)
  }

  private var groups: Int { outputs.layout.groups }
  private var depth: Int { outputs.weight.shape[1] }
  private var count: Int { rows * depth }
  private var blocks: Int { (count + 1023) / 1024 }
  /// Of places: factors and biases.
  private var placeByteCount: Int { rounded(outputs.places * 4) }
  /// Where that of the outputs begins, behind rows as bytes, the ends of their ranges, factors and biases.
  private var ownPlace: Int { rounded(count) + rounded(blocks * 8) + 2 * placeByteCount }
  var scratchByteCount: Int { ownPlace + outputs.scratchByteCount + work.scratchPerThread * threads }

  /// What rows are as bytes.
  struct Bytes {
    fileprivate let scale: Float
    fileprivate let zero: Int32
  }

  /// Makes bytes of all rows.
  func quantize(_ x: UnsafePointer<Float>, _ scratch: UnsafeMutableRawPointer, _ pool: ThreadPool) -> Bytes {
    let ends = (scratch + rounded(count)).assumingMemoryBound(to: Float.self)
    var range = PacerRange()
    (range.input, range.count, range.below, range.above) = (x, count, ends, ends + blocks)
    pool.run(table.range, range, count: blocks)
    var (below, above): (Float, Float) = (0, 0)
    for block in 0..<blocks { (below, above) = (max(below, ends[block]), max(above, ends[blocks + block])) }
    let (scale, zero) = DynamicQuantizeLinear.grid(0 - below, above)
    var p = PacerQuantize()
    (p.input, p.output, p.count, p.scale, p.zeroPoint) = (UnsafeRawPointer(x), scratch, count, scale, Int(zero))
    pool.run(table.quantize, p, count: blocks)
    return Bytes(scale: scale, zero: Int32(zero))
  }

  /// Weights in the kernel's order, once for all calls of ``multiply(_:_:bias:limits:group:to:stride:_:_:)`` with this scratch.
  func weights(_ given: UnsafeMutableRawPointer, _ scratch: UnsafeMutableRawPointer) -> UnsafePointer<Int8> {
    outputs.packed(given, scratch + ownPlace)
  }

  /// Multiplies rows that were made bytes, by one group's weights.
  /// - Parameters:
  ///   - bias: of the group's outputs.
  ///   - y: where the first row's first output goes; rows are `stride` apart.
  func multiply(
    _ bytes: Bytes, _ weights: UnsafePointer<Int8>, bias: UnsafePointer<Float>?, limits: Clamp = .none, group: Int = 0,
    to y: UnsafeMutablePointer<Float>, stride: Int, _ scratch: UnsafeMutableRawPointer, _ pool: ThreadPool
  ) {
    let factors = (scratch + rounded(count) + rounded(blocks * 8)).assumingMemoryBound(to: Float.self)
    let addend = (UnsafeMutableRawPointer(factors) + placeByteCount).assumingMemoryBound(to: Float.self)
    let own = scratch + ownPlace
    let biases = own.assumingMemoryBound(to: Int32.self)
    let places = outputs.places(ofGroup: group)
    outputs.fill(biases, nil, weights, zero: bytes.zero, group: group)
    for place in places { factors[place] = bytes.scale * outputs.factors[place] }
    var p = PacerDotGEMM()
    if let bias {
      outputs.fill(addend, bias, group: group)
      p.addend = UnsafePointer(addend) + places.lowerBound
    }
    let columns = outputs.weight.shape[0] / groups
    let source = UnsafePointer(scratch.assumingMemoryBound(to: UInt8.self))
    (p.input, p.zeros) = (source, source)
    p.weights = weights + group * outputs.layout.byteCount(for: outputs.weight.shape) / groups
    (p.bias, p.factors) = (UnsafePointer(biases) + places.lowerBound, UnsafePointer(factors) + places.lowerBound)
    (p.minima, p.maxima) = (outputs.minima + places.lowerBound, outputs.maxima + places.lowerBound)
    work.fill(&p, scratch: (own + outputs.scratchByteCount).assumingMemoryBound(to: UInt8.self))
    (p.channels, p.inputStride, p.isJoined) = (depth, depth, depth % 4 == 0 ? 0 : 1)
    (p.outputs, p.outputStride, p.output) = (columns, stride, UnsafeMutableRawPointer(y))
    (p.isFloat, p.divisor, p.minimum, p.maximum) = (1, 1, limits.min, limits.max)
    let tiles = (rows + table.dotRows - 1) / table.dotRows
    let panels = (columns + outputs.layout.width - 1) / outputs.layout.width
    pool.run(table.dotGEMM, p, count: tiles * panels)
  }
}

/// Linear layer that rounds its input to bytes at each call, over the input's own range.
struct DynamicLinearKernel: CPUKernel {
  let name: String
  private let product: DynamicProduct
  private let table: PacerKernelTable
  private let columns: Int
  private let count: Int
  private let limits: Clamp
  /// An activation that is more than limits.
  private let epilogue: KernelEpilogue?

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? DynamicLinear, request.inputs[0].isPlainFloat, request.output.isPlainFloat,
      let product = DynamicProduct(
        request.inputs[1], rows: request.output.shape.extents.dropLast().reduce(1, *), request)
    else { return nil }
    let limits = op.epilogue.map { $0.clamps(channels: 1) } ?? [.none]
    return DynamicLinearKernel(
      name: "dynamic-linear-dots-" + String(cString: request.table.name), product: product, table: request.table,
      columns: request.inputs[1].shape[0], count: request.output.shape.count, limits: limits?[0] ?? Clamp.none,
      epilogue: limits == nil ? KernelEpilogue(op.epilogue) : nil)
  }

  static func layout(_ table: PacerKernelTable) -> DotLayout { DynamicProduct.layout(1, table) }

  var scratchByteCount: Int { product.scratchByteCount }

  func run(_ call: borrowing KernelCall) {
    let scratch = UnsafeMutableRawPointer(call.scratch!)
    let bytes = product.quantize(call.input(0)!, scratch, call.pool)
    product.multiply(
      bytes, product.weights(call.inputs[1], scratch), bias: call.input(2), limits: limits, to: call.output,
      stride: columns, scratch, call.pool)
    guard let epilogue else { return }
    var p = PacerElementwise()
    (p.a, p.output, p.count) = (UnsafePointer(call.output), call.output, count)
    p.epilogue = epilogue.parameters()
    call.pool.run(table.activate, p, count: (count + 1023) / 1024)
  }
}

/// LSTM, as ``LSTMKernel``, whose input and states become bytes over their own ranges at each call.
struct DynamicLSTMKernel: CPUKernel {
  let name: String
  private let sequence: LSTMSequence
  private let ofInput: DynamicProduct
  private let ofState: DynamicProduct

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? DynamicRecurrent, request.inputs[0].isPlainFloat,
      let sequence = LSTMSequence(op.layer, request.inputs[0].shape, hidden: request.inputs[2].shape[1]),
      let ofInput = DynamicProduct(
        request.inputs[1], rows: sequence.steps * sequence.batch, groups: sequence.directions, request),
      let ofState = DynamicProduct(request.inputs[2], rows: 1, groups: sequence.directions, request)
    else { return nil }
    return DynamicLSTMKernel(
      name: "dynamic-lstm-dots-" + String(cString: request.table.name), sequence: sequence, ofInput: ofInput,
      ofState: ofState)
  }

  static func layout(_ op: DynamicRecurrent, _ table: PacerKernelTable) -> DotLayout {
    DynamicProduct.layout(op.layer.direction.count, table)
  }

  private var gates: Int { sequence.gates }
  /// What the input gives all gates of all steps, and the gates of one step.
  private var inputByteCount: Int { rounded(4 * sequence.steps * sequence.batch * sequence.directions * gates) }
  private var stepByteCount: Int { rounded(4 * gates) }
  var scratchByteCount: Int {
    inputByteCount + stepByteCount + max(ofInput.scratchByteCount, ofState.scratchByteCount)
  }

  func run(_ call: borrowing KernelCall) {
    let (fromInput, pool, bias) = (call.scratch!, call.pool, sequence.input(.bias, call))
    let base = UnsafeMutableRawPointer(fromInput) + inputByteCount
    let (sums, scratch) = (base.assumingMemoryBound(to: Float.self), base + stepByteCount)
    let (stride, gates) = (sequence.directions * gates, gates)
    let bytes = ofInput.quantize(call.input(0)!, scratch, pool)
    let w = ofInput.weights(call.inputs[1], scratch)
    for d in 0..<sequence.directions {
      ofInput.multiply(
        bytes, w, bias: bias.map { $0 + 2 * d * gates }, group: d, to: fromInput + d * gates, stride: stride, scratch,
        pool)
    }
    let r = ofState.weights(call.inputs[2], scratch)
    sequence.run(call, sums) { d, place, state in
      ofState.multiply(
        ofState.quantize(state, scratch, pool), r, bias: bias.map { $0 + (2 * d + 1) * gates }, group: d, to: sums,
        stride: gates, scratch, pool)
      let added = fromInput + place * stride + d * gates
      for i in 0..<gates { sums[i] = added[i] + sums[i] }
    }
  }
}
