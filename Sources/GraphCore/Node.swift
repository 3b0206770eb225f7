import TensorCore

public struct Node: Sendable {
  /// Module path in the original model, as PyTorch names it: `features.0.0`.
  public var name: String
  public var op: any Op
  public var inputs: [ValueID]
  public var outputs: [ValueID]
  /// Position of the backend it is placed on, among those it was placed with; nil where none has been chosen yet.
  public var placed: Int?
  /// What its results are rounded to, where that is not the float32 it computes.
  public var stored: StoredType?

  package init(name: String, op: any Op, inputs: [ValueID], outputs: [ValueID], placed: Int?, stored: StoredType?) {
    (self.name, self.op, self.inputs, self.outputs) = (name, op, inputs, outputs)
    (self.placed, self.stored) = (placed, stored)
  }
}

extension Node {
  /// Elements up to which something is computed before a run because all that it reads is known.
  package static let mostFolded = 1 << 22

  /// Whether what a node computes of constants may be a constant: a few bytes may ask for a tensor of any size, and that one waits
  /// until memory has been planned.
  package static func mayFold(_ inputs: [TensorType], to results: [TensorType]) -> Bool {
    let (given, count) = (inputs.reduce(0) { $0 + $1.shape.count }, results.reduce(0) { $0 + $1.shape.count })
    return count <= max(4 * given, 1 << 16) && count <= max(mostFolded, given)
  }
}

extension TensorType {
  /// Of an upper bound, the largest tensor there can be.
  package var largest: TensorType {
    var type = self
    type.isUpperBound = false
    return type
  }
}

extension Node {
  /// - Throws: ``GraphError`` when it cannot compute on these inputs.
  func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    // What is made of something whose extents are not known yet has none that are.
    let isBounded = inputs.contains { $0.isUpperBound }
    var types = try op.checkedOutputTypes(for: isBounded ? inputs.map(\.largest) : inputs)
    if isBounded { for index in types.indices { types[index].isUpperBound = true } }
    guard let stored else { return types }
    try expect(
      stored.isStorable && types.allSatisfy { $0.dtype == .float32 },
      "\(op.name) computes \(types), which cannot be stored as \(stored)")
    types = types.map(stored.type)
    for type in types { if let fault = type.fault { throw GraphError("\(op.name) to \(type): \(fault)") } }
    return types
  }

  /// Whether its results are integers that numbers are rounded to.
  package var roundsToIntegers: Bool {
    switch op {
    case is QuantizeLinear, is DynamicQuantizeLinear, is DynamicLinear, is DynamicRecurrent, is QLinearConv,
      is QLinearMatMul:
      true
    default: stored?.quantization != nil
    }
  }

  /// What it computes of tensors in NCHW, in NCHW: sums are float32 whatever is stored, or exact where they can be
  /// (``IntegerSums``).
  package func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    if let op = op as? any IntegerSums, Self.sumsIntegers(op, inputs.map(\.type)) {
      return [try evaluateIntegers(op, inputs)]
    }
    if Self.averagesIntegers(op, inputs.map(\.type)) {
      // Sums of integers are exact; each mean is rounded, and once more as the number that it stands for.
      let integers = try Tensor(
        quantized: inputs[0].shape, inputs[0].allIntegers(),
        StoredType(
          dtype: inputs[0].type.dtype,
          quantization: Quantization(scale: 1, zeroPoint: inputs[0].type.quantization!.zeroPoints[0])))
      let scale = inputs[0].type.quantization!.scales[0]
      let result = try op.evaluate([integers.widened()])[0]
      let reals = try Tensor(result.shape, result.values.map { $0 * scale })
      return [try stored.map { try reals.stored(as: $0) } ?? reals]
    }
    let widened = op.elementTypes.isAny ? inputs : try inputs.map { try $0.widened() }
    let results = try op.evaluate(widened)
    return try stored.map { stored in try results.map { try $0.stored(as: stored) } } ?? results
  }
}
