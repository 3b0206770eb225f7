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
      let before = wanted.before(adding: given, (reader.op as? Binary)?.epilogue)
      rounded.quantization = Quantization(scale: before.scale, zeroPoint: before.zeroPoint)
    }
    return rounded
  }
}

/// How an operation ends: see `FuseCode` of `NeuralNetworks.h`.
enum FuseCode: Int {
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

  /// Those that have a form for integers that stand for themselves, and for bools.
  private static let integers: Set<OperationCode> = [
    .abs, .add, .cast, .div, .equal, .gather, .greater, .greaterEqual, .less, .lessEqual, .maximum, .minimum, .mul,
    .neg,
    .notEqual, .slice, .sub, .tile,
  ]
  private static let bools: Set<OperationCode> = [.equal, .logicalAnd, .logicalNot, .logicalOr, .notEqual, .select]

  /// Adds the operations that do what a node does.
  /// - Throws: ``NotInNNAPI``.
  mutating func write(_ node: Node) throws {
    try need(!node.inputs.isEmpty, "NNAPI has no operations without operands")
    let begin = model.operations.count
    let result = try result(of: node)
    for operation in model.operations[begin...] { try check(operation, of: node) }
    guard let result else { return }
    let id = node.outputs[0]
    let wanted = try Self.operand(type(of: id))
    if self[result].isQuantised, !wanted.isQuantised, !(node.op is Requantize) {
      throw NotInNNAPI("\(model.operations[begin].code) " + Self.answers(in: type(of: id).dtype))
    }
    set(try converted(result, to: wanted), of: id)
  }

  /// - Throws: ``NotInNNAPI`` where an operation has no form for its operands.
  private func check(_ operation: NNAPIModel.Operation, of node: Node) throws {
    let (code, first) = (operation.code, self[operation.inputs[0]])
    let results = operation.outputs.map { self[$0].type }
    try need(
      !first.isQuantised || !Self.floatsOnly.contains(code), "\(code) computes on floats, not on quantised tensors")
    for type in [first.type] + results {
      let isTaken =
        switch type {
        case .tensorInt32: type != first.type || Self.integers.contains(code)
        case .tensorBool8: type != first.type || Self.bools.contains(code)
        case .tensorQuant16Asymm, .tensorQuant16Symm: false
        default: true
        }
      try need(isTaken, "\(code) has no form for \(type)")
    }
    try need(code != .div || first.type != .tensorInt32, "DIV of integers rounds down, not towards zero")
    guard first.isQuantised, code != .dequantize else { return }
    try need(
      !results.contains(.tensorFloat32) && !results.contains(.tensorFloat16),
      "\(code) " + Self.answers(in: type(of: node.outputs[0]).dtype))
    let scale = self[operation.outputs[0]].scale
    try need(
      code != .mul || scale > first.scale * self[operation.inputs[1]].scale,
      "MUL of quantised tensors needs a result with a scale over the product of theirs")
  }

  private static func answers(in dtype: DType) -> String {
    "of quantised tensors answers in quantised ones, not in \(dtype.rawValue)"
  }

