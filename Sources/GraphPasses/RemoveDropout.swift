import GraphCore

/// Takes dropout out of the graph: at inference it hands its input on.
public struct RemoveDropout: Pass {
  public let name = "remove-dropout"
  public let summary = "remove dropout, which does nothing at inference"
  public let off = "each dropout stays a node that hands its input on"
  public let pytorchName: String? = "REMOVE_DROPOUT"

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    var removed = 0
    for index in graph.nodes.indices.reversed() where graph.nodes[index].op is Dropout {
      graph.replaceUses(of: graph.nodes[index].outputs[0], with: graph.nodes[index].inputs[0])
      graph.removeNode(at: index)
      removed += 1
    }
    return removed
  }
}
