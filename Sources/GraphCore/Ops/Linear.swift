import TensorCore

/// `y = x · weightᵀ + bias`. Inputs: `x […, I]`, `weight [O, I]`, optionally `bias [O]`.
public struct Linear: FusingOp {
  public static let name = "linear"

  public var epilogue: Epilogue?

  public init(epilogue: Epilogue? = nil) { self.epilogue = epilogue }

  public var attributes: [(String, String)] { epilogueAttribute }

  public var parameterInputs: Range<Int> { 1..<3 }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...3).contains(inputs.count), "linear takes 2 or 3 inputs, not \(inputs.count)")
    let x = inputs[0].shape
    let weight = inputs[1].shape
    try expect(
      x.rank >= 2 && weight.rank == 2 && x.extents.last == weight[1], "linear weight \(weight) does not fit input \(x)")
    if inputs.count == 3 {
      try expect(inputs[2].shape == [weight[0]], "linear bias \(inputs[2].shape) for \(weight[0]) outputs")
    }
    let shape = Shape(x.extents.dropLast() + [weight[0]])
    try epilogue?.check(channels: shape[1], Self.name)
    // Channels lie along the second axis, and kernels go by outputs.
    try expect(
      shape.rank == 2 || epilogue?.channelLimits.isEmpty != false, "linear clamps by output only where rank is 2")
    return [TensorType(shape, inputs[0].dtype)]
  }

  public func cost(for inputs: [TensorType]) -> Cost { Cost(macs: inputs[0].shape.count * inputs[1].shape[0]) }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    let (x, w, out) = (inputs[0].floats.baseAddress!, inputs[1].floats.baseAddress!, result.floats.baseAddress!)
    let bias = inputs.count > 2 ? inputs[2].floats.baseAddress : nil
    let (outputs, depth) = (inputs[1].shape[0], inputs[1].shape[1])
    for n in 0..<(outputs > 0 ? result.shape.count / outputs : 0) {
      for o in 0..<outputs {
        var sum = bias?[o] ?? 0
        for i in 0..<depth { sum += x[n * depth + i] * w[o * depth + i] }
        out[n * outputs + o] = sum
      }
    }
    if let epilogue { result.apply(epilogue) }
    return [result]
  }
}
