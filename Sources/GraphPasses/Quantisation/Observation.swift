import GraphCore
import TensorCore

/// How a pass finds out what a graph's values are: which inputs, and what computes on them.
public struct Observation: Sendable {
  /// Inputs of a graph; where there are none, those of the context, or else numbers spread over −2…2.
  public var samples: @Sendable (Graph) throws -> [[Tensor]]
  /// Makes what computes a graph's outputs of its inputs.
  public var evaluator: @Sendable (Graph) throws -> (@Sendable ([Tensor]) throws -> [Tensor])

  /// - Parameter evaluator: the ops' own loops, unless something faster is given.
  public init(
    samples: @escaping @Sendable (Graph) throws -> [[Tensor]] = { _ in [] },
    evaluator: @escaping @Sendable (Graph) throws -> (@Sendable ([Tensor]) throws -> [Tensor]) = { graph in
      { try graph.evaluate($0) }
    }
  ) {
    (self.samples, self.evaluator) = (samples, evaluator)
  }

  /// The samples that there are.
  func inputs(of graph: Graph, in context: PassContext) throws -> [[Tensor]] {
    let all = try samples(graph)
    if !all.isEmpty { return all }
    return context.samples.isEmpty ? [try graph.spreadInputs()] : context.samples
  }

  /// What hands a body each value's tensor, by its place in the list, on each sample: as often as it is called.
  func values(
    _ values: [ValueID], of graph: Graph, on samples: [[Tensor]]
  ) throws -> (_ body: (Int, Tensor) throws -> Void) throws -> Void {
    var observed = graph
    observed.setOutputs(values)
    let evaluate = try evaluator(observed)
    return { body in
      for sample in samples {
        for (index, tensor) in try evaluate(sample).enumerated() { try body(index, tensor) }
      }
    }
  }
}

extension Graph {
  /// Numbers of a fixed sequence in −2…2 for each input.
  fileprivate func spreadInputs() throws -> [Tensor] {
    try inputs.map { id in
      let type = self[id].type
      let unit = (0..<type.shape.count).map { Double(Float(($0 &* 40503) % 65521) / 65521 * 4 - 2) }
      return try Tensor(type.shape, unit, type.dtype).converted(to: type.format)
    }
  }
}
