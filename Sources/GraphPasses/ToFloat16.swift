import GraphCore
import TensorCore

/// Stores weights and most of what nodes compute in 16-bit floats; sums are float32 as before.
///
/// What is small and matters stays in float32: biases and the like, and the tensors that skip connections add up, where the
/// roundings of every block would gather. So do the graph's outputs; its inputs come as before.
public struct ToFloat16: Pass {
  public let name = "to-float16"
  public let summary = "store weights and tensors in 16-bit floats, and compute in 32"
  public let off = "weights and tensors are 32-bit floats"
  /// Of networks with random weights, which magnify roundings twentyfold and more: MobileNetV2 was measured at 2e-2.
  public let tolerance = 3e-2

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    var rewrites = 0
    try graph.rewrite { graph in
      let sensitive = Self.sensitive(graph)
      for input in graph.inputs where graph[input].type.dtype == .float32 && !sensitive.contains(input) {
        let readers = graph.users(of: input).filter { !(graph[$0]!.op is Cast) }
        guard let first = graph.handles.first, !readers.isEmpty else { continue }
        let narrow = try graph.insert(
          graph[input].name + ".f16", Cast(to: .float16), [input], before: first, placed: nil)
        for reader in readers { graph.replaceUses(of: input, with: narrow, in: reader) }
        rewrites += 1
      }
      for handle in graph.handles {
        let node = graph[handle]!
        let computesFloats =
          if case .any = node.op.elementTypes { false } else {
            graph.types(of: node.inputs + node.outputs).allSatisfy { $0.dtype.isStoredFloat }
          }
        guard computesFloats, node.stored == nil else {
          try graph.inferTypes(of: handle)
          continue
        }
        for place in node.op.parameterInputs {
          guard let id = node.inputs[safe: place], graph[id].type.shape.rank > 1, let tensor = graph.data(of: id),
            tensor.type.dtype == .float32, tensor.type.format.keepsNumbers, Self.isWeightAlone(id, in: graph)
          else { continue }
          graph.setData(of: id, to: try tensor.rounded(to: .float16))
          rewrites += 1
        }
        if node.outputs.allSatisfy({ !sensitive.contains($0) && graph[$0].type.dtype == .float32 }) {
          graph.update(handle) { $0.stored = .float16 }
          rewrites += 1
        }
        try graph.inferTypes(of: handle)
      }
    }
    return rewrites
  }

  /// What stays as it is: outputs of the graph, what is added to a tensor or is such a sum, and what is read as something else
  /// than the numbers of a float32 computation: by bodies, or as indices.
  private static func sensitive(_ graph: Rewriter) -> Set<ValueID> {
    var sensitive = Set(graph.outputs)
    for node in graph.handles.reversed().compactMap({ graph[$0] }) {
      switch node.op {
      case let op as Binary where op.function == .add: sensitive.formUnion(node.inputs + node.outputs)
      case is Conv2D where node.inputs.count > 3: sensitive.formUnion(node.inputs[3...] + node.outputs)
      case let op as DepthwiseBlock where node.inputs.count > 1 + 2 * op.convolutions.count:
        sensitive.formUnion(node.inputs.suffix(1) + node.outputs)
      // They hand on what they get.
      case is Reshape, is Dropout, is ConvertFormat:
        if node.outputs.contains(where: sensitive.contains) { sensitive.formUnion(node.inputs) }
      case let op as Cast where op.dtype.isFloat: break
      default: if case .any = node.op.elementTypes { sensitive.formUnion(node.inputs) }
      }
    }
    return sensitive
  }

  /// Whether every node that reads a value reads it as a weight.
  private static func isWeightAlone(_ id: ValueID, in graph: Rewriter) -> Bool {
    !graph.outputs.contains(id)
      && graph.users(of: id).allSatisfy { user in
        let node = graph[user]!
        return node.inputs.indices.allSatisfy { node.inputs[$0] != id || node.op.parameterInputs.contains($0) }
      }
  }
}

/// Lets convolutions whose weights are 16-bit floats multiply in 16 bits too; a few products are summed in 16 bits, those sums
/// in 32.
public struct Float16Arithmetic: Pass {
  public let name = "float16-arithmetic"
  public let summary = "multiply in 16-bit floats where weights are such"
  public let off = "16-bit floats are widened before they are multiplied"
  public let tolerance = 3e-2

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { graph in
      var rewrites = 0
      for handle in graph.handles {
        guard let node = graph[handle], var op = node.op as? Conv2D, !op.multipliesFloat16,
          graph[node.inputs[1]].type.dtype == .float16
        else { continue }
        op.multipliesFloat16 = true
        graph.update(handle) { $0.op = op }
        rewrites += 1
      }
      return rewrites
    }
  }
}

extension MemoryFormat {
  /// Whether a tensor in it holds the numbers themselves, and not what Winograd's algorithm makes of them.
  fileprivate var keepsNumbers: Bool { if case .winograd = self { false } else { true } }
}
