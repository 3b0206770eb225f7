import Foundation
import GraphCore
import TensorCore

/// Operators that compute each element from those in its place.
let elementwiseOps: [String: ONNXBuilder] = {
  var ops: [String: ONNXBuilder] = [:]

  func binary(_ name: String, _ function: Binary.Function) {
    ops[name] = { node in [try node.add(Binary(function), [node.input(0), node.input(1)])] }
  }
  for (name, function) in [
    ("Add", .add), ("Sub", .subtract), ("Mul", .multiply), ("Div", .divide), ("PRelu", .prelu), ("Equal", .equal),
    ("Less", .less), ("LessOrEqual", .lessOrEqual), ("Greater", .greater), ("GreaterOrEqual", .greaterOrEqual),
    ("And", .and), ("Or", .or), ("Xor", .xor), ("BitwiseAnd", .and), ("BitwiseOr", .or), ("BitwiseXor", .xor),
  ] as [(String, Binary.Function)] { binary(name, function) }
  ops["Mod"] = { node in
    [try node.add(Binary(node.flag("fmod") ? .remainder : .modulo), [node.input(0), node.input(1)])]
  }
  ops["BitShift"] = { node in
    let direction = node.string("direction", "")
    guard ["LEFT", "RIGHT"].contains(direction) else { throw GraphError("direction is \"\(direction)\"") }
    return [try node.add(Binary(direction == "LEFT" ? .shiftLeft : .shiftRight), [node.input(0), node.input(1)])]
  }
  ops["Pow"] = { node in
    let (base, exponent) = (try node.input(0), try node.input(1))
    let (type, other) = (node.type(of: base).dtype, node.type(of: exponent).dtype)
    if type == other { return [try node.add(Binary(.power), [base, exponent])] }
    // The result has the base's type; where the exponent has a fraction, so has what is computed.
    let common = other.isFloat && !type.isFloat ? DType.float64 : type
    let casts = try [base, exponent].enumerated().map { try node.cast($1, to: common, "input\($0)") }
    return [try node.cast(node.add(Binary(.power), casts), to: type, "result")]
  }
  /// Of any number of inputs, two at a time.
  @Sendable func all(_ function: Binary.Function, _ node: ONNXNode) throws -> ValueID {
    var result = try node.input(0)
    for index in 1..<max(node.inputCount, 1) {
      result = try node.add(Binary(function), [result, node.input(index)], node.inputCount > 2 ? "\(index)" : "")
    }
    return result
  }
  ops["Sum"] = { [try all(.add, $0)] }
  ops["Max"] = { [try all(.maximum, $0)] }
  ops["Min"] = { [try all(.minimum, $0)] }
  ops["Mean"] = { node in
    let sum = try all(.add, node)
    let count = try node.constant(Double(node.inputCount), node.type(of: sum).widened.dtype, "count")
    return [node.inputCount == 1 ? sum : try node.add(Binary(.divide), [sum, count], "mean")]
  }
  ops["Where"] = { node in [try node.add(Where(), node.inputs)] }

  func unary(_ name: String, _ function: @escaping @Sendable (ONNXNode) throws -> Unary.Function) {
    ops[name] = { node in [try node.add(Unary(function(node)), [node.input(0)])] }
  }
  for (name, function) in [
    ("Abs", .absolute), ("Neg", .negate), ("Sign", .sign), ("Ceil", .ceil), ("Floor", .floor), ("Round", .round),
    ("Sqrt", .squareRoot), ("Reciprocal", .reciprocal), ("Exp", .exp), ("Log", .log), ("Sin", .sin), ("Cos", .cos),
    ("Tan", .tan), ("Asin", .asin), ("Acos", .acos), ("Atan", .atan), ("Sinh", .sinh), ("Cosh", .cosh),
    ("Tanh", .tanh), ("Asinh", .asinh), ("Acosh", .acosh), ("Atanh", .atanh), ("Erf", .erf), ("Not", .not),
    ("BitwiseNot", .not), ("IsNaN", .isNaN), ("Softplus", .softplus), ("Softsign", .softsign), ("Mish", .mish),
  ] as [(String, Unary.Function)] { unary(name) { _ in function } }
  unary("IsInf") { .isInfinite(negative: $0.flag("detect_negative", true), positive: $0.flag("detect_positive", true)) }
  unary("LeakyRelu") { .leakyReLU(alpha: $0.float("alpha", 0.01)) }
  unary("Elu") { .elu(alpha: $0.float("alpha", 1)) }
  unary("Selu") {
    .selu(alpha: $0.float("alpha", 1.67326319217681884765625), gamma: $0.float("gamma", 1.05070102214813232421875))
  }
  unary("Celu") { .celu(alpha: $0.float("alpha", 1)) }
  unary("ThresholdedRelu") { .thresholdedReLU(alpha: $0.float("alpha", 1)) }
  unary("Swish") { .swish(alpha: $0.float("alpha", 1)) }
  unary("Gelu") { .gelu(isApproximate: $0.string("approximate", "none") == "tanh") }
  unary("Shrink") { .shrink(bias: $0.float("bias", 0), lambda: $0.float("lambd", 0.5)) }

  /// What kernels fuse; of other types than stored floats by other ops.
  func activation(
    _ name: String, _ function: Epilogue, _ other: @escaping @Sendable (ONNXNode, ValueID) throws -> ValueID
  ) {
    ops[name] = { node in
      let input = try node.input(0)
      return [
        node.type(of: input).dtype.isStoredFloat ? try node.add(Activation(function), [input]) : try other(node, input)
      ]
    }
  }
  activation("Relu", .relu) { node, input in
    try node.add(Binary(.maximum), [input, node.constant(0, node.type(of: input).dtype, "zero")])
  }
  activation("Sigmoid", .sigmoid) { node, input in
    let one = try node.constant(1, node.type(of: input).dtype, "one")
    let power = try node.add(Unary(.exp), [node.add(Unary(.negate), [input], "negative")], "power")
    return try node.add(Unary(.reciprocal), [node.add(Binary(.add), [one, power], "sum")])
  }
  activation("HardSwish", .hardSwish) { node, input in
    let gate = try node.add(Unary(.hardSigmoid(alpha: 1 / 6, beta: 0.5)), [input], "gate")
    return try node.add(Binary(.multiply), [input, gate])
  }
  ops["HardSigmoid"] = { node in
    let (alpha, beta, input) = (node.float("alpha", 0.2), node.float("beta", 0.5), try node.input(0))
    // PyTorch's own is a sixth, which files hold as the nearest float.
    if abs(alpha - 1 / 6) < 1e-6, beta == 0.5, node.type(of: input).dtype.isStoredFloat {
      return [try node.add(Activation(.hardSigmoid), [input])]
    }
    return [try node.add(Unary(.hardSigmoid(alpha: alpha, beta: beta)), [input])]
  }
  ops["Clip"] = { node in
    let input = try node.input(0)
    let type = node.type(of: input)
    if node.version < 11 {
      let clamp = Clamp(min: node.float("min", -.infinity), max: node.float("max", .infinity))
      return [try node.clamp(input, clamp.min, clamp.max)]
    }
    let (low, high) = (try node.optional(1), try node.optional(2))
    let known = [low, high].map { $0.flatMap { node.reader.known($0)?.doubles.first } }
    if type.dtype.isStoredFloat, (low == nil) == (known[0] == nil), (high == nil) == (known[1] == nil) {
      return [try node.clamp(input, Float(known[0] ?? -.infinity), Float(known[1] ?? .infinity))]
    }
    // Where the limits cross, the upper one holds.
    let above = try low.map { try node.add(Binary(.maximum), [input, $0], high == nil ? "" : "low") } ?? input
    return [try high.map { try node.add(Binary(.minimum), [above, $0]) } ?? above]
  }

  ops["Cast"] = { node in
    guard let type = DType(onnx: Int32(clamping: node.integer("to", 0))) else {
      throw Unsupported("ONNX's type \(node.integer("to", 0)) is not read")
    }
    return [try node.cast(node.input(0), to: type)]
  }
  ops["CastLike"] = { node in [try node.cast(node.input(0), to: node.type(1).dtype)] }
  ops["Identity"] = { node in [try node.input(0)] }
  ops["Dropout"] = { node in
    let input = try node.input(0)
    let isTraining = try node.version >= 12 && node.known(2)?.doubles.first == 1
    let ratio = try node.version < 12 ? node.float("ratio", 0.5) : node.knownFloats(1)?.first ?? 0.5
    guard !isTraining || ratio == 0 else { throw Unsupported("it is in training mode") }
    let kept = try node.add(Dropout(probability: ratio), [input])
    guard node.proto.output.count > 1, !node.proto.output[1].isEmpty else { return [kept] }
    // Before it became a mask of bools it was one of the input's type; before version 12 that of ONNX Runtime is all false.
    let type = TensorType(node.type(of: input).shape, node.version < 10 ? node.type(of: input).dtype : .bool)
    return [kept, try node.filled(type, node.version < 12 ? 0 : 1, "mask")]
  }
  return ops
}()

extension ONNXNode {
  func cast(_ id: ValueID, to dtype: DType, _ suffix: String = "") throws -> ValueID {
    type(of: id).dtype == dtype ? id : try add(Cast(to: dtype), [id], suffix)
  }

  /// Limits that may cross: then the upper one holds.
  func clamp(_ input: ValueID, _ low: Float, _ high: Float) throws -> ValueID {
    let dtype = type(of: input).dtype
    if dtype.isStoredFloat { return try add(Activation(.clamp(Clamp(min: low, max: high))), [input]) }
    let above = try add(Binary(.maximum), [input, constant(Double(low), dtype, "min")], "low")
    return try add(Binary(.minimum), [above, constant(Double(high), dtype, "max")])
  }

  /// A tensor of one number.
  func filled(_ type: TensorType, _ value: Double, _ suffix: String = "") throws -> ValueID {
    try add(Expand(to: type.shape), [constant(value, type.dtype, suffix + ".value")], suffix)
  }
}
