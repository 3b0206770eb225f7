import GraphCore
import TensorCore

/// Why NNAPI cannot express a node.
public struct NotInNNAPI: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

extension Graph {
  /// The operations of API level 30 that do what a node does, one behind the other: a node that a pass fused is several, and one that
  /// runs graphs of its own is the one that runs them.
  /// - Throws: ``NotInNNAPI``.
  public func nnapiOperations(for node: Node) throws -> [OperationCode] {
    switch node.op {
    case is If: return [.if]
    case let op as Loop:
      // A loop's number, which is 64 bits wide here, is 32 there; of what goes in and out, what computes it says the rest.
      guard node.outputs.count == op.carried else { throw NotInNNAPI("WHILE collects nothing of its iterations") }
      return [.while]
    default:
      var writer = NNAPIModelWriter(self)
      try writer.write(node)
      return writer.model.operations.map(\.code)
    }
  }

  /// The type of a value as NNAPI would have it: sums of a quantised layer that wait for a residual are numbers here, which are rounded
  /// once, and quantised there.
  func nnapiType(of id: ValueID) -> TensorType {
    let type = self[id].type
    guard type.dtype == .float32, let producer = producer(of: id), !outputs.contains(id),
      let first = nodes[producer].inputs.first, self[first].type.quantization != nil
    else { return type }
    let readers = users(of: id).map { nodes[$0] }
    guard let reader = readers.first, let stored = reader.stored, let sum = stored.quantization,
      readers.allSatisfy({ ($0.op as? Binary)?.function == .add && $0.stored?.quantization != nil })
    else { return type }
    var rounded = type
    (rounded.dtype, rounded.quantization) = (stored.dtype, sum)
    // Where the other summand is quantised too, what is left for this one.
    if let other = reader.inputs.first(where: { $0 != id }), let residual = self[other].type.quantization,
      self[other].type.dtype == stored.dtype, residual.axis == nil, sum.axis == nil,
      let wanted = try? NNAPIModelWriter.operand(rounded), let given = try? NNAPIModelWriter.operand(self[other].type)
    {
      let before = wanted.before(adding: given)
      rounded.quantization = Quantization(scale: before.scale, zeroPoint: before.zeroPoint)
    }
    return rounded
  }
}

extension NNAPIModel.Operand {
  private var integers: ClosedRange<Float> {
    switch type {
    case .tensorQuant8Asymm: 0...255
    case .tensorQuant16Asymm: 0...65535
    default: -128...127
    }
  }

  /// What its integers can stand for.
  fileprivate var range: ClosedRange<Float> {
    let zero = Float(zeroPoint)
    return (integers.lowerBound - zero) * scale...(integers.upperBound - zero) * scale
  }

  /// The same with a scale that holds other numbers.
  fileprivate func holding(_ range: ClosedRange<Float>) -> NNAPIModel.Operand {
    var operand = self
    let (least, most) = (min(range.lowerBound, 0), max(range.upperBound, 0))
    operand.scale = max((most - least) / (integers.upperBound - integers.lowerBound), .leastNormalMagnitude)
    operand.zeroPoint = Int32((integers.lowerBound - least / operand.scale).rounded())
    return operand
  }

  /// One summand, where this is the sum: all that it can be unless the sum is beyond what it can stand for itself.
  fileprivate func before(adding other: NNAPIModel.Operand) -> NNAPIModel.Operand {
    holding(range.lowerBound - other.range.upperBound...range.upperBound - other.range.lowerBound)
  }
}

extension Epilogue {
  /// Numbers between which its result changes, as far as results of some range tell: what is rounded to integers before it has to hold
  /// these.
  fileprivate func inputs(for results: ClosedRange<Float>) -> ClosedRange<Float> {
    switch self {
    case .clamp, .clampChannels: results
    case .hardSigmoid: -3...3
    case .hardSwish: -3...max(3, results.upperBound)
    // Beyond, less than a step of 8 bits is left.
    case .sigmoid: -8...8
    case .silu: -8...max(8, results.upperBound)
    }
  }
}

/// How an operation ends: see `FuseCode` of `NeuralNetworks.h`.
private enum FuseCode: Int {
  case none = 0
  case relu, relu1, relu6

  /// Nil where an activation is none of these.
  init?(_ activation: Epilogue?) {
    switch activation {
    case nil, .clamp(.none): self = .none
    case .clamp(.relu): self = .relu
    case .clamp(Clamp(min: -1, max: 1)): self = .relu1
    case .clamp(.relu6): self = .relu6
    default: return nil
    }
  }
}

extension NNAPIModelWriter {
  /// Those that NNAPI has no quantised form of.
  private static let floatsOnly: Set<OperationCode> = [
    .abs, .div, .elu, .exp, .floor, .instanceNormalization, .localResponseNormalization, .log, .logSoftmax, .neg, .pow,
    .reduceProd, .reduceSum, .rsqrt, .sin, .sqrt, .unidirectionalSequenceLstm, .bidirectionalSequenceLstm,
    .unidirectionalSequenceRnn, .bidirectionalSequenceRnn,
  ]

  /// Adds the operations that do what a node does.
  /// - Throws: ``NotInNNAPI``.
  mutating func write(_ node: Node) throws {
    guard let first = node.inputs.first else { throw NotInNNAPI("NNAPI has no operations without operands") }
    let begin = model.operations.count
    let result = try result(of: node)
    if type(of: first).quantization != nil, type(of: first).dtype != .int32,
      let code = model.operations[begin...].first(where: { Self.floatsOnly.contains($0.code) })?.code
    {
      throw NotInNNAPI("\(code) computes on floats, not on quantised tensors")
    }
    for operation in model.operations[begin...] where operation.code != .dequantize {
      let results = operation.outputs.map { self[$0].type }
      if self[operation.inputs[0]].isQuantised, results.contains(.tensorFloat32) || results.contains(.tensorFloat16) {
        throw NotInNNAPI("\(operation.code) " + Self.answers(in: type(of: node.outputs[0]).dtype))
      }
    }
    guard let result else { return }
    let id = node.outputs[0]
    let wanted = try Self.operand(type(of: id))
    if self[result].isQuantised, !wanted.isQuantised, !(node.op is Requantize) {
      throw NotInNNAPI("\(model.operations[begin].code) " + Self.answers(in: type(of: id).dtype))
    }
    set(try converted(result, to: wanted), of: id)
  }

