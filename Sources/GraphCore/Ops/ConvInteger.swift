import TensorCore

/// Convolution of int8 or uint8 over images of any number of axes, as int32 (ONNX, ConvInteger). Padding is the input's zero
/// point.
///
/// Inputs: `x [N, C, …]`, `weight [O, C/groups, …]`, optionally their zero points, each of its tensor's type: one of `x`; one
/// of the weight, or one for each output.
public struct ConvInteger: Op {
  public static let name = "conv_integer"

  /// Of the weight's kernel.
  public var window: WindowND
  public var groups: Int

  public init(_ window: WindowND, groups: Int = 1) { (self.window, self.groups) = (window, groups) }

  public var attributes: [(String, String)] { window.attributes + (groups == 1 ? [] : [("groups", "\(groups)")]) }
  public var elementTypes: ElementTypes { .numbers }
  public var parameterInputs: Range<Int> { 1..<2 }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...4).contains(inputs.count), "\(name) takes 2 to 4 inputs, not \(inputs.count)")
    let (x, weight) = (inputs[0], inputs[1])
    for type in [x, weight] {
      try expect(type.dtype == .int8 || type.dtype == .uint8, "\(name) does not work on \(type)")
    }
    for (index, (type, zero)) in zip([x, weight], inputs.dropFirst(2)).enumerated() {
      let fits = zero.shape.count == 1 || index == 1 && zero.shape == [weight.shape.extents.first ?? 0]
      try expect(zero.dtype == type.dtype && fits, "\(name): zero points \(zero) of \(type)")
    }
    // Shapes are those of any convolution.
    return try ConvolutionND(window, groups: groups).outputTypes(for: [TensorType(x.shape), TensorType(weight.shape)])
      .map { TensorType($0.shape, .int32) }
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    ConvolutionND(window, groups: groups).cost(for: inputs.prefix(2).map { TensorType($0.shape) })
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let x = try centred(inputs[0], inputs.count > 2 ? inputs[2] : nil, isRow: false, name)
    var zero = inputs.count > 3 ? inputs[3] : nil
    if let each = zero, each.shape.count > 1 {
      let axes = [Int](repeating: 1, count: inputs[1].shape.rank - 1)
      zero = try each.reshaped(to: Shape(each.shape.extents + axes))
    }
    let weight = try centred(inputs[1], zero, isRow: false, name)
    let (image, positions) = (Array(x.shape.extents[2...]), Array(result.shape.extents[2...]))
    let (channels, outputs, depth) = (x.shape[1], result.shape[1], weight.shape[1])
    let (pixels, count, kernel) = (Shape(image).count, Shape(positions).count, Shape(window.kernel).count)
    let (source, filters, out) = (
      x.elements(as: Int32.self), weight.elements(as: Int32.self), result.elements(as: Int32.self)
    )
    let perGroup = outputs / groups
    window.forEachPosition(positions, on: image) { position, taps in
      for n in 0..<result.shape[0] {
        for o in 0..<outputs {
          var sum: Int32 = 0
          for c in 0..<depth {
            let plane = (n * channels + o / perGroup * depth + c) * pixels
            let filter = (o * depth + c) * kernel
            for (tap, place) in taps { sum &+= filters[filter + tap] &* source[plane + place] }
          }
          out[(n * outputs + o) * count + position] = sum
        }
      }
    }
    withExtendedLifetime((x, weight, result)) {}
    return [result]
  }
}
