import TensorCore

/// One of two graphs, as a condition says (ONNX, If).
///
/// Inputs: the condition (one bool), then what the bodies read, the same list for both, in the order of their inputs. Outputs
/// are those of the body that ran. Where their extents differ, the larger ones are an upper bound.
public struct If: ControlOp {
  public static let name = "if"

  public var then: GraphBody
  public var otherwise: GraphBody

  public init(then: GraphBody, otherwise: GraphBody) { (self.then, self.otherwise) = (then, otherwise) }

  public var bodies: [GraphBody] { [then, otherwise] }
  public var attributes: [(String, String)] { [("then", "\(then)"), ("else", "\(otherwise)")] }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    guard let condition = inputs.first, condition.dtype == .bool, condition.shape.count == 1 else {
      throw GraphError("if needs one bool as its condition, not \(inputs.first.map { "\($0)" } ?? "nothing")")
    }
    let types = try bodies.map { try $0.outputTypes(for: Array(inputs.dropFirst())) }
    try expect(types[0].count == types[1].count, "if: its bodies have \(types[0].count) and \(types[1].count) outputs")
    return try zip(types[0], types[1]).map { a, b in
      try expect(
        a.dtype == b.dtype && a.shape.rank == b.shape.rank && a.quantization == b.quantization,
        "if: its bodies compute \(a) and \(b)")
      var type = a
      type.shape = Shape(zip(a.shape.extents, b.shape.extents).map { max($0, $1) })
      type.isUpperBound = a.isUpperBound || b.isUpperBound || a.shape != b.shape
      if let fault = type.fault { throw GraphError("if: \(type): \(fault)") }
      return type
    }
  }

  public func evaluate(_ inputs: [Tensor], run: (Int, [Tensor]) throws -> [Tensor]) throws -> [Tensor] {
    try run(inputs[0].indices[0] != 0 ? 0 : 1, Array(inputs.dropFirst()))
  }
}
