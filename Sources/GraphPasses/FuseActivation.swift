import GraphCore

/// Lets a convolution apply the clamp behind it to its sums, before they are stored.
public struct FuseActivation: Pass {
  public let name = "fuse-activation"
  public let summary = "fuse relu and relu6 into the convolution before them"
  public let off = "each activation runs as an op of its own over the whole tensor"
  public let pytorchName: String? = "INSERT_FOLD_PREPACK_OPS (its clamp fusion)"

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    graph.fuseActivations { op, clamp in
      guard var conv = op as? Conv2D, conv.activation == nil else { return nil }
      conv.activation = clamp
      return conv
    }
  }
}

/// Lets an addition apply the clamp behind it, as `aten::_add_relu` does.
public struct FuseAddReLU: Pass {
  public let name = "fuse-add-relu"
  public let summary = "fuse relu into the addition before it"
  public let off = "each relu behind an addition runs as an op of its own"
  public let pytorchName: String? = "FUSE_ADD_RELU"

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    graph.fuseActivations { op, clamp in
      guard var add = op as? Add, add.activation == nil, clamp == .relu else { return nil }
      add.activation = clamp
      return add
    }
  }
}

extension Graph {
  /// Removes each activation whose producer, read by nothing else, can be replaced by `fused(producer, clamp)`.
  fileprivate mutating func fuseActivations(_ fused: (any Op, Clamp) -> (any Op)?) -> Int {
    var fusions = 0
    var index = 0
    while index < nodes.count {
      defer { index += 1 }
      guard let activation = nodes[index].op as? Activation, let source = producer(of: nodes[index].inputs[0]),
        users(of: nodes[index].inputs[0]).count == 1, !outputs.contains(nodes[index].inputs[0]),
        let op = fused(nodes[source].op, activation.clamp)
      else { continue }
      setOp(op, ofNode: source)
      replaceUses(of: nodes[index].outputs[0], with: nodes[index].inputs[0])
      removeNode(at: index)
      index -= 1
      fusions += 1
    }
    return fusions
  }
}
