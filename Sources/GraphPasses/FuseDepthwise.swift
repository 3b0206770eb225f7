import GraphCore

/// Joins a depthwise convolution with the one before it and the pointwise one behind it, where the tensors between them
/// would leave the cache.
public struct FuseDepthwise: Pass {
  public let name = "fuse-depthwise"
  public let summary = "run a depthwise convolution and its neighbours row by row, in cache"
  public let off = "each convolution runs over the whole tensor before the next one begins"

  public let isForTarget = true

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { graph in
      var fusions = 0
      for handle in graph.handles {
        guard let block = Self.block(around: handle, in: graph, context.target) else { continue }
        try graph.fuse(block.nodes, into: block.op, block.inputs)
        fusions += 1
      }
      return fusions
    }
  }

  private typealias Convolution = (handle: Rewriter.Handle, node: Node, op: Conv2D)
  private typealias Block = (op: DepthwiseBlock, nodes: [Rewriter.Handle], inputs: [ValueID])

  /// The largest block around a depthwise convolution that the target wants.
  private static func block(
    around handle: Rewriter.Handle, in graph: Rewriter, _ target: any TargetTraits
  ) -> Block? {
    guard let node = graph[handle], let depthwise = node.op as? Conv2D, node.inputs.count == 3, node.stored == nil,
      depthwise.isDepthwise(graph[node.inputs[0]].type.shape, graph[node.inputs[1]].type.shape)
    else { return nil }
    let expand =
      graph.uses(of: node.inputs[0]) == 1
      ? convolution(graph.producer(of: node.inputs[0]), in: graph, placed: node.placed) : nil
    let project = convolution(graph.onlyUser(of: node.outputs[0]), in: graph, placed: node.placed)
    // A residual is the last convolution's to add.
    let choices = [(expand, project), (nil, project), (expand, nil)].filter { before, after in
      (before != nil || after != nil) && before.map { $0.node.inputs.count == 3 } ?? true
        && after.map { $0.node.inputs.first == node.outputs[0] } ?? true
    }
    for (before, after) in choices {
      let parts = [before?.node, node, after?.node].compactMap { $0 }
      let op = DepthwiseBlock(expand: before?.op, depthwise: depthwise, project: after?.op)
      let inputs = [parts[0].inputs[0]] + parts.flatMap { $0.inputs[1...2] } + parts.last!.inputs.dropFirst(3)
      if target.traits(for: node).fusesDepthwise(op, of: graph.types(of: inputs)) {
        return (op, [before?.handle, handle, after?.handle].compactMap { $0 }, inputs)
      }
    }
    return nil
  }

  private static func convolution(
    _ handle: Rewriter.Handle?, in graph: Rewriter, placed: Int?
  ) -> Convolution? {
    guard let handle, let node = graph[handle], let op = node.op as? Conv2D, node.inputs.count >= 3, op.groups == 1,
      node.stored == nil,
      node.placed == placed
    else { return nil }
    return (handle, node, op)
  }
}