  private static func answers(in dtype: DType) -> String {
    "of quantised tensors answers in quantised ones, not in \(dtype.rawValue)"
  }

  /// The operand of a node's only result, in some type that can be converted to the one it has; nil where it has set all of its results.
  private mutating func result(of node: Node) throws -> Int? {
    switch node.op {
    case let op as Conv2D:
      return try convolution(node, op, input(node), node.inputs[1], node.inputs[safe: 2], node.inputs[safe: 3])
    case let op as DepthwiseBlock: return try block(node, op)
    case let op as ConvTranspose2D: return try transposedConvolution(node, op)
    case let op as Linear: return try linear(node, op)
    case is MatMul: throw NotInNNAPI("API level 30 has no product of two matrices that are computed")
    case let op as Activation: return try activated(input(node), op.function, node)
    case let op as AveragePool2D:
      try need(op.window.dilation == 1, "AVERAGE_POOL_2D has no dilation")
      guard op.countsPadding, op.window.padding != 0 else { return try pool(node, .averagePool2d, op.window) }
      var window = op.window
      window.padding = 0
      return try pool(node, .averagePool2d, window, of: padded(input(node), op.window.padding, node))
    case let op as MaxPool2D:
      try need(op.window.dilation == 1, "MAX_POOL_2D has no dilation")
      return try pool(node, .maxPool2d, op.window)
    case is GlobalAveragePool:
      let shape = graph[node.inputs[0]].type.shape
      return try pool(node, .averagePool2d, Window(kernel: Pair(shape[2], shape[3])))
    case let op as BatchNorm: return try batchNorm(node, op)
    case let op as Binary: return try binary(node, op)
    case let op as Unary: return try unary(node, op.function)
    case let op as ArgExtreme:
      try need(!op.takesLast, "ARGMAX and ARGMIN take the first of several")
      var kept = try Self.operand(type(of: node.outputs[0]))
      let dimensions = kept.dimensions
      let x = try input(node)
      let axis = Self.dimension(op.axis, of: graph[node.inputs[0]].type)
      kept.dimensions = self[x].dimensions
      kept.dimensions.remove(at: axis)
      if kept.dimensions.isEmpty { kept.dimensions = [1] }
      let index = emit(op.function == .maximum ? .argmax : .argmin, [x, int(axis)], kept)
      return dimensions == kept.dimensions ? index : reshape(index, dimensions)
    case is Cast: return emit(.cast, [try input(node)], try own(node))
    case let op as Concat: return try concatenation(node, op)
    case let op as ConvertFormat:
      try need(op.format == .nchw || op.format == .nhwc, "NNAPI has no tensors in \(op.format)")
      let order =
        op.format == graph[node.inputs[0]].type.format ? [0, 1, 2, 3] : op.format == .nhwc ? Self.toNHWC : Self.toNCHW
      return emit(.transpose, [try input(node), ints(order)], try own(node))
    case let op as Transpose: return emit(.transpose, [try plain(node), ints(op.order)], try own(node))
    case is Reshape, is Dropout: return reshape(try input(node), try own(node).dimensions)
    case let op as DepthToSpace:
      try need(op.block.h == op.block.w && op.isBlockMajor, "DEPTH_TO_SPACE has square blocks that lie outermost")
      return emit(.depthToSpace, [try input(node), int(op.block.h), layout(node)], try own(node))
    case is Requantize: return try requantisation(node)
    case let op as Pad: return try pad(node, op)
    case let op as Slice: return try slice(node, op)
    case let op as Softmax:
      let x = try input(node)
      let axis = int(Self.dimension(op.axis, of: graph[node.inputs[0]].type))
      return emit(
        op.isLogarithm ? .logSoftmax : .softmax, [x, scalar(1, like: x), axis],
        self[x].isQuantised ? fraction(x, 256) : like(x))
    case let op as Tile: return emit(.tile, [try plain(node), ints(op.repeats)], try own(node))
    case let op as TopK:
      try need(op.isLargest, "TOPK_V2 takes the largest")
      try need(op.axis == graph[node.inputs[0]].type.shape.rank - 1, "TOPK_V2 goes by the last axis")
      let results = emit(
        .topkV2, [try plain(node), int(op.count)], try node.outputs.map { try Self.operand(type(of: $0)) })
      for (id, result) in zip(node.outputs, results) { set(result, of: id) }
      return nil
    case let op as Gather:
      return emit(.gather, [try plain(node), int(op.axis), try operand(node.inputs[1])], try own(node))
    case is Where:
      let shapes = node.inputs.map { graph[$0].type.shape }
      try need(shapes.allSatisfy { $0 == graph[node.outputs[0]].type.shape }, "SELECT does not broadcast")
      return emit(.select, try node.inputs.map { try operand($0) }, try own(node))
    case let op as Reduce: return try reduction(node, op)
    case let op as Resize: return try resize(node, op)
    case let op as Recurrent: return try recurrent(node, op)
    case let op as InstanceNorm: return try instanceNorm(node, op)
    case let op as LocalResponseNorm:
      try need(op.size % 2 == 1, "LOCAL_RESPONSE_NORMALIZATION has a radius, not \(op.size) channels")
      let x = try input(node)
      let numbers = [op.bias, op.alpha / Float(op.size), op.beta].map { scalar($0, like: x) }
      let axis = Self.dimension(1, of: graph[node.inputs[0]].type)
      return emit(.localResponseNormalization, [x, int((op.size - 1) / 2)] + numbers + [int(axis)], like(x))
    default: throw NotInNNAPI("NNAPI has no operation for \(node.op.name)")
    }
  }

  // MARK: Parts of operations

