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
    let (inputs, outputs) = (node.inputs.map(nnapiType), node.outputs.map(nnapiType))
    guard let first = inputs.first else { throw NotInNNAPI("NNAPI has no operations without operands") }
    let codes = try OperationMapping(node: node, inputs: inputs, outputs: outputs).codes()
    // A loop's number, which is 64 bits wide here, is 32 there; of what goes in and out, what computes it says the rest.
    if node.op is any ControlOp { return codes }
    for type in inputs + outputs {
      guard OperandType(type) != nil else { throw NotInNNAPI("NNAPI has no tensors of \(Self.named(type))") }
      if type.shape.rank > 4 { throw NotInNNAPI("NNAPI's tensors have at most 4 axes, not \(type.shape.rank)") }
      if type.isUpperBound { throw NotInNNAPI("its extents are known only when it has run") }
    }
    if first.quantization != nil, first.dtype != .int32 {
      if let code = codes.first(where: { OperationMapping.floatsOnly.contains($0) }) {
        throw NotInNNAPI("\(code) computes on floats, not on quantised tensors")
      }
      let widens: Set<OperationCode> = [.dequantize, .cast, .equal, .less, .lessEqual, .greater, .greaterEqual]
      if let output = outputs.first, output.quantization == nil, codes.last.map(widens.contains) == false {
        throw NotInNNAPI("\(codes[0]) of quantised tensors answers in quantised ones, not in \(output.dtype.rawValue)")
      }
    }
    return codes
  }

  /// The type of a value as NNAPI would have it: sums of a quantised layer that wait for a residual are numbers here, which are rounded
  /// once, and quantised there.
  func nnapiType(of id: ValueID) -> TensorType {
    let type = self[id].type
    guard type.dtype == .float32, let producer = producer(of: id), !outputs.contains(id),
      let first = nodes[producer].inputs.first, self[first].type.quantization != nil
    else { return type }
    let readers = users(of: id).map { nodes[$0] }
    guard let stored = readers.first?.stored, stored.quantization != nil,
      readers.allSatisfy({ ($0.op as? Binary)?.function == .add && $0.stored?.quantization != nil })
    else { return type }
    var rounded = type
    (rounded.dtype, rounded.quantization) = (stored.dtype, stored.quantization)
    return rounded
  }

  private static func named(_ type: TensorType) -> String {
    type.dtype.rawValue + (type.quantization?.axis != nil ? " with a scale by channel" : "")
  }
}

/// Which operations a node is.
private struct OperationMapping {
  let node: Node
  let inputs: [TensorType]
  let outputs: [TensorType]

  /// Those that NNAPI has no quantised form of.
  static let floatsOnly: Set<OperationCode> = [
    .div, .exp, .floor, .instanceNormalization, .localResponseNormalization, .log, .logSoftmax, .neg, .pow, .reduceProd,
    .reduceSum, .rsqrt, .sin, .sqrt, .unidirectionalSequenceLstm, .bidirectionalSequenceLstm,
    .unidirectionalSequenceRnn, .bidirectionalSequenceRnn,
  ]

