import TensorCore

/// Products of matrices of int8 or uint8, as int32 (ONNX, MatMulInteger): shapes as ``MatMul``.
///
/// Inputs: `a`, `b`, optionally their zero points, each of its matrix's type: one, or one for each row of `a` and column of
/// `b`.
public struct MatMulInteger: Op {
  public static let name = "matmul_integer"

  public init() {}

  public var elementTypes: ElementTypes { .numbers }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect((2...4).contains(inputs.count), "\(name) takes 2 to 4 inputs, not \(inputs.count)")
    return [try Self.type(inputs[0], inputs[1], zero: inputs.dropFirst(2), name)]
  }

  /// That of a product.
  static func type(
    _ a: TensorType, _ b: TensorType, zero: some Collection<TensorType>, _ op: String
  ) throws -> TensorType {
    for type in [a, b] { try expect(type.dtype == .int8 || type.dtype == .uint8, "\(op) does not work on \(type)") }
    for (index, (type, zero)) in zip([a, b], zero).enumerated() {
      try expect(zero.dtype == type.dtype, "\(op): zero points \(zero) of \(type)")
      _ = try eachLine(zero.shape, of: type.shape, isRow: index == 0, op)
    }
    return try MatMul().outputTypes(for: [TensorType(a.shape, .int32), TensorType(b.shape, .int32)])[0]
  }

  public func cost(for inputs: [TensorType]) -> Cost {
    MatMul().cost(for: inputs.prefix(2).map { TensorType($0.shape, .int32) })
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let zero = inputs.dropFirst(2).map { Optional($0) } + [nil, nil]
    return try MatMul().evaluate([
      centred(inputs[0], zero[0], isRow: true, name), centred(inputs[1], zero[1], isRow: false, name),
    ])
  }
}

/// The shape in which what there is for each row, or column, of matrices meets them.
/// - Throws: ``GraphError`` where it does not.
func eachLine(_ given: Shape, of matrix: Shape, isRow: Bool, _ op: String) throws -> Shape {
  if given.count == 1 { return [] }
  // A list has one for each row, which is the last axis but one.
  let shape = given.rank == 1 && isRow ? Shape(given.extents + [1]) : given
  let fits =
    shape.rank <= max(matrix.rank, 1)
    && zip(shape.extents.reversed(), matrix.extents.reversed()).allSatisfy { $0 == 1 || $0 == $1 }
  try expect(fits, "\(op): \(given) for \(isRow ? "rows" : "columns") of \(matrix)")
  return shape
}

/// Integers less their zero points, as int32.
func centred(_ matrix: Tensor, _ zero: Tensor?, isRow: Bool, _ op: String) throws -> Tensor {
  let wide = try Cast(to: .int32).evaluate([matrix])[0]
  guard let zero else { return wide }
  let shape = try eachLine(zero.shape, of: matrix.shape, isRow: isRow, op)
  let wideZero = try Cast(to: .int32).evaluate([zero])[0].reshaped(to: shape)
  return try Binary(.subtract).evaluate([wide, wideZero])[0]
}