  /// What a node reads first, in the width that it computes in: 16 bits only where all that it computes with is so narrow.
  private mutating func input(_ node: Node) throws -> Int {
    let given = try operand(node.inputs[0])
    let isNarrow =
      graph[node.outputs[0]].type.dtype == .float16 && reads(node).allSatisfy { self.graph[$0].type.dtype == .float16 }
    return isNarrow || movesOnly(node) ? given : try float32(given)
  }

  /// What it reads but parameters.
  private func reads(_ node: Node) -> [ValueID] {
    node.inputs.enumerated().filter { !node.op.parameterInputs.contains($0.offset) }.map(\.element)
  }

  private func movesOnly(_ node: Node) -> Bool {
    node.op.elementTypes.isAny || node.op is MaxPool2D || node.op is Requantize
  }

  /// The first input of an operation that knows no formats.
  private mutating func plain(_ node: Node) throws -> Int {
    let type = graph[node.inputs[0]].type
    try need(type.format == .nchw, "\(node.op.name) of a tensor in \(type.format) goes by other axes")
    return try operand(node.inputs[0])
  }

  private func own(_ node: Node) throws -> Operand { try Self.operand(type(of: node.outputs[0])) }

  /// As an operand, without what it holds, and with other dimensions.
  private func like(_ operand: Int, _ dimensions: [Int]? = nil) -> Operand {
    var result = self[operand]
    (result.value, result.dimensions) = (nil, dimensions ?? result.dimensions)
    return result
  }

  /// What an operation computes of some input: in the width of that, or in the integers that the node's result is to have.
  private func computed(_ node: Node, of x: Int, _ dimensions: [Int]? = nil) throws -> Operand {
    let own = try own(node)
    guard self[x].isQuantised, own.isQuantised else {
      return self[x].isQuantised ? own : like(x, dimensions ?? own.dimensions)
    }
    var result = own
    result.dimensions = dimensions ?? own.dimensions
    return result
  }

  /// A fraction as quantised results of LOGISTIC, SOFTMAX and TANH are.
  private func fraction(_ x: Int, _ parts: Float) -> Operand {
    var result = like(x)
    result.scale = 1 / parts
    result.zeroPoint = (parts == 256 ? 0 : 128) - (result.type == .tensorQuant8AsymmSigned ? 128 : 0)
    return result
  }

  /// Whether images of a node lie in NCHW.
  private mutating func layout(_ node: Node) -> Int { bool(graph[node.inputs[0]].type.format != .nhwc) }

  /// Ends an operation with an activation: fused into it where it can be, else behind it.
  /// - Parameter inputs: of the operation with a fuse code.
  private mutating func fused(
    _ code: OperationCode, _ activation: Epilogue?, _ result: Operand, _ node: Node, _ inputs: (Int) -> [Int]
  ) throws -> Int {
    let fuse = FuseCode(activation)
    var result = result
    if fuse == nil, result.isQuantised { result = result.holding(activation!.inputs(for: result.range)) }
    let sum = emit(code, inputs(int((fuse ?? .none).rawValue)), result)
    return fuse == nil ? try activated(sum, activation!, node) : sum
  }

  /// Applies an activation by operations of its own.
  private mutating func activated(_ x: Int, _ function: Epilogue, _ node: Node) throws -> Int {
    switch function {
    case .clamp(let clamp):
      switch FuseCode(function) {
      case .some(.none): return x
      case .relu: return emit(.relu, [x], like(x))
      case .relu1: return emit(.relu1, [x], like(x))
      case .relu6: return emit(.relu6, [x], like(x))
      case nil: break
      }
      var result = x
      if clamp.min > -.infinity { result = emit(.maximum, [result, try number(clamp.min, like: result)], like(x)) }
      if clamp.max < .infinity { result = emit(.minimum, [result, try number(clamp.max, like: result)], like(x)) }
      return result
    case .clampChannels(let clamps):
      try need(!self[x].isQuantised, "MAXIMUM by channel of quantised tensors needs a scale that nobody chose")
      let limits = [clamps.map(\.min), clamps.map(\.max)]
      let least = emit(.maximum, [x, channels(limits[0], node, like: x)], like(x))
      return emit(.minimum, [least, channels(limits[1], node, like: x)], like(x))
    case .hardSwish:
      return emit(.hardSwish, [x], self[x].isQuantised ? try computed(node, of: x) : like(x))
    case .hardSigmoid:
      var six = like(x)
      if six.isQuantised { (six.scale, six.zeroPoint) = (6 / 255, six.type == .tensorQuant8Asymm ? 0 : -128) }
      let sum = emit(.add, [x, try number(3, like: x), int(FuseCode.relu6.rawValue)], six)
      let sixth = try number(1 / 6, like: x)
      return emit(.mul, [sum, sixth, int(0)], self[x].isQuantised ? try computed(node, of: x) : like(x))
    case .sigmoid:
      return emit(.logistic, [x], self[x].isQuantised ? fraction(x, 256) : like(x))
    case .silu:
      let gate = emit(.logistic, [x], self[x].isQuantised ? fraction(x, 256) : like(x))
      return emit(.mul, [x, gate, int(0)], self[x].isQuantised ? try computed(node, of: x) : like(x))
    }
  }

  /// A number for each channel of images, or one for all where they have no axis of channels.
  private mutating func channels(_ values: [Float], _ node: Node, like x: Int) -> Int {
    channels(node, count: values.count, like: x) { _ in values }
  }

  private mutating func channels(
    _ node: Node, count: Int, like x: Int, _ make: @escaping @Sendable (Graph) throws -> [Float]
  ) -> Int {
    let rank = self[x].dimensions.count
    var dimensions = [Int](repeating: 1, count: rank)
    dimensions[rank == 1 ? 0 : Self.dimension(1, of: graph[node.inputs[0]].type)] = count
    let isNarrow = self[x].type == .tensorFloat16
    return constant(
      Operand(isNarrow ? .tensorFloat16 : .tensorFloat32, dimensions),
      .made { graph in
        try make(graph).flatMap {
          isNarrow ? Float16($0).bitPattern.littleEndianBytes : $0.bitPattern.littleEndianBytes
        }
      })
  }

