import GraphCore

/// Takes dropout out of the graph: at inference it hands its input on.
public struct RemoveDropout: Pass {
  public let name = "remove-dropout"
  public let summary = "remove dropout, which does nothing at inference"
  public let off = "each dropout stays a node that hands its input on"
  public let pytorchName: String? = "REMOVE_DROPOUT"

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { graph in
      let dropouts = graph.handles.filter { graph[$0]!.op is Dropout && graph[$0]!.stored == nil }
      for dropout in dropouts { graph.remove(dropout, readersRead: graph[dropout]!.inputs[0]) }
      return dropouts.count
    }
  }
}
