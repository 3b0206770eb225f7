import GraphCore
import TensorCore

/// Ops that compute each element from those in its place.
let elementwiseTranslations: ONNXTranslations = {
  var ops = ONNXTranslations()

  ops.add(Activation.self) { op, node in try node.activate(op.function, node.inputs[0]) }
  ops.add(Unary.self) { op, node in try node.write(op.function) }
  ops.add(Binary.self) { op, node in try node.finish(op.epilogue) { try node.write(op.function, $0) } }
  ops.add(Where.self) { _, node in node.emit("Where", node.inputs, since: node.result.dtype == .bfloat16 ? 16 : 13) }
  ops.add(Cast.self) { op, node in _ = node.cast(node.inputs[0], to: op.dtype) }
  // Of inference nothing is left of it.
  ops.add(Dropout.self) { _, node in node.emit("Identity", node.inputs) }
  ops.add(ConvertFormat.self) { _, node in node.emit("Identity", node.inputs) }
  return ops
}()

extension ONNXNodeWriter {
  fileprivate func write(_ function: Binary.Function, _ suffix: String) throws -> String {
    let dtype = types[0].dtype
    // Arithmetic of 8 and 16 bits came later.
    let isShort = !dtype.isFloat && dtype.byteCount < 4
    func arithmetic(_ name: String) -> String { emit(name, inputs, [], suffix, since: isShort ? 14 : 13) }
    func bits(_ name: String) -> String {
      dtype == .bool ? emit(name, inputs, [], suffix) : emit("Bitwise\(name)", inputs, [], suffix, since: 18)
    }
    switch function {
    case .add: return arithmetic("Add")
    case .subtract: return arithmetic("Sub")
    case .multiply: return arithmetic("Mul")
    case .divide: return arithmetic("Div")
    case .power: return try power(suffix)
    case .modulo: return try modulo(suffix)
    case .remainder: return emit("Mod", inputs, [.integer("fmod", 1)], suffix)
    case .minimum: return emit("Min", inputs, [], suffix)
    case .maximum: return emit("Max", inputs, [], suffix)
    case .prelu:
      // The slope is broadcast to the first tensor there, and never the other way round.
      let isWider = try Broadcast.shape(types.map(\.shape), node.op.name) != types[0].shape
      let first = isWider ? emit("Expand", [inputs[0], try shape(of: result, "shape")], [], "expanded") : inputs[0]
      return emit("PRelu", [first, inputs[1]], [], suffix, since: 16)
    case .equal: return emit("Equal", inputs, [], suffix)
    case .less: return emit("Less", inputs, [], suffix)
    case .lessOrEqual: return emit("LessOrEqual", inputs, [], suffix, since: 16)
    case .greater: return emit("Greater", inputs, [], suffix)
    case .greaterOrEqual: return emit("GreaterOrEqual", inputs, [], suffix, since: 16)
    case .and: return bits("And")
    case .or: return bits("Or")
    case .xor: return bits("Xor")
    case .shiftLeft, .shiftRight:
      let direction = function == .shiftLeft ? "LEFT" : "RIGHT"
      return emit("BitShift", inputs, [.string("direction", direction)], suffix, since: dtype.isSigned ? 28 : 13)
    }
  }

  private func shape(of type: TensorType, _ suffix: String) throws -> String {
    guard !type.isUpperBound else {
      throw Unsupported("\(node.name): the shape of its result is known only after a run")
    }
    return try integers(type.shape.extents, suffix)
  }

  /// ONNX has powers of floats and of integers of 32 and 64 bits.
  private func power(_ suffix: String) throws -> String {
    let dtype = types[0].dtype
    if dtype.isFloat || dtype == .int32 || dtype == .int64 { return emit("Pow", inputs, [], suffix) }
    let wide = inputs.enumerated().map { cast($1, to: .int64, "wide\($0)") }
    return cast(emit("Pow", wide, [], "power"), to: dtype, suffix)
  }

