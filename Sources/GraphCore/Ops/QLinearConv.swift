import TensorCore

/// Convolution of int8 or uint8 that stand for numbers, rounded to such integers again (ONNX, QLinearConv), over images of any
/// number of axes.
///
/// Inputs: `x [N, C, …]`, its scale and zero point, `weight [O, C/groups, …]`, its scale and zero point (one, or one for each
/// output), scale and zero point of the result, optionally `bias [O]` (int32, of the scale of `x` times that of the weight).
/// Sums are int32.
public struct QLinearConv: Op {
  public static let name = "qlinear_conv"

  /// Of the weight's kernel.
  public var window: WindowND
  public var groups: Int

  public init(_ window: WindowND, groups: Int = 1) { (self.window, self.groups) = (window, groups) }

  public var attributes: [(String, String)] { integer.attributes }
  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 3..<4 }
  private var integer: ConvInteger { ConvInteger(window, groups: groups) }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((8...9).contains(inputs.count), "\(name) takes 8 or 9 inputs, not \(inputs.count)")
    let type = try integer.outputTypes(for: [inputs[0], inputs[3], inputs[2], inputs[5]])[0]
    let (weightScale, result, outputs) = (inputs[4], inputs[7], inputs[3].shape[0])
    for index in [1, 4, 6] { try expect(inputs[index].dtype == .float32, "\(name): \(inputs[index]) is no scale") }
    try expect(
      inputs[1].shape.count == 1 && (weightScale.shape.count == 1 || weightScale.shape == [outputs]),
      "\(name): scales \(inputs[1]) and \(weightScale) for \(outputs) outputs")
    try expect(
      inputs[6].shape.count == 1 && result.shape.count == 1 && (result.dtype == .int8 || result.dtype == .uint8),
      "\(name) to a scale \(inputs[6]) and a zero point \(result)")
    if inputs.count > 8 {
      try expect(inputs[8].shape == [outputs] && inputs[8].dtype == .int32, "\(name): \(inputs[8]) is no bias")
    }
    return [TensorType(type.shape, result.dtype)]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    inputs.count > 3 ? integer.cost(for: [inputs[0], inputs[3]]) : Cost()
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let sums = try integer.evaluate([inputs[0], inputs[3], inputs[2], inputs[5]])[0]
    let bias = try inputs.count > 8 ? inputs[8].indices : nil
    let (scale, weightScales, resultScale) = (inputs[1].values[0], inputs[4].values, inputs[6].values[0])
    let (zero, pixels, outputs) = (try inputs[7].indices[0], type.shape.around(1).inner, type.shape[1])
    let values = try sums.indices.enumerated().map { index, sum in
      let output = index / pixels % outputs
      let factor = scale * weightScales[weightScales.count > 1 ? output : 0] / resultScale
      // A sum that is too large for int32 comes round.
      let whole = Int32(truncatingIfNeeded: sum + (bias?[output] ?? 0))
      return type.dtype.quantized(Float(whole) * factor, zeroPoint: zero)
    }
    return [try Tensor(type.shape, values, type.dtype)]
  }
}
