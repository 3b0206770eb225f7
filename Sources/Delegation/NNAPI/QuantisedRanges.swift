import GraphCore
import TensorCore

extension NNAPIModel.Operand {
  private var integers: ClosedRange<Float> { type == .tensorQuant8Asymm ? 0...255 : -128...127 }

  /// What its integers can stand for; of scales that are beyond reason, not all.
  var range: ClosedRange<Float> {
    let (zero, scale) = (Float(zeroPoint), min(scale, 1e30))
    return (integers.lowerBound - zero) * scale...(integers.upperBound - zero) * scale
  }

  /// The same with a scale that holds other numbers.
  func holding(_ range: ClosedRange<Float>) -> NNAPIModel.Operand {
    var operand = self
    let (least, most) = (min(range.lowerBound, 0), max(range.upperBound, 0))
    operand.scale = max((most - least) / (integers.upperBound - integers.lowerBound), .leastNormalMagnitude)
    operand.zeroPoint = Int32((integers.lowerBound - least / operand.scale).rounded())
    return operand
  }

  /// One summand, where this is the sum: all that it can be unless the sum is beyond what it can stand for itself.
  /// - Parameter activation: of the sum, where that is no clamp: this is behind it.
  func before(adding other: NNAPIModel.Operand, _ activation: Epilogue? = nil) -> NNAPIModel.Operand {
    if let activation { return holding(activation.inputs(for: range)).before(adding: other) }
    return holding(range.lowerBound - other.range.upperBound...range.upperBound - other.range.lowerBound)
  }
}

extension Epilogue {
  /// Numbers between which its result changes, as far as results of some range tell: what is rounded to integers before it has to hold
  /// these.
  func inputs(for results: ClosedRange<Float>) -> ClosedRange<Float> {
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
