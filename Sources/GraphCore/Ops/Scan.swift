import TensorCore

/// A graph that runs once for each index along an axis of some tensors, with a state (ONNX, Scan).
///
/// Inputs: the states, the tensors that are gone through, and what else the body reads. The body has the same inputs, but of
/// each of those tensors one slice, without its axis; its outputs are the new states, then what is collected of each iteration.
///
/// Outputs: the last states, then what was collected, each along a new axis. A state keeps its type.
public struct Scan: ControlOp {
  public static let name = "scan"

  /// An axis that is gone along.
  public struct Way: Hashable, Sendable, Codable, CustomStringConvertible {
    public var axis: Int
    public var isReverse: Bool
    public init(axis: Int, isReverse: Bool = false) { (self.axis, self.isReverse) = (axis, isReverse) }
    public var description: String { "\(isReverse ? "-" : "")\(axis)" }
  }

  public var body: GraphBody
  public var states: Int
  /// One for each tensor that is gone through.
  public var inputs: [Way]
  /// One for each that is collected: the axis in the result, which has one more than what the body computes.
  public var outputs: [Way]

  public init(_ body: GraphBody, states: Int, inputs: [Way], outputs: [Way]) {
    (self.body, self.states, self.inputs, self.outputs) = (body, states, inputs, outputs)
  }

  public var bodies: [GraphBody] { [body] }
  public var attributes: [(String, String)] {
    [
      ("body", "\(body)"), ("states", "\(states)"), ("over", inputs.map(\.description).joined(separator: ",")),
      ("collects", outputs.map(\.description).joined(separator: ",")),
    ]
  }

  /// How many iterations there are.
  private func steps(_ shapes: [Shape]) throws -> Int {
    let extents = try zip(inputs, shapes).map { way, shape in
      try expect((0..<shape.rank).contains(way.axis), "scan: axis \(way.axis) of \(shape)")
      return shape[way.axis]
    }
    guard let steps = extents.first, extents.allSatisfy({ $0 == steps }) else {
      throw GraphError("scan over extents of \(extents)")
    }
    return steps
  }

  public func outputTypes(for types: [TensorType]) throws -> [TensorType] {
    try expect(states >= 0 && states <= types.count - inputs.count, "scan takes more than \(types.count) inputs")
    let scanned = types[states..<(states + inputs.count)]
    let steps = try steps(scanned.map(\.shape))
    let slices = try zip(inputs, scanned).map { way, type in
      try expect(type.quantization?.axis == nil, "scan would lose the axis of \(type)")
      var slice = type
      slice.shape.extents.remove(at: way.axis)
      return slice
    }
    let results = try body.outputTypes(for: types[..<states] + slices + types[(states + inputs.count)...])
    try expect(results.count == states + outputs.count, "scan: its body has \(results.count) outputs")
    for (index, (before, after)) in zip(types[..<states], results).enumerated() {
      try expect(before == after, "scan: its state \(index) is \(before) before and \(after) after an iteration")
    }
    let collected = try zip(outputs, results[states...]).map { way, type in
      var whole = type
      try expect((0...type.shape.rank).contains(way.axis), "scan: axis \(way.axis) in \(type)")
      whole.shape.extents.insert(steps, at: way.axis)
      return whole
    }
    return results[..<states] + collected
  }

  public func evaluate(_ tensors: [Tensor], run: (Int, [Tensor]) throws -> [Tensor]) throws -> [Tensor] {
    let scanned = tensors[states..<(states + inputs.count)]
    let steps = try steps(scanned.map(\.shape))
    var state = Array(tensors[..<states])
    var collected = outputs.map { _ in [Tensor]() }
    for step in 0..<steps {
      let slices = try zip(inputs, scanned).map { way, tensor in
        var view = StridedView(of: tensor.shape)
        view.offset = (way.isReverse ? steps - 1 - step : step) * view.strides[way.axis]
        view.shape.extents.remove(at: way.axis)
        view.strides.remove(at: way.axis)
        return try tensor.gathered(view)
      }
      let results = try run(0, state + slices + tensors[(states + inputs.count)...])
      state = Array(results[..<states])
      for index in collected.indices { collected[index].append(results[states + index]) }
    }
    let types = body.graph.outputs[states...].map { body.graph[$0].type }
    return try state
      + outputs.indices.map { index in
        let all = outputs[index].isReverse ? collected[index].reversed() : collected[index]
        return try stacked(all, along: outputs[index].axis, of: types[index])
      }
  }
}