  /// The operand of a node's only result, in some type that can be converted to the one it has; nil where it has set all of its results.
  mutating func result(of node: Node) throws -> Int? {
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
    case is ArgExtreme, is TopK: throw NotInNNAPI("NNAPI has no tensors of int64, which places are here")
    case is Cast: return emit(.cast, [try input(node)], try own(node))
    case let op as Concat: return try concatenation(node, op)
    case let op as ConvertFormat:
      try need(op.format == .nchw || op.format == .nhwc, "NNAPI has no tensors in \(op.format)")
      let order =
        op.format == graph[node.inputs[0]].type.format ? [0, 1, 2, 3] : op.format == .nhwc ? Self.toNHWC : Self.toNCHW
      return emit(.transpose, [try input(node), ints(order)], try own(node))
    case let op as Transpose:
      try need(!op.order.isEmpty, "TRANSPOSE has one axis at least")
      return emit(.transpose, [try plain(node), ints(op.order)], try own(node))
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
    case let op as Tile:
      try need(!op.repeats.isEmpty, "TILE has one axis at least")
      return emit(.tile, [try plain(node), ints(op.repeats)], try own(node))
    case let op as Gather: return try gather(node, op)
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
  mutating func input(_ node: Node) throws -> Int {
    let given = try operand(node.inputs[0])
    let isNarrow =
      graph[node.outputs[0]].type.dtype == .float16 && reads(node).allSatisfy { self.graph[$0].type.dtype == .float16 }
    return isNarrow || movesOnly(node) ? given : try float32(given)
  }

  /// What it reads but parameters.
  func reads(_ node: Node) -> [ValueID] {
    node.inputs.enumerated().filter { !node.op.parameterInputs.contains($0.offset) }.map(\.element)
  }

  func movesOnly(_ node: Node) -> Bool {
    node.op.elementTypes.isAny || node.op is MaxPool2D
  }

  /// The first input of an operation that knows no formats.
  mutating func plain(_ node: Node) throws -> Int {
    let type = graph[node.inputs[0]].type
    try need(type.format == .nchw, "\(node.op.name) of a tensor in \(type.format) goes by other axes")
    return try operand(node.inputs[0])
  }

  func own(_ node: Node) throws -> Operand { try Self.operand(type(of: node.outputs[0])) }

  /// As an operand, without what it holds, and with other dimensions.
  func like(_ operand: Int, _ dimensions: [Int]? = nil) -> Operand {
    var result = self[operand]
    (result.value, result.dimensions) = (nil, dimensions ?? result.dimensions)
    return result
  }

  /// What an operation computes of some input: in the width of that, or in the integers that the node's result is to have.
  func computed(_ node: Node, of x: Int, _ dimensions: [Int]? = nil) throws -> Operand {
    let own = try own(node)
    var result = self[x].isQuantised ? own : like(x)
    result.dimensions = dimensions ?? own.dimensions
    return result
  }

  /// What an operation behind another one makes of its result, element by element.
  func finished(_ node: Node, _ x: Int) throws -> Operand { try computed(node, of: x, self[x].dimensions) }

  /// A fraction as quantised results of LOGISTIC, SOFTMAX and TANH are.
  func fraction(_ x: Int, _ parts: Float) -> Operand {
    var result = like(x)
    result.scale = 1 / parts
    result.zeroPoint = (parts == 256 ? 0 : 128) - (result.type == .tensorQuant8AsymmSigned ? 128 : 0)
    return result
  }

  /// Whether images of a node lie in NCHW.
  mutating func layout(_ node: Node) -> Int { bool(graph[node.inputs[0]].type.format != .nhwc) }

  /// Ends an operation with an activation: fused into it where it can be, else behind it.
  /// - Parameter inputs: of the operation with a fuse code.
  mutating func fused(
    _ code: OperationCode, _ activation: Epilogue?, _ result: Operand, _ node: Node, _ inputs: (Int) -> [Int]
  ) throws -> Int {
    let fuse = FuseCode(activation)
    var result = result
    if fuse == nil, result.isQuantised { result = result.holding(activation!.inputs(for: result.range)) }
    let sum = emit(code, inputs(int((fuse ?? .none).rawValue)), result)
    return fuse == nil ? try activated(sum, activation!, node) : sum
  }

  /// Applies an activation by operations of its own.
  mutating func activated(_ x: Int, _ function: Epilogue, _ node: Node) throws -> Int {
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
      return emit(.hardSwish, [x], try finished(node, x))
    case .hardSigmoid:
      var six = like(x)
      if six.isQuantised { (six.scale, six.zeroPoint) = (6 / 255, six.type == .tensorQuant8Asymm ? 0 : -128) }
      let sum = emit(.add, [x, try number(3, like: x), int(FuseCode.relu6.rawValue)], six)
      let sixth = try number(1 / 6, like: x)
      return emit(.mul, [sum, sixth, int(0)], try finished(node, x))
    case .sigmoid:
      return emit(.logistic, [x], self[x].isQuantised ? fraction(x, 256) : like(x))
    case .silu:
      let gate = emit(.logistic, [x], self[x].isQuantised ? fraction(x, 256) : like(x))
      return emit(.mul, [x, gate, int(0)], try finished(node, x))
    }
  }

  /// A number for each channel of images, or one for all where they have no axis of channels.
  mutating func channels(_ values: [Float], _ node: Node, like x: Int) -> Int {
    channels(node, count: values.count, like: x) { _ in values }
  }

  mutating func channels(
    _ node: Node, count: Int, like x: Int, _ make: @escaping @Sendable (Graph) throws -> [Float]
  ) -> Int {
    let rank = self[x].dimensions.count
    var dimensions = [Int](repeating: 1, count: rank)
    dimensions[rank == 1 ? 0 : Self.dimension(1, of: graph[node.outputs[0]].type)] = count
    let isNarrow = self[x].type == .tensorFloat16
    return constant(
      Operand(isNarrow ? .tensorFloat16 : .tensorFloat32, dimensions),
      .made { graph in
        try make(graph).flatMap {
          isNarrow ? Float16($0).bitPattern.littleEndianBytes : $0.bitPattern.littleEndianBytes
        }
      })
  }
}