  // MARK: Convolutions

  /// The bias of a layer, which is not left out: zeros where it has none, and of integers in the scale of their products.
  private mutating func bias(_ id: ValueID?, outputs: Int, of x: Int, _ weight: Int) throws -> Int {
    guard self[x].isQuantised else {
      if let id { return try self.weight(id, as: self[x].type) }
      return constant(
        Operand(self[x].type, [outputs]),
        .bytes([UInt8](repeating: 0, count: outputs * (self[x].type == .tensorFloat16 ? 2 : 4))))
    }
    let scales = self[weight].channelScales
    let sums = (scales.isEmpty ? [self[weight].scale] : scales).map { $0 * self[x].scale }
    var result = Operand(.tensorInt32, [outputs], scale: scales.isEmpty ? sums[0] : 0)
    result.zeroPoint = 0
    guard let id else { return constant(result, .bytes([UInt8](repeating: 0, count: outputs * 4))) }
    try need(graph.isWeight(id), "its bias is computed")
    return constant(
      result,
      .made { graph in
        let values = try graph.plain(id).doubles
        return values.enumerated().flatMap { index, value in
          let integer = (value / Double(sums[sums.count == 1 ? 0 : index])).rounded()
          return Int32(exactly: min(max(integer, -2_147_483_648), 2_147_483_647))!.littleEndianBytes
        }
      })
  }

  /// The weights of a convolution: of integers with a scale for each channel, whatever those of its images are.
  private mutating func filter(_ id: ValueID, order: [Int], of x: Int) throws -> Int {
    guard self[x].isQuantised else { return try weight(id, order: order, as: self[x].type) }
    let type = self.type(of: id)
    guard let quantization = type.quantization else {
      throw NotInNNAPI("its weight is \(type.dtype.rawValue), and its input is not")
    }
    let filter = try weight(id, order: order)
    if OperandType(type) == self[x].type || self[filter].type == .tensorQuant8SymmPerChannel { return filter }
    try need(
      type.dtype == .int8 && quantization.zeroPoints.allSatisfy { $0 == 0 } && graph.isWeight(id),
      "weights of \(type.dtype.rawValue) do not go with \(self[x].type)")
    var signed = self[filter]
    (signed.type, signed.scale, signed.zeroPoint) = (.tensorQuant8SymmPerChannel, 0, 0)
    signed.channelDimension = order.firstIndex(of: 0)!
    signed.channelScales = [Float](repeating: quantization.scales[0], count: type.shape[0])
    return add(signed)
  }

  private mutating func convolution(
    _ node: Node, _ op: Conv2D, _ x: Int, _ weight: ValueID, _ bias: ValueID?, _ residual: ValueID?,
    _ between: TensorType? = nil
  ) throws -> Int {
    let shape = graph[weight].type.shape
    let isNHWC = graph[node.inputs[0]].type.format == .nhwc
    let channels = self[x].dimensions[isNHWC ? 3 : 1]
    let code: OperationCode =
      op.groups == channels && op.groups > 1 && shape[0] == op.groups && shape[1] == 1
      ? .depthwiseConv2d : op.groups > 1 ? .groupedConv2d : .conv2d
    try need(code != .groupedConv2d || op.dilation == 1, "GROUPED_CONV_2D has no dilation")
    let filter = try filter(weight, order: code == .depthwiseConv2d ? [1, 2, 3, 0] : [0, 2, 3, 1], of: x)
    let bias = try self.bias(bias, outputs: shape[0], of: x, filter)
    let window = [
      op.padding.left, op.padding.right, op.padding.top, op.padding.bottom, op.stride.w, op.stride.h,
    ].map { int($0) }
    let result: Operand
    if let between {
      try need(!self[x].isQuantised, "it rounds to integers between its convolutions, in scales that nobody chose")
      result = like(x, Self.dimensions(between.shape, isNHWC: isNHWC))
    } else {
      result = try computed(node, of: x)
    }
    let count = code == .conv2d ? [] : [int(code == .groupedConv2d ? op.groups : 1)]
    let isNCHW = bool(!isNHWC)
    let dilation = code == .groupedConv2d ? [] : [int(op.dilation.w), int(op.dilation.h)]
    let inputs = { [x, filter, bias] + window + count + [$0, isNCHW] + dilation }
    guard let residual else { return try fused(code, op.epilogue, result, node, inputs) }
    let other = try self.residual(residual, like: result, node)
    let sum = emit(code, inputs(int(0)), result.isQuantised ? result.before(adding: self[other]) : result)
    return try fused(.add, op.epilogue, result, node) { [sum, other, $0] }
  }

  private mutating func residual(_ id: ValueID, like sum: Operand, _ node: Node) throws -> Int {
    let given = try operand(id, beside: graph[node.outputs[0]].type)
    return self[given].type == sum.type ? given : try converted(given, to: sum)
  }

  private mutating func block(_ node: Node, _ block: DepthwiseBlock) throws -> Int {
    let types: [TensorType]
    do { types = try block.types(for: graph.inputTypes(of: node)) } catch { throw NotInNNAPI("\(error)") }
    let last = block.convolutions.count - 1
    var x = try input(node)
    for (index, op) in block.convolutions.enumerated() {
      x = try convolution(
        node, op, x, node.inputs[1 + 2 * index], node.inputs[2 + 2 * index],
        index == last ? node.inputs[safe: 1 + 2 * block.convolutions.count] : nil, index == last ? nil : types[index])
    }
    return x
  }

