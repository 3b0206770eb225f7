import TensorCore

/// The determinant of square matrices `[…, N, N]` (ONNX, Det).
public struct Det: Op {
  public static let name = "det"

  public init() {}

  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(inputs.count == 1, "\(name) takes 1 input, not \(inputs.count)")
    let shape = inputs[0].shape
    try expect(
      shape.rank >= 2 && shape[shape.rank - 1] == shape[shape.rank - 2] && inputs[0].dtype.isFloat,
      "\(name) needs square matrices of floats, not \(inputs[0])")
    return [TensorType(Shape(shape.extents.dropLast(2)), inputs[0].dtype)]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let type = try outputTypes(for: inputs.map(\.type))[0]
    let (size, all) = (inputs[0].shape.extents.last!, inputs[0].doubles)
    let values = (0..<type.shape.count).map { index in
      Self.determinant(Array(all[(index * size * size)..<((index + 1) * size * size)]), size)
    }
    return [try Tensor(type.shape, values, type.dtype)]
  }

  /// By elimination in double precision, each column with its largest element.
  private static func determinant(_ elements: [Double], _ size: Int) -> Double {
    var (matrix, product) = (elements, 1.0)
    for column in 0..<size {
      var pivot = column
      for row in column..<size where matrix[row * size + column].magnitude > matrix[pivot * size + column].magnitude {
        pivot = row
      }
      let divisor = matrix[pivot * size + column]
      if divisor == 0 { return 0 }
      if pivot != column {
        for k in 0..<size { matrix.swapAt(pivot * size + k, column * size + k) }
        product.negate()
      }
      product *= divisor
      for row in column..<size where row > column {
        let factor = matrix[row * size + column] / divisor
        for k in column..<size { matrix[row * size + k] -= factor * matrix[column * size + k] }
      }
    }
    return product
  }
}
