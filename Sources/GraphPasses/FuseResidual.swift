import GraphCore

/// Lets a convolution add the other side of a skip connection to its sums, before they are stored.
public struct FuseResidual: Pass {
  public let name = "fuse-residual"
  public let summary = "fuse the addition of a skip connection into the convolution before it"
  public let off = "each addition runs as an op of its own over the whole tensor"
  public let pytorchName: String? = nil

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    var fusions = 0
    var index = 0
    while index < graph.nodes.count {
      defer { index += 1 }
      guard let add = graph.nodes[index].op as? Add,
        let (found, convolution, residual) = Self.sides(of: index, in: graph, target)
      else { continue }
      var op = found
      let node = graph.nodes[convolution]
      op.activation = add.activation
      graph.setOp(op, ofNode: convolution)
      graph.setInputs(node.inputs + [residual], ofNode: convolution)
      graph.replaceUses(of: graph.nodes[index].outputs[0], with: node.outputs[0])
      graph.removeNode(at: index)
      index -= 1
      fusions += 1
    }
    return fusions
  }

  /// The convolution that can do the addition, and what it adds. Where both sides come from one, the later one: only
  /// there is the other side computed before.
  private static func sides(
    of addition: Int, in graph: Graph, _ target: any TargetTraits
  ) -> (op: Conv2D, convolution: Int, residual: ValueID)? {
    let inputs = graph.nodes[addition].inputs
    let producers = inputs.map { graph.producer(of: $0) ?? -1 }
    guard inputs[0] != inputs[1], let convolution = producers.max(), convolution >= 0 else { return nil }
    let side = producers[0] == convolution ? 0 : 1
    let node = graph.nodes[convolution]
    guard let op = node.op as? Conv2D, op.activation == nil, node.inputs.count == 3,
      graph.users(of: inputs[side]).count == 1, !graph.outputs.contains(inputs[side]),
      target.addsResidual(in: node, of: graph)
    else { return nil }
    return (op, convolution, inputs[1 - side])
  }
}