  private mutating func transposedConvolution(_ node: Node, _ op: ConvTranspose2D) throws -> Int {
    try need(op.dilation == 1, "TRANSPOSE_CONV_2D has no dilation")
    try need(op.groups == 1, "TRANSPOSE_CONV_2D has no groups")
    try need(op.outputPadding == 0, "TRANSPOSE_CONV_2D has no output padding")
    let x = try input(node)
    let weight = node.inputs[1]
    let filter: Int
    if self[x].isQuantised, let quantization = graph[weight].type.quantization {
      try need(
        OperandType(graph[weight].type) == self[x].type || quantization.axis == 1,
        "its weights of \(graph[weight].type.dtype.rawValue) do not go with \(self[x].type)")
      filter = try self.weight(weight, order: [1, 2, 3, 0])
    } else {
      filter = try self.filter(weight, order: [1, 2, 3, 0], of: x)
    }
    let bias = try self.bias(node.inputs[safe: 2], outputs: graph[weight].type.shape[1], of: x, filter)
    let window = [
      op.padding.left, op.padding.right, op.padding.top, op.padding.bottom, op.stride.w, op.stride.h,
    ].map { int($0) }
    let isNCHW = layout(node)
    return try fused(.transposeConv2d, op.epilogue, computed(node, of: x), node) {
      [x, filter, bias] + window + [$0, isNCHW]
    }
  }

  private mutating func linear(_ node: Node, _ op: Linear) throws -> Int {
    let x = try input(node)
    let (weight, own) = (node.inputs[1], try own(node))
    let type = graph[weight].type
    let (outputs, depth) = (type.shape[0], type.shape[1])
    let rows = self[x].dimensions.reduce(1, *) / max(depth, 1)
    try need(depth > 0, "FULLY_CONNECTED needs inputs")
    let sum: Int
    if self[x].isQuantised, OperandType(type) != self[x].type {
      // Its weights have the one scale of their type; those of CONV_2D may have one for each output.
      let pixels = reshape(x, [rows, 1, 1, depth])
      try need(graph.isWeight(weight), "its weight is computed")
      let image = try pointwise(weight, of: x)
      let bias = try bias(node.inputs[safe: 2], outputs: outputs, of: x, image)
      let window = [0, 0, 0, 0, 1, 1].map { int($0) }
      let isNCHW = bool(false)
      sum = try fused(.conv2d, op.epilogue, computed(node, of: x, [rows, 1, 1, outputs]), node) {
        [pixels, image, bias] + window + [$0, isNCHW]
      }
    } else {
      let matrix = try self.weight(weight, as: self[x].isQuantised ? nil : self[x].type)
      let bias = try bias(node.inputs[safe: 2], outputs: outputs, of: x, matrix)
      sum = try fused(.fullyConnected, op.epilogue, computed(node, of: x, [rows, outputs]), node) {
        [x, matrix, bias, $0]
      }
    }
    return self[sum].dimensions == own.dimensions ? sum : reshape(sum, own.dimensions)
  }

  /// A matrix as the weights of a convolution of one pixel.
  private mutating func pointwise(_ id: ValueID, of x: Int) throws -> Int {
    let type = graph[id].type
    guard let quantization = type.quantization, type.dtype == .int8, quantization.zeroPoints.allSatisfy({ $0 == 0 }),
      quantization.axis ?? 0 == 0
    else { throw NotInNNAPI("weights of \(type.dtype.rawValue) do not go with \(self[x].type)") }
    var filter = Operand(.tensorQuant8SymmPerChannel, [type.shape[0], 1, 1, type.shape[1]])
    filter.channelScales =
      quantization.axis == nil ? [Float](repeating: quantization.scales[0], count: type.shape[0]) : quantization.scales
    return constant(filter, .made { try $0.plain(id).bytes() })
  }

  // MARK: Images

  private mutating func pool(_ node: Node, _ code: OperationCode, _ window: Window, of given: Int? = nil) throws -> Int
  {
    let x = try given ?? input(node)
    let numbers = [
      window.padding.left, window.padding.right, window.padding.top, window.padding.bottom, window.stride.w,
      window.stride.h, window.kernel.w, window.kernel.h, 0,
    ].map { int($0) }
    return emit(code, [x] + numbers + [layout(node)], like(x, try own(node).dimensions))
  }

  /// Zeros around images.
  private mutating func padded(_ x: Int, _ padding: Padding, _ node: Node) throws -> Int {
    let isNHWC = graph[node.inputs[0]].type.format == .nhwc
    let (rows, columns) = ([padding.top, padding.bottom], [padding.left, padding.right])
    let all = isNHWC ? [[0, 0], rows, columns, [0, 0]] : [[0, 0], [0, 0], rows, columns]
    let dimensions = zip(self[x].dimensions, all).map { $0 + $1[0] + $1[1] }
    return emit(.pad, [x, ints(all.flatMap { $0 }, [all.count, 2])], like(x, dimensions))
  }

  private mutating func pad(_ node: Node, _ op: Pad) throws -> Int {
    try need(op.mode == .constant, "NNAPI pads with a constant, not in mode \(op.mode.rawValue)")
    try need((op.before + op.after).allSatisfy { $0 >= 0 }, "NNAPI's PAD cuts nothing off")
    let x = try input(node)
    let type = graph[node.inputs[0]].type
    let order = type.format == .nhwc ? Self.toNHWC : Array(0..<type.shape.rank)
    try need(!order.isEmpty, "NNAPI pads tensors of one axis at least")
    let amounts = ints(order.flatMap { [op.before[$0], op.after[$0]] }, [order.count, 2])
    guard let value = node.inputs[safe: 1] else { return emit(.pad, [x, amounts], try own(node)) }
    try need(graph.isWeight(value), "PAD_V2 pads with what is known before a run")
    let kinds: [OperandType: OperandType] = [
      .tensorFloat32: .float32, .tensorFloat16: .float16, .tensorInt32: .int32, .tensorQuant8Asymm: .int32,
      .tensorQuant8AsymmSigned: .int32,
    ]
    guard let kind = kinds[self[x].type] else { throw NotInNNAPI("PAD_V2 has no \(self[x].type)") }
    let filler = constant(
      Operand(kind),
      .made { graph in
        let tensor = try graph.plain(value)
        return kind == .int32
          ? Int32(truncatingIfNeeded: try tensor.allIntegers()[0]).littleEndianBytes : try tensor.bytes()
      })
    return emit(.padV2, [x, amounts, filler], try own(node))
  }

