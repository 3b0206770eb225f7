import TensorCore

/// What a gate of a recurrent layer applies to its sum: ONNX's names and parameters.
public enum GateActivation: Hashable, Sendable, Codable, CustomStringConvertible {
  case sigmoid, tanh, relu, softsign, softplus
  /// `alpha · x + beta`.
  case affine(alpha: Float, beta: Float)
  case leakyReLU(alpha: Float)
  /// `x` where it is above `alpha`, else 0.
  case thresholdedReLU(alpha: Float)
  /// `alpha · tanh(beta · x)`.
  case scaledTanh(alpha: Float, beta: Float)
  case hardSigmoid(alpha: Float, beta: Float)
  case elu(alpha: Float)

  public var description: String {
    switch self {
    case .sigmoid: "sigmoid"
    case .tanh: "tanh"
    case .relu: "relu"
    case .softsign: "softsign"
    case .softplus: "softplus"
    case .affine(let alpha, let beta): "affine(\(alpha),\(beta))"
    case .leakyReLU(let alpha): "leaky_relu(\(alpha))"
    case .thresholdedReLU(let alpha): "thresholded_relu(\(alpha))"
    case .scaledTanh(let alpha, let beta): "scaled_tanh(\(alpha),\(beta))"
    case .hardSigmoid(let alpha, let beta): "hard_sigmoid(\(alpha),\(beta))"
    case .elu(let alpha): "elu(\(alpha))"
    }
  }

  func function<Real: LibraryReal>(_: Real.Type) -> (Real) -> Real {
    let (exp, tanh) = (Real.call(.exp), Real.call(.tanh))
    switch self {
    case .sigmoid: return { 1 / (1 + exp(-$0)) }
    case .tanh: return tanh
    case .relu: return { max($0, 0) }
    case .softsign: return { $0 / (1 + $0.magnitude) }
    case .softplus:
      let log1p = Real.call(.log1p)
      return { $0 > 0 ? $0 + log1p(exp(-$0)) : log1p(exp($0)) }
    case .affine(let alpha, let beta): return { Real(alpha) * $0 + Real(beta) }
    case .leakyReLU(let alpha): return { $0 < 0 ? Real(alpha) * $0 : $0 }
    case .thresholdedReLU(let alpha): return { $0 > Real(alpha) ? $0 : 0 }
    case .scaledTanh(let alpha, let beta): return { Real(alpha) * tanh(Real(beta) * $0) }
    case .hardSigmoid(let alpha, let beta): return { min(max(Real(alpha) * $0 + Real(beta), 0), 1) }
    case .elu(let alpha):
      let expm1 = Real.call(.expm1)
      return { $0 < 0 ? Real(alpha) * expm1($0) : $0 }
    }
  }
}
