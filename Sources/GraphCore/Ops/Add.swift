import TensorCore

/// Elementwise sum of two tensors of one format, broadcast where their shapes differ.
public struct Add: FusingOp {
  public static let name = "add"

  public var epilogue: Epilogue?

  public init(epilogue: Epilogue? = nil) { self.epilogue = epilogue }

  public var attributes: [(String, String)] { epilogueAttribute }
  public var formatRule: FormatRule { .follows }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    let type = try Broadcast.outputType(inputs, Self.name)
    try epilogue?.check(channels: type.shape.rank > 1 ? type.shape[1] : 1, Self.name)
    return [type]
  }

  public func evaluate(_ inputs: [Tensor]) throws -> [Tensor] {
    let result = try Broadcast.evaluate(inputs, Self.name) { $0 + $1 }
    if let epilogue { result.apply(epilogue) }
    return [result]
  }
}
