import GraphCore
import TensorCore

/// What goes by single elements, and sums of them.
extension NNAPIModelWriter {
  /// Indices below 0 count from the end here, and nowhere there.
  mutating func gather(_ node: Node, _ op: Gather) throws -> Int {
    let (x, indices, own) = (try plain(node), node.inputs[1], try own(node))
    let (extent, shape) = (graph[node.inputs[0]].type.shape[op.axis], graph[indices].type.shape)
    try need(graph[indices].type.dtype == .int32, "NNAPI has no tensors of \(graph[indices].type.dtype.rawValue)")
    try need(graph.isWeight(indices), "GATHER's indices may be below 0 where they are computed")
    let places = constant(
      Operand(.tensorInt32, Self.dimensions(shape, isNHWC: false)),
      .made { graph in
        try graph.plain(indices).allIntegers().flatMap { index in
          Int32(clamping: index < 0 ? index + Int64(extent) : index).littleEndianBytes
        }
      })
    var result = own
    result.dimensions = self[x].dimensions
    result.dimensions.replaceSubrange(op.axis...op.axis, with: self[places].dimensions)
    try need(result.dimensions.count <= 4, "NNAPI's tensors have at most 4 axes, not \(result.dimensions.count)")
    let gathered = emit(.gather, [x, int(op.axis), places], result)
    return result.dimensions == own.dimensions ? gathered : reshape(gathered, own.dimensions)
  }

  mutating func binary(_ node: Node, _ op: Binary) throws -> Int {
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

  mutating func unary(_ node: Node, _ function: Unary.Function) throws -> Int {
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
      return emit(.prelu, [x, try number(alpha, like: x)], try finished(node, x))
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

  mutating func requantisation(_ node: Node) throws -> Int {
    let (x, wanted) = (try operand(node.inputs[0]), try own(node))
    if self[x].isLike(wanted) { return reshape(x, wanted.dimensions) }
    return try converted(x, to: wanted)
  }

  mutating func reduction(_ node: Node, _ op: Reduce) throws -> Int {
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
}