  private mutating func slice(_ node: Node, _ op: Slice) throws -> Int {
    let x = try input(node)
    let type = graph[node.inputs[0]].type
    let result = try own(node)
    var (begins, steps) = (
      [Int](repeating: 0, count: self[x].dimensions.count), [Int](repeating: 1, count: self[x].dimensions.count)
    )
    for cut in op.cuts {
      let place = Self.dimension(cut.axis, of: type)
      (begins[place], steps[place]) = (cut.firstPlace(of: type.shape[cut.axis]), cut.step)
    }
    try need(result.dimensions.allSatisfy { $0 > 0 }, "NNAPI has no tensors without elements")
    guard steps.contains(where: { $0 != 1 }) else {
      return emit(.slice, [x, ints(begins), ints(result.dimensions)], result)
    }
    let ends = begins.indices.map { begins[$0] + result.dimensions[$0] * steps[$0] }
    // What goes on to before the first element has no place to end at.
    let mask = ends.indices.reduce(0) { ends[$1] < 0 ? $0 | 1 << $1 : $0 }
    return emit(
      .stridedSlice, [x, ints(begins), ints(ends.map { max($0, 0) }), ints(steps), int(0), int(mask), int(0)], result)
  }

  private mutating func concatenation(_ node: Node, _ op: Concat) throws -> Int {
    let type = graph[node.outputs[0]].type
    let parts = try node.inputs.map { try operand($0, beside: type) }
    return emit(.concatenation, parts + [int(Self.dimension(op.axis, of: type))], try own(node))
  }

  private mutating func resize(_ node: Node, _ op: Resize) throws -> Int {
    let shape = graph[node.inputs[0]].type.shape
    try need(
      shape.rank == 4 && op.axes.allSatisfy { $0.axis >= 2 } && !op.antialiases && !op.excludesOutside,
      "NNAPI resizes height and width of images, plainly")
    let code: OperationCode
    switch op.mode {
    case .linear:
      try need(
        [.halfPixel, .alignCorners, .asymmetric].contains(op.coordinates),
        "RESIZE_BILINEAR has no coordinates \(op.coordinates.rawValue)")
      code = .resizeBilinear
    case .nearest(let rounding):
      try need(
        op.coordinates == .asymmetric && rounding == .floor,
        "RESIZE_NEAREST_NEIGHBOR rounds down, not \(rounding.rawValue) of \(op.coordinates.rawValue)")
      code = .resizeNearestNeighbor
    case .cubic: throw NotInNNAPI("NNAPI has no cubic interpolation")
    }
    try need(
      op.coordinates == .alignCorners
        || op.axes.allSatisfy { abs($0.scale * Float(shape[$0.axis]) / Float($0.extent) - 1) < 1e-5 },
      "\(code) goes by the extents, not by a scale of its own")
    let x = try input(node)
    let size = graph[node.outputs[0]].type.shape
    return emit(
      code,
      [
        x, int(size[3]), int(size[2]), layout(node), bool(op.coordinates == .alignCorners),
        bool(op.coordinates == .halfPixel),
      ], like(x, try own(node).dimensions))
  }

  // MARK: Norms

  private mutating func batchNorm(_ node: Node, _ op: BatchNorm) throws -> Int {
    let x = try input(node)
    try need(!self[x].isQuantised, "MUL of a batch norm needs a scale that nobody chose")
    let parameters = Array(node.inputs[1...])
    try need(parameters.allSatisfy(graph.isWeight), "its statistics are computed")
    @Sendable func scales(_ graph: Graph) throws -> [Float] {
      let (weights, variances) = (try graph.plain(parameters[0]).values, try graph.plain(parameters[3]).values)
      return zip(weights, variances).map { $0 / ($1 + op.epsilon).squareRoot() }
    }
    let scale = channels(node, count: graph[parameters[0]].type.shape.count, like: x) { try scales($0) }
    let shift = channels(node, count: graph[parameters[0]].type.shape.count, like: x) { graph in
      let (biases, means) = (try graph.plain(parameters[1]).values, try graph.plain(parameters[2]).values)
      return zip(try scales(graph), zip(biases, means)).map { scale, pair in pair.0 - pair.1 * scale }
    }
    let product = emit(.mul, [x, scale, int(0)], like(x))
    return emit(.add, [product, shift, int(0)], like(x))
  }

  private mutating func instanceNorm(_ node: Node, _ op: InstanceNorm) throws -> Int {
    let x = try input(node)
    try need(self[x].dimensions.count == 4, "INSTANCE_NORMALIZATION takes images of two axes")
    let parameters = Array(node.inputs[1...])
    try need(parameters.allSatisfy(graph.isWeight), "its weights are computed")
    let norm = emit(
      .instanceNormalization,
      [x, scalar(1, like: x), scalar(0, like: x), scalar(op.epsilon, like: x), layout(node)], like(x))
    let scale = channels(node, count: graph[parameters[0]].type.shape.count, like: x) { try $0.plain(parameters[0]).values }
    let shift = channels(node, count: graph[parameters[0]].type.shape.count, like: x) { try $0.plain(parameters[1]).values }
    let product = emit(.mul, [norm, scale, int(0)], like(x))
    return emit(.add, [product, shift, int(0)], like(x))
  }

  // MARK: Elements

  private mutating func binary(_ node: Node, _ op: Binary) throws -> Int {
    let isBool = graph[node.inputs[0]].type.dtype == .bool
    let code: OperationCode? =
      switch op.function {
      case .add: .add
      case .subtract: .sub
      case .multiply: .mul
      case .divide: .div
      case .minimum: .minimum
      case .maximum: .maximum
      case .power: .pow
      case .prelu: .prelu
      case .equal: .equal
      case .less: .less
      case .lessOrEqual: .lessEqual
      case .greater: .greater
      case .greaterOrEqual: .greaterEqual
      case .and: isBool ? .logicalAnd : nil
      case .or: isBool ? .logicalOr : nil
      case .modulo, .remainder, .xor, .shiftLeft, .shiftRight: nil
      }
    guard let code else { throw NotInNNAPI("NNAPI has no operation for \(op.name)") }
    let type = graph[node.outputs[0]].type
    var pair = try node.inputs.map { try operand($0, beside: type) }
    if self[pair[0]].type != self[pair[1]].type || self[pair[0]].type == .tensorFloat16 && type.dtype == .float32 {
      pair = try pair.map { try float32($0) }
    }
    let (a, b) = (self[pair[0]], self[pair[1]])
    try need(a.type == b.type, "\(code) of \(a.type) and \(b.type) has no form")
    let own = try own(node)
    if op.function.compares { return emit(code, pair, own) }
    let result = a.isQuantised ? own : like(pair[0], own.dimensions)
    guard [.add, .sub, .mul, .div].contains(code) else { return emit(code, pair, result) }
    return try fused(code, op.epilogue, result, node) { pair + [$0] }
  }

