import GraphCore

/// Lets a convolution add the other side of a skip connection to its sums, before they are stored.
public struct FuseResidual: Pass {
  public let name = "fuse-residual"
  public let summary = "fuse the addition of a skip connection into the convolution before it"
  public let off = "each addition runs as an op of its own over the whole tensor"

  public let isForTarget = true

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let all = graph
    return try graph.rewrite { graph in
      // With what was fused.
      var before = all
      let order = Dictionary(uniqueKeysWithValues: graph.handles.enumerated().map { ($1, $0) })
      var fusions = 0
      for addition in graph.handles {
        guard let node = graph[addition], let add = node.op as? Binary, add.function == .add,
          node.inputs[0] != node.inputs[1]
        else { continue }
        let types = graph.types(of: node.inputs + node.outputs)
        guard types.allSatisfy({ $0.widened == types[0].widened }) else { continue }
        // Where both sides come from a convolution, the later one: only there is the other side computed before.
        let producers = node.inputs.map { graph.producer(of: $0) }
        guard let last = producers.compactMap({ $0 }).max(by: { order[$0]! < order[$1]! }),
          let convolution = graph[last]
        else { continue }
        let side = producers[0] == last ? 0 : 1
        guard var op = convolution.op as? Conv2D, op.epilogue == nil, convolution.inputs.count == 3,
          graph.onlyUser(of: node.inputs[side]) == addition, convolution.placed == node.placed,
          context.target.traits(for: convolution).addsResidual(in: convolution, of: before)
        else { continue }
        if types.allSatisfy({ $0 == types[0] && $0.quantization == nil }),
          graph[convolution.inputs[0]].type.quantization == nil
        {
          // Rounded as it was.
        } else if convolution.stored == nil, types[1 - side].quantization != nil,
          graph[convolution.inputs[0]].type.quantization != nil
        {
          // Sums that are not rounded until the other side is added.
          graph.update(last) { $0.stored = node.stored }
        } else {
          continue
        }
        op.epilogue = add.epilogue
        graph.update(last) { fused in
          fused.op = op
          fused.inputs.append(node.inputs[1 - side])
        }
        graph.remove(addition, readersRead: node.inputs[side])
        try graph.inferTypes(of: last)
        before[node.inputs[side]].type = graph[node.inputs[side]].type
        fusions += 1
      }
      return fusions
    }
  }
}
