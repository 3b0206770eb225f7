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

  /// - Parameters:
  ///   - weight: `[groups · outputs, depth]` of int8.
  ///   - rows: that are multiplied in one call.
  ///   - groups: whose outputs are made by a call of their own.
  init?(_ weight: TensorType, rows: Int, groups: Int = 1, _ request: KernelRequest) {
    // Of scale 1, so that factors are the weights' own scales.
    let input = StoredType(.uint8, scale: 1).type(of: TensorType([rows, weight.shape[1]]))
    guard
      let outputs = DotOutputs(
        Self.layout(groups, request.table), Linear(), [input, weight], TensorType([rows, weight.shape[0]]))
    else { return nil }
    (self.outputs, self.rows, table, threads) = (outputs, rows, request.table, request.threads)
  }

  static func layout(_ groups: Int, _ table: PacerKernelTable) -> DotLayout {
    DotLayout(.matrix, lanes: table.lanes, groups: groups)
  }

  private var groups: Int { outputs.layout.groups }
  private var depth: Int { outputs.weight.shape[1] }
  private var packedDepth: Int { outputs.layout.depth(of: outputs.weight.shape) }
  private var count: Int { rows * depth }
  private var blocks: Int { (count + 1023) / 1024 }
  private var scratchPerThread: Int { DotKernel.scratchPerThread(table, depth: packedDepth, taps: 1) }
  /// Of places: factors and biases.
  private var placeByteCount: Int { rounded(outputs.places * 4) }
  var scratchByteCount: Int {
    rounded(count) + rounded(blocks * 8) + 2 * placeByteCount + outputs.scratchByteCount + scratchPerThread * threads
  }

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

  /// Multiplies rows that were made bytes, by all groups or one.
  /// - Parameters:
  ///   - bias: of the first output of the first of these groups; `biasStride` apart for each further one.
  ///   - y: where the first row's first output goes; `[rows][stride]`.
  func multiply(
    _ bytes: Bytes, _ weight: UnsafeRawPointer, bias: UnsafePointer<Float>?, biasStride: Int = 0,
    limits: Clamp = .none, groups given: Range<Int>? = nil, to y: UnsafeMutablePointer<Float>, stride: Int,
    _ scratch: UnsafeMutableRawPointer, _ pool: ThreadPool
  ) {
    let factors = (scratch + rounded(count) + rounded(blocks * 8)).assumingMemoryBound(to: Float.self)
    let addend = (UnsafeMutableRawPointer(factors) + placeByteCount).assumingMemoryBound(to: Float.self)
    let own = UnsafeMutableRawPointer(addend) + placeByteCount
    let (weights, biases) = outputs.parameters(weight, bias: nil, zero: bytes.zero, own)
    for place in 0..<outputs.places { factors[place] = bytes.scale * outputs.factors[place] }
    let columns = outputs.weight.shape[0] / groups
    let places = outputs.places / groups
    let groupBytes = outputs.layout.byteCount(for: outputs.weight.shape) / groups
    var p = PacerDotGEMM()
    let source = UnsafePointer(scratch.assumingMemoryBound(to: UInt8.self))
    (p.input, p.zeros) = (source, source)
    (p.scratch, p.scratchStride) = (
      (own + outputs.scratchByteCount).assumingMemoryBound(to: UInt8.self), scratchPerThread
    )
    (p.pixels, p.taps, p.channels, p.inputStride, p.depth) = (rows, 1, depth, depth, packedDepth)
    p.isJoined = depth % 4 == 0 ? 0 : 1
    (p.outputs, p.outputStride) = (columns, stride)
    p.panelMajor = columns > rows ? 1 : 0
    (p.isFloat, p.divisor, p.minimum, p.maximum) = (1, 1, limits.min, limits.max)
    let tiles = (rows + table.dotRows - 1) / table.dotRows
    let panels = (columns + outputs.layout.width - 1) / outputs.layout.width
    for (index, group) in (given ?? 0..<groups).enumerated() {
      (p.weights, p.bias) = (weights + group * groupBytes, biases + group * places)
      (p.factors, p.minima, p.maxima) = (
        UnsafePointer(factors + group * places), outputs.minima + group * places, outputs.maxima + group * places
      )
      if let bias {
        outputs.fill(addend, bias + index * biasStride, group: group)
        p.addend = UnsafePointer(addend)
      }
      p.output = UnsafeMutableRawPointer(y + index * columns)
      pool.run(table.dotGEMM, p, count: tiles * panels)
    }
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

  static func weightFormats(_ table: PacerKernelTable) -> [Int: MemoryFormat] {
    [1: .dots(DynamicProduct.layout(1, table))]
  }

  var scratchByteCount: Int { product.scratchByteCount }

  func run(_ call: borrowing KernelCall) {
    let scratch = UnsafeMutableRawPointer(call.scratch!)
    let bytes = product.quantize(call.input(0)!, scratch, call.pool)
    product.multiply(
      bytes, UnsafeRawPointer(call.inputs[1]), bias: call.input(2), limits: limits, to: call.output, stride: columns,
      scratch, call.pool)
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
  private let layer: Recurrent
  private let steps: Int
  private let batch: Int
  private let hidden: Int
  private let ofInput: DynamicProduct
  private let ofState: DynamicProduct

  static let make: @Sendable (KernelRequest) -> (any CPUKernel)? = { request in
    guard let op = request.node.op as? DynamicRecurrent, LSTMKernel.runs(op.layer), request.inputs[0].isPlainFloat,
      case let (x, directions) = (request.inputs[0].shape, op.layer.direction.count),
      let ofInput = DynamicProduct(request.inputs[1], rows: x[0] * x[1], groups: directions, request),
      let ofState = DynamicProduct(request.inputs[2], rows: 1, groups: directions, request)
    else { return nil }
    return DynamicLSTMKernel(
      name: "dynamic-lstm-dots-" + String(cString: request.table.name), layer: op.layer, steps: x[0], batch: x[1],
      hidden: request.inputs[2].shape[1], ofInput: ofInput, ofState: ofState)
  }

  static func weightFormats(_ op: DynamicRecurrent, _ table: PacerKernelTable) -> [Int: MemoryFormat] {
    let layout = DynamicProduct.layout(op.layer.direction.count, table)
    return [1: .dots(layout), 2: .dots(layout)]
  }

  private var directions: Int { layer.direction.count }
  private var gates: Int { 4 * hidden }
  /// What the input gives all gates of all steps, and the gates of one step.
  private var inputByteCount: Int { rounded(4 * steps * batch * directions * gates) }
  private var stepByteCount: Int { rounded(4 * gates) }
  var scratchByteCount: Int {
    inputByteCount + stepByteCount + max(ofInput.scratchByteCount, ofState.scratchByteCount)
  }

  func run(_ call: borrowing KernelCall) {
    func output(_ index: Int) -> UnsafeMutablePointer<Float> { call.outputs[index].assumingMemoryBound(to: Float.self) }
    func given(_ input: Recurrent.Given) -> UnsafePointer<Float>? {
      layer.position(of: input).flatMap { call.input($0) }
    }
    let (bias, firstHidden, firstCell) = (given(.bias), given(.hidden), given(.cell))
    let fromInput = call.scratch!
    let base = UnsafeMutableRawPointer(fromInput) + inputByteCount
    let (sums, scratch) = (base.assumingMemoryBound(to: Float.self), base + stepByteCount)
    ofInput.multiply(
      ofInput.quantize(call.input(0)!, scratch, call.pool), UnsafeRawPointer(call.inputs[1]), bias: bias,
      biasStride: 2 * gates, to: fromInput, stride: directions * gates, scratch, call.pool)
    let (all, states, cells) = (output(0), output(1), output(2))
    for d in 0..<directions {
      let isReverse = layer.direction == .reverse || d == 1
      for n in 0..<batch {
        let place = (d * batch + n) * hidden
        let (state, cell) = (states + place, cells + place)
        for j in 0..<hidden {
          state[j] = firstHidden?[place + j] ?? 0
          cell[j] = firstCell?[place + j] ?? 0
        }
        for step in 0..<steps {
          let t = isReverse ? steps - 1 - step : step
          ofState.multiply(
            ofState.quantize(state, scratch, call.pool), UnsafeRawPointer(call.inputs[2]),
            bias: bias.map { $0 + (2 * d + 1) * gates }, groups: d..<d + 1, to: sums, stride: gates, scratch, call.pool)
          let added = fromInput + ((t * batch + n) * directions + d) * gates
          for i in 0..<gates { sums[i] = added[i] + sums[i] }
          LSTMKernel.finish(
            sums, cell, state, all + ((t * directions + d) * batch + n) * hidden, hidden: hidden)
        }
      }
    }
  }
}
