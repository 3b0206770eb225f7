import GraphCore
import TensorCore

/// Rearranges constant weights once into the order the target's kernels read.
public struct PrepackWeights: Pass {
  public let name = "prepack-weights"
  public let summary = "rearrange weights once into the order the kernels read"
  public let off = "kernels rearrange their weights at each call"
  public let pytorchName: String? = "INSERT_FOLD_PREPACK_OPS"

  public let isForTarget = true

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { [nodes = graph] graph in
      var packed = 0
      for handle in graph.handles {
        let node = graph[handle]!
        for (input, wanted) in context.target.traits(for: node).weightFormats(for: node, in: nodes) {
          if try graph.rearrangeConstant(node.inputs[input], to: wanted) { packed += 1 }
        }
      }
      return packed
    }
  }
}
