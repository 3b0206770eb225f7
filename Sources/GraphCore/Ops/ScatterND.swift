import TensorCore

/// A tensor with some slices replaced, each named by the first of its indices, or combined with what is there (ONNX,
/// ScatterND).
///
/// Inputs: `data`, `indices` `[…, depth]` as ``GatherND`` has them, `updates`: what GatherND would answer.
public struct ScatterND: Op {
  public static let name = "scatter_nd"

  public var reduction: ScatterReduction

  public init(reduction: ScatterReduction = .none) { self.reduction = reduction }

  public var attributes: [(String, String)] { reduction.attribute }
  public var elementTypes: ElementTypes { reduction == .none ? .any : .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 3, "\(name) takes 3 inputs, not \(inputs.count)")
    let (data, updates) = (inputs[0], inputs[2])
    let slice = try sliceShape(of: data, inputs[1], 0, name)
    try expect(
      updates.shape.extents == inputs[1].shape.extents.dropLast() + slice.extents && updates.dtype == data.dtype
        && updates.quantization == data.quantization,
      "\(name): \(updates) into \(data) at \(inputs[1])")
    return [data]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Tensor(uninitialized: outputTypes(for: inputs.map(\.type))[0])
    result.write(inputs[0])
    let slice = try sliceShape(of: inputs[0].type, inputs[1].type, 0, name).count
    let places = try slicePlaces(inputs[1], of: inputs[0].shape, 0, name)
    try result.scatter(inputs[2], to: places, slice: slice, reduction)
    return [result]
  }
}
