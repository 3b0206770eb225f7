import TensorCore

/// The same tensor in another memory format: PyTorch's `contiguous(memory_format=…)`.
public struct ConvertFormat: Op {
  public static let name = "convert_format"

  public var format: MemoryFormat

  public init(to format: MemoryFormat) { self.format = format }

  public var attributes: [(String, String)] { [("to", "\(format)")] }
  public var formatRule: FormatRule { .follows }

  public var elementTypes: ElementTypes { .any }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "convert_format takes 1 input, not \(inputs.count)")
    try expect(inputs[0].shape.rank == 4, "convert_format needs rank 4, not \(inputs[0].shape)")
    var type = inputs[0]
    type.format = format
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] { inputs }
}
