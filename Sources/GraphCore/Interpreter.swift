import TensorCore

extension Graph {
  /// Runs the graph with each op's own `evaluate`: the oracle.
  /// - Parameter observe: called with each node and its outputs, in order.
  public func evaluate(_ arguments: [Tensor], observe: (Node, [Tensor]) throws -> Void = { _, _ in }) throws -> [Tensor]
  {
    try expect(arguments.count == inputs.count, "\(inputs.count) inputs needed, not \(arguments.count)")
    var computed: [ValueID: Tensor] = [:]
    for (id, tensor) in zip(inputs, arguments) {
      try expect(tensor.type == self[id].type, "input \(self[id].name) is \(self[id].type), not \(tensor.type)")
      computed[id] = tensor
    }
    var remainingUses: [ValueID: Int] = [:]
    for node in nodes { for id in node.inputs { remainingUses[id, default: 0] += 1 } }
    for id in outputs { remainingUses[id, default: 0] += 1 }
    for node in nodes {
      let arguments = try node.inputs.map { id in
        guard let tensor = computed[id] ?? data(of: id) else { throw MissingWeight(self[id].name) }
        return try tensor.converted(to: .nchw)
      }
      let results = try zip(node.evaluate(arguments), node.outputs).map {
        try $0.converted(to: self[$1].type.format)
      }
      try observe(node, results)
      for (id, tensor) in zip(node.outputs, results) { computed[id] = tensor }
      for id in node.inputs {
        remainingUses[id]! -= 1
        if remainingUses[id] == 0 { computed[id] = nil }
      }
    }
    return try outputs.map { id in
      guard let tensor = computed[id] ?? data(of: id) else { throw MissingWeight(self[id].name) }
      return tensor
    }
  }
}