  private mutating func unary(_ node: Node, _ function: Unary.Function) throws -> Int {
    let x = try input(node)
    func plain(_ code: OperationCode) -> Int { emit(code, [x], like(x)) }
    switch function {
    case .absolute: return plain(.abs)
    case .negate: return plain(.neg)
    case .floor: return plain(.floor)
    case .squareRoot: return plain(.sqrt)
    case .exp: return plain(.exp)
    case .log: return plain(.log)
    case .sin: return plain(.sin)
    case .not where graph[node.inputs[0]].type.dtype == .bool: return plain(.logicalNot)
    case .reciprocal: return emit(.div, [try number(1, like: x), x, int(0)], like(x))
    case .tanh: return emit(.tanh, [x], self[x].isQuantised ? fraction(x, 128) : like(x))
    case .leakyReLU(let alpha):
      return emit(.prelu, [x, try number(alpha, like: x)], self[x].isQuantised ? try computed(node, of: x) : like(x))
    case .elu(let alpha): return emit(.elu, [x, scalar(alpha, like: x)], like(x))
    case .hardSigmoid(let alpha, let beta):
      try need(!self[x].isQuantised, "MUL of quantised tensors rounds to integers, in a scale that nobody chose")
      let product = emit(.mul, [x, try number(alpha, like: x), int(0)], like(x))
      let sum = emit(.add, [product, try number(beta, like: x), int(0)], like(x))
      return try activated(sum, .clamp(Clamp(min: 0, max: 1)), node)
    case .swish(alpha: 1): return try activated(x, .silu, node)
    default: throw NotInNNAPI("NNAPI has no operation for \(node.op.name)")
    }
  }

  private mutating func requantisation(_ node: Node) throws -> Int {
    let (x, wanted) = (try operand(node.inputs[0]), try own(node))
    if self[x].isLike(wanted) { return reshape(x, wanted.dimensions) }
    return try converted(x, to: wanted)
  }

  private mutating func reduction(_ node: Node, _ op: Reduce) throws -> Int {
    let code: OperationCode
    switch op.function {
    case .sum: code = .reduceSum
    case .mean: code = .mean
    case .maximum: code = .reduceMax
    case .minimum: code = .reduceMin
    case .product: code = .reduceProd
    default: throw NotInNNAPI("NNAPI has no operation for \(node.op.name)")
    }
    try need(!op.axes.isEmpty, "\(code) goes by one axis at least")
    let x = try input(node)
    let type = graph[node.inputs[0]].type
    let axes = ints(op.axes.map { Self.dimension($0, of: type) })
    let keeps = code == .mean ? int(op.keepsAxes ? 1 : 0) : bool(op.keepsAxes)
    return emit(code, [x, axes, keeps], like(x, try own(node).dimensions))
  }

  // MARK: Sequences

  private mutating func recurrent(_ node: Node, _ op: Recurrent) throws -> Int? {
    try need(op.usesDefaultActivations, "NNAPI's recurrent layers have their own activations, not other ones")
    try need(!op.given.contains(.lengths), "NNAPI's sequences have one length")
    try need(op.direction != .reverse, "NNAPI has no layers that run backwards alone")
    let isLSTM: Bool
    switch op.kind {
    case .lstm(couplesGates: false):
      try need(op.clip == nil, "NNAPI clips the cell state, not the sums before activations")
      isLSTM = true
    case .lstm: throw NotInNNAPI("NNAPI's LSTM has coupled gates without weights of the input gate only")
    case .rnn:
      try need(op.clip == nil, "NNAPI's RNN does not clip")
      isLSTM = false
    case .gru: throw NotInNNAPI("NNAPI has no GRU; FULLY_CONNECTED, MUL, ADD, LOGISTIC and TANH make its steps")
    }
    let x = try plain(node)
    let layer = RecurrentOperands(op, node, graph)
    try need(self[x].type == .tensorFloat32, "NNAPI's recurrent layers compute \(self[x].type) with weights alike")
    try need(
      node.op.parameterInputs.allSatisfy { graph.isWeight(node.inputs[$0]) }
        && (op.position(of: .peepholes).map { graph.isWeight(node.inputs[$0]) } ?? true), "its weights are computed")
    let code: OperationCode
    var inputs = [x]
    switch (isLSTM, op.direction) {
    case (true, .bidirectional):
      code = .bidirectionalSequenceLstm
      for direction in 0..<2 { inputs += lstm(layer, direction) }
      for direction in 0..<2 {
        inputs += [try layer.state(.hidden, direction, &self), try layer.state(.cell, direction, &self)]
      }
      // No second input, whose weights are left out for either direction.
      inputs += [omitted(.tensorFloat32, self[x].dimensions)] + (0..<8).map { _ in omitted(.tensorFloat32, [0]) }
      inputs += [int(4), float(0), float(0), bool(false), bool(true)]
      inputs += (0..<8).map { _ in omitted(.tensorFloat32, [0]) }
    case (true, _):
      code = .unidirectionalSequenceLstm
      inputs += lstm(layer, 0)
      inputs += [try layer.state(.hidden, 0, &self), try layer.state(.cell, 0, &self)]
      inputs += [int(4), float(0), float(0), bool(true)]
      // Nor norms of layers.
      inputs += (0..<4).map { _ in omitted(.tensorFloat32, [0]) }
    case (false, .bidirectional):
      code = .bidirectionalSequenceRnn
      for direction in 0..<2 {
        inputs += [
          layer.matrix(1, 0, direction, &self), layer.matrix(2, 0, direction, &self), layer.bias(0, direction, &self),
        ]
        inputs.append(try layer.state(.hidden, direction, &self))
      }
      inputs += [
        omitted(.tensorFloat32, self[x].dimensions), omitted(.tensorFloat32, [0]), omitted(.tensorFloat32, [0]),
      ]
      inputs += [int(4), bool(true), bool(false)]
    case (false, _):
      code = .unidirectionalSequenceRnn
      inputs += [layer.matrix(1, 0, 0, &self), layer.matrix(2, 0, 0, &self), layer.bias(0, 0, &self)]
      inputs += [try layer.state(.hidden, 0, &self), int(4), int(1)]
    }
    let (steps, batch, hidden) = (self[x].dimensions[0], self[x].dimensions[1], layer.hidden)
    let sequence = Operand(.tensorFloat32, [steps, batch, hidden])
    let state = Operand(.tensorFloat32, [batch, hidden])
    let directions = op.direction.count
    let states = [Operand](repeating: state, count: directions * (isLSTM ? 2 : 1))
    let results = emit(code, inputs, [Operand](repeating: sequence, count: directions) + states)
    // One behind the other along the axis of directions.
    var whole = results[..<directions].map { reshape($0, [steps, 1, batch, hidden]) }
    if directions == 2 {
      whole = [emit(.concatenation, whole + [int(1)], Operand(.tensorFloat32, [steps, 2, batch, hidden]))]
    }
    set(whole[0], of: node.outputs[0])
    for (index, id) in node.outputs.dropFirst().enumerated() {
      let own = (0..<directions).map { direction in
        reshape(results[directions + direction * (isLSTM ? 2 : 1) + index], [1, batch, hidden])
      }
      set(
        directions == 1 ? own[0] : emit(.concatenation, own + [int(0)], Operand(.tensorFloat32, [2, batch, hidden])),
        of: id)
    }
    return nil
  }

