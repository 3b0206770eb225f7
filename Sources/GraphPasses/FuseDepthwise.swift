import GraphCore

/// Joins a depthwise convolution with the one before it and the pointwise one behind it, where the tensors between them
/// would leave the cache.
public struct FuseDepthwise: Pass {
  public let name = "fuse-depthwise"
  public let summary = "run a depthwise convolution and its neighbours row by row, in cache"
  public let off = "each convolution runs over the whole tensor before the next one begins"
  public let pytorchName: String? = nil

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    var fusions = 0
    var index = 0
    while index < graph.nodes.count {
      if let block = Self.block(around: index, in: graph, target) {
        let first = block.nodes[0]
        let result = graph.nodes[block.nodes.last!].outputs[0]
        let name = graph.nodes[block.nodes.last!].name
        let fused = try graph.addNode(name, block.op, block.inputs, at: block.nodes.last! + 1)
        graph.replaceUses(of: result, with: fused)
        for node in block.nodes.reversed() { graph.removeNode(at: node) }
        fusions += 1
        // What lay between the nodes has moved to where the first of them was.
        index = first
      } else {
        index += 1
      }
    }
    return fusions
  }

  private typealias Block = (op: DepthwiseBlock, nodes: [Int], inputs: [ValueID])

  /// The largest block around a depthwise convolution that the target wants.
  private static func block(around index: Int, in graph: Graph, _ target: any TargetTraits) -> Block? {
    let node = graph.nodes[index]
    guard let depthwise = node.op as? Conv2D, node.inputs.count == 3,
      depthwise.isDepthwise(graph[node.inputs[0]].type.shape, graph[node.inputs[1]].type.shape)
    else { return nil }
    let before = graph.producer(of: node.inputs[0]).flatMap { convolution($0, in: graph) }
    let readers = graph.users(of: node.outputs[0])
    let after = readers.first.flatMap { convolution($0, in: graph) }
    let expand = before.flatMap { isReadOnce(graph.nodes[$0.index].outputs[0], in: graph) ? $0 : nil }
    let project = isReadOnce(node.outputs[0], in: graph) ? after : nil
    // A residual is the last convolution's to add.
    let choices = [(expand, project), (nil, project), (expand, nil)].filter { before, after in
      (before != nil || after != nil) && before.map { graph.nodes[$0.index].inputs.count == 3 } ?? true
        && after.map { graph.nodes[$0.index].inputs.first == node.outputs[0] } ?? true
    }
    for (before, after) in choices {
      let nodes = [before?.index, index, after?.index].compactMap { $0 }
      let op = DepthwiseBlock(expand: before?.op, depthwise: depthwise, project: after?.op)
      let inputs =
        [graph.nodes[nodes[0]].inputs[0]] + nodes.flatMap { graph.nodes[$0].inputs[1...2] }
        + graph.nodes[nodes.last!].inputs.dropFirst(3)
      if target.fusesDepthwise(op, of: inputs.map { graph[$0].type }) { return (op, nodes, inputs) }
    }
    return nil
  }

  private static func convolution(_ index: Int, in graph: Graph) -> (index: Int, op: Conv2D)? {
    let node = graph.nodes[index]
    guard let op = node.op as? Conv2D, node.inputs.count >= 3, op.groups == 1 else { return nil }
    return (index, op)
  }

  private static func isReadOnce(_ id: ValueID, in graph: Graph) -> Bool {
    let uses = graph.nodes.reduce(0) { $0 + $1.inputs.count { $0 == id } }
    return uses == 1 && !graph.outputs.contains(id)
  }
}
