import GraphCore

/// Lets 3×3 convolutions of stride 1 be computed with a quarter of the multiplications, where that pays, and gives their
/// weights the form that the target's kernels want: transformed, or as they are where transforms would arrive too slowly.
/// Weights that may change, or that others read, are left alone: to rearrange them at each call takes more than it saves.
public struct Winograd: Pass {
  public let name = "winograd"
  public let summary = "compute 3×3 convolutions by Winograd's F(4×4, 3×3), with a quarter of the multiplications"
  public let off = "every convolution is computed directly, with less rounding"

  public let isForTarget = true

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { [before = graph] graph in
      var rewrites = 0
      for handle in graph.handles {
        var node = graph[handle]!
        guard var op = node.op as? Conv2D, op.algorithm == .direct, op.allowsWinograd(graph[node.inputs[1]].type.shape),
          case .constant = graph[node.inputs[1]].source, graph.uses(of: node.inputs[1]) == 1,
          context.target.traits(for: node).prefersWinograd(for: node, in: before)
        else { continue }
        op.algorithm = .winograd
        graph.update(handle) { $0.op = op }
        node.op = op
        for (input, wanted) in context.target.traits(for: node).weightFormats(for: node, in: before) {
          _ = try graph.rearrangeConstant(node.inputs[input], to: wanted)
        }
        rewrites += 1
      }
      return rewrites
    }
  }
}