  func codes() throws -> [OperationCode] {
    switch node.op {
    case let op as Conv2D: return try convolution(op, inputs[0].shape, inputs[1].shape, residual: inputs.count > 3)
    case let op as DepthwiseBlock: return try block(op)
    case let op as ConvTranspose2D:
      try need(op.dilation == 1, "TRANSPOSE_CONV_2D has no dilation")
      try need(op.groups == 1, "TRANSPOSE_CONV_2D has no groups")
      try need(op.outputPadding == 0, "TRANSPOSE_CONV_2D has no output padding")
      return [.transposeConv2d] + (try activation(op.epilogue, isFused: true))
    case let op as Linear: return [.fullyConnected] + (try activation(op.epilogue, isFused: true))
    case is MatMul:
      throw NotInNNAPI("API level 30 has no product of two matrices that are computed")
    case let op as Activation: return try activation(op.function, isFused: false)
    case let op as AveragePool2D:
      try need(op.window.dilation == 1, "AVERAGE_POOL_2D has no dilation")
      return (op.countsPadding && op.window.padding != 0 ? [.pad] : []) + [.averagePool2d]
    case let op as MaxPool2D:
      try need(op.window.dilation == 1, "MAX_POOL_2D has no dilation")
      return [.maxPool2d]
    case is GlobalAveragePool: return [.averagePool2d]
    case is BatchNorm: return [.mul, .add]
    case let op as Binary: return try binary(op)
    case let op as Unary: return try unary(op.function)
    case let op as ArgExtreme: return [op.function == .maximum ? .argmax : .argmin]
    case is Cast: return [.cast]
    case is Concat: return [.concatenation]
    case is ConvertFormat, is Transpose: return [.transpose]
    case is Reshape, is Dropout: return [.reshape]
    case let op as DepthToSpace:
      try need(op.block.h == op.block.w && op.isBlockMajor, "DEPTH_TO_SPACE has square blocks that lie outermost")
      return [.depthToSpace]
    case is Requantize: return try requantisation()
    case let op as Pad:
      try need(op.mode == .constant, "NNAPI pads with a constant, not in mode \(op.mode.rawValue)")
      try need((op.before + op.after).allSatisfy { $0 >= 0 }, "NNAPI's PAD cuts nothing off")
      return [inputs.count > 1 ? .padV2 : .pad]
    case let op as Slice: return [op.cuts.allSatisfy { $0.step == 1 } ? .slice : .stridedSlice]
    case let op as Softmax: return [op.isLogarithm ? .logSoftmax : .softmax]
    case is Tile: return [.tile]
    case is TopK: return [.topkV2]
    case is Gather: return [.gather]
    case is Where:
      try need(inputs.allSatisfy { $0.shape == outputs[0].shape }, "SELECT does not broadcast")
      return [.select]
    case let op as Reduce: return [try reduction(op.function)]
    case let op as Resize: return [try resize(op)]
    case let op as Recurrent: return [try recurrent(op)]
    case is InstanceNorm: return [.instanceNormalization, .mul, .add]
    case let op as LocalResponseNorm:
      try need(op.size % 2 == 1, "LOCAL_RESPONSE_NORMALIZATION has a radius, not \(op.size) channels")
      return [.localResponseNormalization]
    case is If: return [.if]
    case let op as Loop:
      try need(outputs.count == op.carried, "WHILE collects nothing of its iterations")
      return [.while]
    default: throw NotInNNAPI("NNAPI has no operation for \(node.op.name)")
    }
  }

  private func need(_ condition: Bool, _ reason: String) throws { if !condition { throw NotInNNAPI(reason) } }

  private func convolution(_ op: Conv2D, _ x: Shape, _ weight: Shape, residual: Bool) throws -> [OperationCode] {
    let code: OperationCode =
      op.isDepthwise(x, weight) ? .depthwiseConv2d : op.groups > 1 ? .groupedConv2d : .conv2d
    try need(code != .groupedConv2d || op.dilation == 1, "GROUPED_CONV_2D has no dilation")
    return [code] + (residual ? [.add] : []) + (try activation(op.epilogue, isFused: true))
  }

  private func block(_ block: DepthwiseBlock) throws -> [OperationCode] {
    var codes: [OperationCode] = []
    for (index, op) in block.convolutions.enumerated() {
      codes.append(index == (block.expand == nil ? 0 : 1) ? .depthwiseConv2d : .conv2d)
      if index == block.convolutions.count - 1, inputs.count > 1 + 2 * block.convolutions.count { codes.append(.add) }
      codes += try activation(op.epilogue, isFused: true)
    }
    return codes
  }

