import GraphCore
import TensorCore

/// Keeps images channels-last (NHWC) from the first op that can to the last; converts at the borders.
public struct ChannelsLast: Pass {
  public let name = "channels-last"
  public let summary = "keep images in NHWC between the ops"
  public let off = "images stay in NCHW, with NCHW kernels"
  public let pytorchName: String? = "contiguous(memory_format=torch.channels_last)"

  public init() {}

  public func run(on graph: inout Graph, for target: any TargetTraits) throws -> Int {
    var rewrites = 0
    for input in graph.inputs where graph[input].type.shape.rank == 4 && graph[input].type.format == .nchw {
      guard !graph.users(of: input).isEmpty else { continue }
      try convert(input, to: .nhwc, at: 0, in: &graph)
    }
    var index = 0
    while index < graph.nodes.count {
      let node = graph.nodes[index]
      switch node.op.formatRule {
      case .follows:
        let activations = node.inputs.indices.filter { !node.op.parameterInputs.contains($0) }.map { node.inputs[$0] }
        if !(node.op is ConvertFormat), activations.contains(where: { graph[$0].type.format == .nhwc }) {
          for id in activations where graph[id].type.format != .nhwc {
            try convert(id, to: .nhwc, at: index, onlyFor: index, in: &graph)
            index += 1
          }
          rewrites += 1
        }
      case .needsNCHW:
        for id in node.inputs where graph[id].type.format == .nhwc {
          try convert(id, to: .nchw, at: index, onlyFor: index, in: &graph)
          index += 1
        }
      }
      let types = try graph.nodes[index].op.outputTypes(for: graph.inputTypes(of: graph.nodes[index]))
      for (id, type) in zip(graph.nodes[index].outputs, types) { graph[id].type = type }
      index += 1
    }
    graph.setOutputs(
      try graph.outputs.map { id in
        guard graph[id].type.format == .nhwc else { return id }
        return try graph.addNode(graph[id].name + ".nchw", ConvertFormat(to: .nchw), [id])
      })
    return rewrites
  }

  /// Puts a conversion of `id` before the node at `position` and lets all readers, or one, read it.
  private func convert(
    _ id: ValueID, to format: MemoryFormat, at position: Int, onlyFor reader: Int? = nil, in graph: inout Graph
  ) throws {
    let readers = reader.map { [$0] } ?? graph.users(of: id)
    let converted = try graph.addNode("\(graph[id].name).\(format)", ConvertFormat(to: format), [id], at: position)
    for reader in readers {
      let index = reader >= position ? reader + 1 : reader
      graph.setInputs(graph.nodes[index].inputs.map { $0 == id ? converted : $0 }, ofNode: index)
    }
  }
}
