import TensorCore

extension Graph {
  /// Checks that the graph can be executed: every value defined once and before its use, types as the ops infer
  /// them, parameters declared and their weights of the declared type.
  /// - Throws: ``GraphError`` that names the first node or value that is wrong.
  public func verify() throws {
    var defined = Set(inputs)
    for value in values {
      if let fault = value.type.fault { throw GraphError("\(value.name) cannot be \(value.type): \(fault)") }
      if case .node = value.source {
      } else {
        try expect(!value.type.isUpperBound, "\(value.name) is there before a run, with extents that are known")
      }
      switch value.source {
      case .constant(let tensor):
        try expect(tensor.type == value.type, "constant \(value.name) is \(tensor.type), declared \(value.type)")
        defined.insert(value.id)
      case .parameter:
        try expect(parameters.contains { $0.name == value.name }, "parameter \(value.name) is not declared")
        if let tensor = weights[value.name] {
          try expect(tensor.type == value.type, "weight \(value.name) is \(tensor.type), declared \(value.type)")
        }
        defined.insert(value.id)
      case .input: try expect(inputs.contains(value.id), "input \(value.name) is not listed")
      case .node: break
      }
    }
    for node in nodes {
      for id in node.inputs {
        try expect(contains(id) && defined.contains(id), "\(node.name) reads a value that is not defined before it")
      }
      for id in node.outputs {
        try expect(contains(id) && defined.insert(id).inserted, "\(node.name) defines a value that exists already")
      }
      for body in (node.op as? any ControlOp)?.bodies ?? [] {
        do { try body.graph.verify() } catch { throw GraphError("\(node.name): \(error)") }
      }
      let inferred: [TensorType]
      do { inferred = try node.outputTypes(for: inputTypes(of: node)) } catch {
        throw GraphError("\(node.name): \(error)")
      }
      let declared = node.outputs.map { self[$0].type }
      try expect(inferred == declared, "\(node.name) is declared \(declared) but computes \(inferred)")
    }
    try expect(!outputs.isEmpty, "graph \(name) has no output")
    for id in outputs { try expect(contains(id) && defined.contains(id), "an output of \(name) is never computed") }
  }

  /// Checks that the weight map has what the graph declares, no more, and no less than what is read.
  public func verifyWeights() throws {
    for body in bodies { try body.verifyWeights() }
    for (name, type) in parameters {
      guard let tensor = weights[name] else {
        if !readsParameter(name) { continue }
        throw MissingWeight(name, type)
      }
      try expect(tensor.shape == type.shape, "weight \(name) has shape \(tensor.shape), the model needs \(type.shape)")
      try expect(
        tensor.type.dtype == type.dtype, "weight \(name) is \(tensor.type.dtype), the model needs \(type.dtype)")
    }
    let declared = Set(parameters.map(\.name))
    if let extra = weights.keys.filter({ !declared.contains($0) }).min() {
      throw GraphError("weight \(extra) is not part of \(self.name)")
    }
  }
}
