import GraphCore

/// Lets a convolution apply the clamp behind it to its sums, before they are stored.
public struct FuseActivation: Pass {
  public let name = "fuse-activation"
  public let summary = "fuse relu and relu6 into the convolution before them"
  public let off = "each activation runs as an op of its own over the whole tensor"
  public let pytorchName: String? = "INSERT_FOLD_PREPACK_OPS (its clamp fusion)"

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    try graph.fuseActivations { op, clamp in
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
    try graph.fuseActivations { op, clamp in
      guard var add = op as? Add, add.activation == nil, clamp == .relu else { return nil }
      add.activation = clamp
      return add
    }
  }
}

extension Graph {
  /// Removes each activation whose producer, read by nothing else, can be replaced by `fused(producer, clamp)`.
  fileprivate mutating func fuseActivations(_ fused: (any Op, Clamp) -> (any Op)?) throws -> Int {
    try rewrite { graph in
      var fusions = 0
      for handle in graph.handles {
        let node = graph[handle]!
        guard let activation = node.op as? Activation, let source = graph.producer(of: node.inputs[0]),
          graph.onlyUser(of: node.inputs[0]) == handle, let op = fused(graph[source]!.op, activation.clamp)
        else { continue }
        graph.update(source) { $0.op = op }
        graph.remove(handle, readersRead: node.inputs[0])
        fusions += 1
      }
      return fusions
    }
  }
}
