import TensorCore

/// A function of each element of a tensor of any format. The activations that kernels fuse are ``Activation``.
public struct Unary: Op {
  public static let name = "unary"

  /// With the parameters of those that have some, as ONNX names them.
  public enum Function: Hashable, Sendable, Codable {
    case absolute, negate, sign
    /// `round` goes to the even one of two that are as near.
    case ceil, floor, round, squareRoot, reciprocal, exp, log
    case sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, erf
    /// Of bools, and of the bits of integers.
    case not
    case isNaN
    case isInfinite(negative: Bool, positive: Bool)
    case leakyReLU(alpha: Float)
    case elu(alpha: Float)
    case selu(alpha: Float, gamma: Float)
    case celu(alpha: Float)
    case softplus, softsign, mish
    case thresholdedReLU(alpha: Float)
    case hardSigmoid(alpha: Float, beta: Float)
    case swish(alpha: Float)
    /// By the error function, or by the hyperbolic tangent that approximates it.
    case gelu(isApproximate: Bool)
    case shrink(bias: Float, lambda: Float)

    /// Its name, and its parameters.
    fileprivate var text: (name: String, attributes: [(String, String)]) {
      switch self {
      case .isInfinite(let negative, let positive):
        ("is_infinite", [("negative", "\(negative)"), ("positive", "\(positive)")])
      case .leakyReLU(let alpha): ("leaky_relu", [("alpha", "\(alpha)")])
      case .elu(let alpha): ("elu", [("alpha", "\(alpha)")])
      case .selu(let alpha, let gamma): ("selu", [("alpha", "\(alpha)"), ("gamma", "\(gamma)")])
      case .celu(let alpha): ("celu", [("alpha", "\(alpha)")])
      case .thresholdedReLU(let alpha): ("thresholded_relu", [("alpha", "\(alpha)")])
      case .hardSigmoid(let alpha, let beta): ("hard_sigmoid", [("alpha", "\(alpha)"), ("beta", "\(beta)")])
      case .swish(let alpha): ("swish", alpha == 1 ? [] : [("alpha", "\(alpha)")])
      case .gelu(let isApproximate): ("gelu", isApproximate ? [("approximate", "tanh")] : [])
      case .shrink(let bias, let lambda): ("shrink", [("bias", "\(bias)"), ("lambda", "\(lambda)")])
      case .absolute: ("abs", [])
      case .squareRoot: ("sqrt", [])
      case .isNaN: ("is_nan", [])
      default: ("\(self)", [])
      }
    }
  }

  public var function: Function

  public init(_ function: Function) { self.function = function }

  public var name: String { function.text.name }
  public var attributes: [(String, String)] { function.text.attributes }
  public var elementTypes: ElementTypes { .numbers }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    var type = inputs[0]
    let takes: Bool
    switch function {
    case .not: takes = !type.dtype.isFloat
    case .absolute, .negate, .sign: takes = type.dtype != .bool
    case .isNaN, .isInfinite:
      takes = type.dtype.isFloat
      type.dtype = .bool
    default: takes = type.dtype.isFloat
    }
    try expect(takes, "\(name) does not work on \(inputs[0].dtype.rawValue)")
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    switch inputs[0].type.dtype {
    case .float32: float(Float.self, inputs[0], result)
    case .float64: float(Double.self, inputs[0], result)
    case .bool: Self.map(inputs[0], result) { (a: UInt8) in a ^ 1 }
    case .int8: integer(Int8.self, inputs[0], result)
    case .int16: integer(Int16.self, inputs[0], result)
    case .int32: integer(Int32.self, inputs[0], result)
    case .int64: integer(Int64.self, inputs[0], result)
    case .uint8: integer(UInt8.self, inputs[0], result)
    case .uint16: integer(UInt16.self, inputs[0], result)
    case .uint32: integer(UInt32.self, inputs[0], result)
    case .uint64: integer(UInt64.self, inputs[0], result)
    case .float16, .bfloat16: preconditionFailure("narrow floats are widened before")
    }
    return [result]
  }

  private static func map<A: BitwiseCopyable, Result: BitwiseCopyable>(
    _ input: Tensor, _ result: Tensor, _ function: (A) -> Result
  ) {
    let source = input.storage.pointer.assumingMemoryBound(to: A.self)
    let target = result.storage.pointer.assumingMemoryBound(to: Result.self)
    for i in 0..<input.shape.count { target[i] = function(source[i]) }
    withExtendedLifetime((input, result)) {}
  }

  private func integer<Whole: FixedWidthInteger & BitwiseCopyable>(_: Whole.Type, _ input: Tensor, _ result: Tensor) {
    func each(_ function: (Whole) -> Whole) { Self.map(input, result, function) }
    switch function {
    case .absolute: each { $0 < 0 ? 0 &- $0 : $0 }
    case .negate: each { 0 &- $0 }
    case .sign: each { $0 < 0 ? 0 &- 1 : $0 > 0 ? 1 : 0 }
    default: each { ~$0 }
    }
  }

  private func float<Real: LibraryReal>(_: Real.Type, _ input: Tensor, _ result: Tensor) {
    switch function {
    case .isNaN: Self.map(input, result) { (a: Real) in a.isNaN ? 1 as UInt8 : 0 }
    case .isInfinite(let negative, let positive):
      Self.map(input, result) { (a: Real) in a == .infinity && positive || a == -.infinity && negative ? 1 as UInt8 : 0
      }
    default: Self.map(input, result, function.real(Real.self))
    }
  }
}

