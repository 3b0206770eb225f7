import TensorCore

/// A graph that runs again and again on its own outputs (ONNX, Loop).
///
/// Inputs: the largest number of iterations (one int64) and the condition of the first one (one bool), where there are any; the
/// values that go from one iteration to the next; what else the body reads. The body's inputs are the iteration's number, the
/// condition, then the same values; its outputs are the condition of the next iteration, the new values, and what is collected
/// of each iteration.
///
/// Outputs: the values of the last iteration, then what was collected, along a new first axis. A value keeps its type.
public struct Loop: ControlOp {
  public static let name = "loop"

  public var body: GraphBody
  public var hasTripCount: Bool
  public var hasCondition: Bool
  /// Values that go from one iteration to the next.
  public var carried: Int
  /// How many iterations there are, where it says so before a run: nothing is collected without.
  public var limit: Int?
  /// Whether there are always so many.
  public var reachesLimit: Bool

  public init(
    _ body: GraphBody, hasTripCount: Bool, hasCondition: Bool, carried: Int, limit: Int? = nil,
    reachesLimit: Bool = false
  ) {
    (self.body, self.hasTripCount, self.hasCondition) = (body, hasTripCount, hasCondition)
    (self.carried, self.limit, self.reachesLimit) = (carried, limit, reachesLimit)
  }

  public var bodies: [GraphBody] { [body] }
  public var attributes: [(String, String)] {
    [("body", "\(body)"), ("carried", "\(carried)")] + (hasTripCount ? [] : [("counts", "false")])
      + (hasCondition ? [("condition", "true")] : [])
      + (limit.map { [("limit", "\(reachesLimit ? "" : "≤")\($0)")] } ?? [])
  }

  /// Inputs before the values.
  private var heads: Int { (hasTripCount ? 1 : 0) + (hasCondition ? 1 : 0) }

  public func outputTypes(for inputs: [TensorType]) throws -> [TensorType] {
    try expect(carried >= 0 && carried <= inputs.count - heads, "loop over \(carried) values: \(inputs.count) inputs")
    if hasTripCount {
      try expect(inputs[0].dtype == .int64 && inputs[0].shape.count == 1, "loop: \(inputs[0]) is no number")
    }
    if hasCondition {
      let type = inputs[heads - 1]
      try expect(type.dtype == .bool && type.shape.count == 1, "loop: \(type) is no condition")
    }
    let own = body.graph.inputs.prefix(2).map { body.graph[$0].type }
    try expect(
      own.count == 2 && own[0].dtype == .int64 && own[1].dtype == .bool && own.allSatisfy { $0.shape.count == 1 },
      "loop: its body begins with \(own), not with a number and a condition")
    let values = Array(inputs[heads...])
    let types = try body.outputTypes(for: own + values)
    try expect(types.count > carried, "loop over \(carried) values: its body has \(types.count) outputs")
    try expect(types[0].dtype == .bool && types[0].shape.count == 1, "loop: its body's condition is \(types[0])")
    for (index, (before, after)) in zip(values.prefix(carried), types.dropFirst()).enumerated() {
      try expect(before == after, "loop: its value \(index) is \(before) before and \(after) after an iteration")
    }
    let collected = try types[(1 + carried)...].map { type in
      guard let limit, limit >= 0 else { throw GraphError("loop does not know how much it collects") }
      var whole = type
      whole.shape.extents.insert(limit, at: 0)
      whole.isUpperBound = type.isUpperBound || !reachesLimit
      return whole
    }
    return values.prefix(carried) + collected
  }

  public func evaluate(_ inputs: [Tensor], run: (Int, [Tensor]) throws -> [Tensor]) throws -> [Tensor] {
    let count = hasTripCount ? try inputs[0].indices[0] : Int.max
    var goesOn = hasCondition ? try inputs[heads - 1].indices[0] != 0 : true
    let own = body.graph.inputs.prefix(2).map { body.graph[$0].type.shape }
    var values = Array(inputs[heads...].prefix(carried))
    let captured = inputs[(heads + carried)...]
    var collected = body.graph.outputs.dropFirst(1 + carried).map { _ in [Tensor]() }
    var iteration = 0
    while iteration < count, goesOn {
      let number = try Tensor(own[0], elements: [Int64(iteration)])
      let condition = try Tensor(own[1], elements: [goesOn])
      let results = try run(0, [number, condition] + values + captured)
      // Where there is none to begin with, too, as in ONNX Runtime.
      goesOn = try results[0].indices.first == 1
      values = Array(results[1...].prefix(carried))
      for index in collected.indices { collected[index].append(results[1 + carried + index]) }
      iteration += 1
    }
    let types = body.graph.outputs.dropFirst(1 + carried).map { body.graph[$0].type }
    return try values + zip(collected, types).map { try stacked($0, along: 0, of: $1) }
  }
}

/// Tensors of one shape behind each other along a new axis.
/// - Parameter type: theirs, where there may be none.
func stacked(_ tensors: [Tensor], along axis: Int, of type: TensorType) throws -> Tensor {
  guard let first = tensors.first else {
    var extents = type.shape.extents
    extents.insert(0, at: axis)
    return try Tensor(zeros: TensorType(Shape(extents), type.dtype, quantization: type.quantization))
  }
  var extents = first.shape.extents
  extents.insert(1, at: axis)
  let rows = try tensors.map { tensor in
    try expect(tensor.shape == first.shape, "what is collected is \(first.type), then \(tensor.type)")
    return try tensor.reshaped(to: Shape(extents))
  }
  return try Concat(axis: axis).evaluate(rows)[0]
}