  /// Weights and biases of one direction, in the order of NNAPI's operands.
  private mutating func lstm(_ layer: RecurrentOperands, _ direction: Int) -> [Int] {
    // NNAPI has the gates as input, forget, cell, output, ONNX as input, output, forget, cell.
    let gates = [0, 2, 3, 1]
    var operands = gates.map { layer.matrix(1, $0, direction, &self) }
    operands += gates.map { layer.matrix(2, $0, direction, &self) }
    operands += layer.peepholes(direction, &self)
    operands += gates.map { layer.bias($0, direction, &self) }
    // No projection.
    return operands + [omitted(.tensorFloat32, [0]), omitted(.tensorFloat32, [0])]
  }
}

/// What a recurrent layer has, cut up as NNAPI wants it.
private struct RecurrentOperands {
  private let op: Recurrent
  private let node: Node
  private let batch: Int
  let hidden: Int

  init(_ op: Recurrent, _ node: Node, _ graph: Graph) {
    (self.op, self.node) = (op, node)
    (batch, hidden) = (graph[node.inputs[0]].type.shape[1], graph[node.inputs[2]].type.shape[2])
  }

  /// Rows of a gate of the input's weights (1) or the state's (2).
  func matrix(_ input: Int, _ gate: Int, _ direction: Int, _ writer: inout NNAPIModelWriter) -> Int {
    let (id, rows) = (node.inputs[input], op.kind.gates * hidden)
    let columns = writer.graph[id].type.shape[2]
    let start = (direction * rows + gate * hidden) * columns
    return writer.constant(
      NNAPIModel.Operand(.tensorFloat32, [hidden, columns]),
      .made { [hidden] in
        try $0.plain(id).values[start..<start + hidden * columns].flatMap(\.bitPattern.littleEndianBytes)
      })
  }

  /// Both biases of a gate together.
  func bias(_ gate: Int, _ direction: Int, _ writer: inout NNAPIModelWriter) -> Int {
    let operand = NNAPIModel.Operand(.tensorFloat32, [hidden])
    guard let position = op.position(of: .bias) else {
      return writer.constant(operand, .bytes([UInt8](repeating: 0, count: hidden * 4)))
    }
    let (id, rows) = (node.inputs[position], op.kind.gates * hidden)
    let start = direction * 2 * rows + gate * hidden
    return writer.constant(
      operand,
      .made { [hidden] graph in
        let values = try graph.plain(id).values
        return (start..<start + hidden).flatMap { (values[$0] + values[$0 + rows]).bitPattern.littleEndianBytes }
      })
  }

  /// Of the gates input, forget and output: ONNX has them as input, output, forget.
  func peepholes(_ direction: Int, _ writer: inout NNAPIModelWriter) -> [Int] {
    guard let position = op.position(of: .peepholes) else {
      return (0..<3).map { _ in writer.omitted(.tensorFloat32, [0]) }
    }
    let id = node.inputs[position]
    return [0, 2, 1].map { gate in
      let start = (direction * 3 + gate) * hidden
      return writer.constant(
        NNAPIModel.Operand(.tensorFloat32, [hidden]),
        .made { [hidden] in try $0.plain(id).values[start..<start + hidden].flatMap(\.bitPattern.littleEndianBytes) })
    }
  }

  /// What a state begins with: zeros where it is not given.
  func state(_ kind: Recurrent.Given, _ direction: Int, _ writer: inout NNAPIModelWriter) throws -> Int {
    let operand = NNAPIModel.Operand(.tensorFloat32, [batch, hidden])
    guard let position = op.position(of: kind) else {
      return writer.constant(operand, .bytes([UInt8](repeating: 0, count: batch * hidden * 4)))
    }
    let given = try writer.operand(node.inputs[position])
    let part =
      op.direction.count == 1
      ? given
      : writer.emit(
        .slice, [given, writer.ints([direction, 0, 0]), writer.ints([1, batch, hidden])],
        NNAPIModel.Operand(.tensorFloat32, [1, batch, hidden]))
    return writer.reshape(part, [batch, hidden])
  }
}