extension Unary.Function {
  /// Of real numbers, those that answer with such.
  fileprivate func real<Real: LibraryReal>(_: Real.Type) -> (Real) -> Real {
    func library(_ function: RealFunction) -> (Real) -> Real { Real.call(function) }
    func logistic(_ a: Real) -> Real { 1 / (1 + library(.exp)(-a)) }
    /// `log(1 + exp a)`, of large numbers too.
    func softplus(_ a: Real) -> Real {
      a > 0 ? a + library(.log1p)(library(.exp)(-a)) : library(.log1p)(library(.exp)(a))
    }
    switch self {
    case .absolute: return { $0.magnitude }
    case .negate: return { -$0 }
    case .sign: return { $0 > 0 ? 1 : $0 < 0 ? -1 : $0 }
    case .ceil: return { $0.rounded(.up) }
    case .floor: return { $0.rounded(.down) }
    case .round: return { $0.rounded(.toNearestOrEven) }
    case .squareRoot: return { $0.squareRoot() }
    case .reciprocal: return { 1 / $0 }
    case .exp: return library(.exp)
    case .log: return library(.log)
    case .sin: return library(.sin)
    case .cos: return library(.cos)
    case .tan: return library(.tan)
    case .asin: return library(.asin)
    case .acos: return library(.acos)
    case .atan: return library(.atan)
    case .sinh: return library(.sinh)
    case .cosh: return library(.cosh)
    case .tanh: return library(.tanh)
    case .asinh: return library(.asinh)
    case .acosh: return library(.acosh)
    case .atanh: return library(.atanh)
    case .erf: return library(.erf)
    case .leakyReLU(let alpha): return { $0 < 0 ? Real(alpha) * $0 : $0 }
    case .elu(let alpha): return { $0 < 0 ? Real(alpha) * library(.expm1)($0) : $0 }
    case .selu(let alpha, let gamma):
      return { Real(gamma) * ($0 > 0 ? $0 : Real(alpha) * library(.expm1)($0)) }
    case .celu(let alpha): return { max($0, 0) + min(0, Real(alpha) * library(.expm1)($0 / Real(alpha))) }
    case .softplus: return softplus
    case .softsign: return { $0 / (1 + $0.magnitude) }
    case .mish: return { $0 * library(.tanh)(softplus($0)) }
    case .thresholdedReLU(let alpha): return { $0 > Real(alpha) ? $0 : 0 }
    case .hardSigmoid(let alpha, let beta): return { min(max(Real(alpha) * $0 + Real(beta), 0), 1) }
    case .swish(let alpha): return { $0 * logistic(Real(alpha) * $0) }
    case .gelu(let isApproximate):
      if isApproximate {
        let root = (2 / Real.pi).squareRoot()
        return { $0 * (1 + library(.tanh)(root * ($0 + 0.044715 * $0 * $0 * $0))) / 2 }
      }
      return { $0 * (1 + library(.erf)($0 * Real(0.5).squareRoot())) / 2 }
    case .shrink(let bias, let lambda):
      return { $0 < -Real(lambda) ? $0 + Real(bias) : $0 > Real(lambda) ? $0 - Real(bias) : 0 }
    case .not, .isNaN, .isInfinite: preconditionFailure("\(self) is no real function")
    }
  }
}