  /// - Parameter isFused: whether the operation before has a fuse code, which expresses the simple ones.
  private func activation(_ function: Epilogue?, isFused: Bool) throws -> [OperationCode] {
    switch function {
    case nil: []
    case .clamp(let clamp):
      switch (clamp.min, clamp.max) {
      case (0, .infinity): isFused ? [] : [.relu]
      case (-1, 1): isFused ? [] : [.relu1]
      case (0, 6): isFused ? [] : [.relu6]
      case (-Float.infinity, .infinity): []
      default: [.maximum, .minimum]
      }
    case .clampChannels: [.maximum, .minimum]
    case .hardSwish: [.hardSwish]
    case .hardSigmoid: [.add, .mul]
    case .sigmoid: [.logistic]
    case .silu: [.logistic, .mul]
    }
  }

  private func binary(_ op: Binary) throws -> [OperationCode] {
    let isBool = inputs[0].dtype == .bool
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
    return [code] + (try activation(op.epilogue, isFused: true))
  }

  private func unary(_ function: Unary.Function) throws -> [OperationCode] {
    switch function {
    case .absolute: [.abs]
    case .negate: [.neg]
    case .floor: [.floor]
    case .squareRoot: [.sqrt]
    case .reciprocal: [.div]
    case .exp: [.exp]
    case .log: [.log]
    case .sin: [.sin]
    case .tanh: [.tanh]
    case .not where inputs[0].dtype == .bool: [.logicalNot]
    case .leakyReLU: [.prelu]
    case .elu: [.elu]
    case .hardSigmoid: [.mul, .add, .maximum, .minimum]
    case .swish(alpha: 1): [.logistic, .mul]
    default: throw NotInNNAPI("NNAPI has no operation for \(node.op.name)")
    }
  }

  private func requantisation() throws -> [OperationCode] {
    switch (inputs[0].quantization == nil, outputs[0].quantization == nil) {
    case (true, false): [.quantize]
    case (false, true): [.dequantize]
    case (false, false): [.dequantize, .quantize]
    case (true, true): [.cast]
    }
  }

  private func reduction(_ function: Reduce.Function) throws -> OperationCode {
    switch function {
    case .sum: .reduceSum
    case .mean: .mean
    case .maximum: .reduceMax
    case .minimum: .reduceMin
    case .product: .reduceProd
    default: throw NotInNNAPI("NNAPI has no operation for \(node.op.name)")
    }
  }

  private func resize(_ op: Resize) throws -> OperationCode {
    try need(
      inputs[0].shape.rank == 4 && op.axes.allSatisfy { $0.axis >= 2 } && !op.antialiases && !op.excludesOutside,
      "NNAPI resizes height and width of images, plainly")
    switch op.mode {
    case .linear:
      try need(
        [.halfPixel, .alignCorners, .asymmetric].contains(op.coordinates),
        "RESIZE_BILINEAR has no coordinates \(op.coordinates.rawValue)")
      return .resizeBilinear
    case .nearest(let rounding):
      try need(
        op.coordinates == .asymmetric && rounding == .floor,
        "RESIZE_NEAREST_NEIGHBOR rounds down, not \(rounding.rawValue) of \(op.coordinates.rawValue)")
      return .resizeNearestNeighbor
    case .cubic: throw NotInNNAPI("NNAPI has no cubic interpolation")
    }
  }

  private func recurrent(_ op: Recurrent) throws -> OperationCode {
    try need(op.usesDefaultActivations, "NNAPI's recurrent layers have their own activations, not other ones")
    try need(!op.given.contains(.lengths), "NNAPI's sequences have one length")
    try need(op.direction != .reverse, "NNAPI has no layers that run backwards alone")
    let isBidirectional = op.direction == .bidirectional
    switch op.kind {
    case .lstm(couplesGates: false):
      try need(op.clip == nil, "NNAPI clips the cell state, not the sums before activations")
      return isBidirectional ? .bidirectionalSequenceLstm : .unidirectionalSequenceLstm
    case .lstm: throw NotInNNAPI("NNAPI's LSTM has coupled gates without weights of the input gate only")
    case .rnn: return isBidirectional ? .bidirectionalSequenceRnn : .unidirectionalSequenceRnn
    case .gru: throw NotInNNAPI("NNAPI has no GRU; FULLY_CONNECTED, MUL, ADD, LOGISTIC and TANH make its steps")
    }
  }
}