  /// Of floats ONNX has the remainder alone, with the sign of the dividend.
  private func modulo(_ suffix: String) throws -> String {
    let dtype = types[0].dtype
    guard dtype.isFloat else { return emit("Mod", inputs, [.integer("fmod", 0)], suffix) }
    let zero = try scalar(0, dtype, "zero")
    let rest = emit("Mod", inputs, [.integer("fmod", 1)], "remainder")
    let isNegative = emit("Less", [rest, zero], [], "remainder-negative")
    let differs = emit("Xor", [isNegative, emit("Less", [inputs[1], zero], [], "divisor-negative")], [], "differs")
    let isSome = emit("Not", [emit("Equal", [rest, zero], [], "even")], [], "uneven")
    let moved = emit("Add", [rest, inputs[1]], [], "moved")
    return emit("Where", [emit("And", [differs, isSome], [], "moves"), moved, rest], [], suffix)
  }

  fileprivate func write(_ function: Unary.Function) throws {
    let (x, dtype) = (inputs[0], types[0].dtype)
    func named(_ name: String, _ attributes: [Pacer_Onnx_Attribute] = [], since: Int = 13) {
      emit(name, [x], attributes, since: since)
    }
    switch function {
    case .absolute: named("Abs")
    case .negate where !dtype.isFloat && !dtype.isSigned:
      emit("Sub", [try scalar(0, dtype, "zero"), x], since: 14)
    case .negate: named("Neg")
    case .sign: named("Sign")
    case .ceil: named("Ceil")
    case .floor: named("Floor")
    case .round: named("Round")
    case .squareRoot: named("Sqrt")
    case .reciprocal: named("Reciprocal")
    case .exp: named("Exp")
    case .log: named("Log")
    case .sin: named("Sin")
    case .cos: named("Cos")
    case .tan: named("Tan")
    case .asin: named("Asin")
    case .acos: named("Acos")
    case .atan: named("Atan")
    case .sinh: named("Sinh")
    case .cosh: named("Cosh")
    case .tanh: named("Tanh")
    case .asinh: named("Asinh")
    case .acosh: named("Acosh")
    case .atanh: named("Atanh")
    case .erf: named("Erf")
    case .not: dtype == .bool ? named("Not") : named("BitwiseNot", since: 18)
    case .isNaN: named("IsNaN")
    case .isInfinite(let negative, let positive):
      named(
        "IsInf", [.integer("detect_negative", negative ? 1 : 0), .integer("detect_positive", positive ? 1 : 0)],
        since: dtype == .float16 ? 20 : 13)
    case .leakyReLU(let alpha): named("LeakyRelu", [.float("alpha", alpha)])
    case .elu(let alpha): named("Elu", [.float("alpha", alpha)])
    case .selu(let alpha, let gamma): named("Selu", [.float("alpha", alpha), .float("gamma", gamma)])
    case .celu(let alpha): try celu(alpha)
    case .softplus: named("Softplus")
    case .softsign: named("Softsign")
    case .mish: named("Mish", since: 18)
    case .thresholdedReLU(let alpha): named("ThresholdedRelu", [.float("alpha", alpha)])
    case .hardSigmoid(let alpha, let beta): named("HardSigmoid", [.float("alpha", alpha), .float("beta", beta)])
    // ONNX's own Swish is of operator set 24.
    case .swish(let alpha):
      let scaled = alpha == 1 ? x : emit("Mul", [x, try scalar(Double(alpha), dtype, "alpha")], [], "scaled")
      emit("Mul", [x, emit("Sigmoid", [scaled], [], "gate")])
    case .gelu(let isApproximate): named("Gelu", [.string("approximate", isApproximate ? "tanh" : "none")], since: 20)
    case .shrink(let bias, let lambda): named("Shrink", [.float("bias", bias), .float("lambd", lambda)])
    }
  }

  /// ONNX's own is of float32 alone.
  private func celu(_ alpha: Float) throws {
    let (x, dtype) = (inputs[0], types[0].dtype)
    guard dtype != .float32 else {
      emit("Celu", [x], [.float("alpha", alpha)])
      return
    }
    let (zero, factor) = (try scalar(0, dtype, "zero"), try scalar(Double(alpha), dtype, "alpha"))
    let power = emit("Elu", [emit("Div", [x, factor], [], "divided")], [.float("alpha", 1)], "power")
    let below = emit("Min", [zero, emit("Mul", [factor, power], [], "scaled")], [], "below")
    emit("Add", [emit("Max", [x, zero], [], "above"), below])
  }
}

extension DType {
  /// Whether it has numbers below 0.
  var isSigned: Bool {
    switch self {
    case .uint8, .uint16, .uint32, .uint64, .bool: false
    default: true
    }
  }
}
