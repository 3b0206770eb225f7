import GraphCore
import TensorCore

/// Lets a convolution or linear layer apply the activation behind it to its sums, before they are stored.
///
/// Before that it writes functions that files hold as chains of simple ops as the one op that each of them is: activations, GELU, layer
/// norms, squares.
public struct FuseActivation: Pass {
  public let name = "fuse-activation"
  public let summary =
    "write functions that a file holds as chains of simple ops (activations, GELU, layer norms) as one op, and fuse relu, relu6, "
    + "hard-swish, hard-sigmoid, sigmoid and SiLU into the convolution or linear layer before them"
  public let off = "each of those functions runs as ops of their own over the whole tensor"
  public let pytorchName: String? = "INSERT_FOLD_PREPACK_OPS (its clamp fusion)"

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    let recognised = try graph.rewrite { try $0.recogniseFunctions() }
    if recognised > 0 { graph.removeUnused() }
    return try recognised
      + graph.fuseActivations { op, function, inputs in
        // Of integers functions that are more than limits are tables.
        Node.sumsIntegers(op, inputs)
          ? function.clamps(channels: 1) != nil
          : op is Conv2D || op is Linear || op is ConvTranspose2D || op is DynamicLinear
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

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.fuseActivations { op, function, _ in Binary.computes(.add, op) && function == .relu }
  }
}

extension Graph {
  /// Removes each activation whose producer, read by nothing else, can apply it itself and is wanted to.
  @discardableResult
  mutating func fuseActivations(_ isWanted: (any Op, Epilogue, [TensorType]) -> Bool) throws -> Int {
    try rewrite { graph in
      var fusions = 0
      for handle in graph.handles {
        let node = graph[handle]!
        guard let activation = node.op as? Activation, let source = graph.producer(of: node.inputs[0]),
          graph.onlyUser(of: node.inputs[0]) == handle, var op = graph[source]!.op as? any FusingOp,
          op.epilogue == nil, graph[node.inputs[0]].type == graph[node.outputs[0]].type,
          isWanted(op, activation.function, graph.types(of: graph[source]!.inputs))
        else { continue }
        op.epilogue = activation.function
        guard (try? op.checkedOutputTypes(for: graph.types(of: graph[source]!.inputs))) != nil else { continue }
        graph.update(source) { $0.op = op }
        graph.remove(handle, readersRead: node.inputs[0])
        fusions += 1
      }
      return fusions
    }
  }
}
