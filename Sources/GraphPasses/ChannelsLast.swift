import GraphCore
import TensorCore

/// Keeps images channels-last (NHWC) from the first op that can to the last; converts at the borders.
public struct ChannelsLast: Pass {
  public let name = "channels-last"
  public let summary = "keep images in NHWC between the ops"
  public let off = "images stay in NCHW, with NCHW kernels"
  public let pytorchName: String? = "contiguous(memory_format=torch.channels_last)"

  public let isForTarget = true

  public init() {}

  public func run(on graph: inout Graph, in context: PassContext) throws -> Int {
    try graph.rewrite { graph in
      var rewrites = 0
      for input in graph.inputs where graph[input].type.shape.rank == 4 && graph[input].type.format == .nchw {
        let image = Self.stored(input, in: graph)
        let readers = graph.users(of: image)
        if !readers.isEmpty {
          let place = image == input ? graph.handles.first : graph.handles.first(where: readers.contains)
          try Self.convert(image, to: .nhwc, before: place, for: readers, in: &graph)
        }
      }
      for handle in graph.handles {
        let node = graph[handle]!
        var activations = node.inputs.indices.filter { !node.op.parameterInputs.contains($0) }.map { node.inputs[$0] }
        if case .broadcasts = node.op.formatRule {
          let others = activations.filter { !graph[$0].type.liesAlike }
          // Of those that lie alike the first one sets the format.
          activations = others.isEmpty ? activations.filter { graph[$0].type.format == .nhwc } : others
        }
        // What is broadcast to an image may have fewer axes, and then has no NHWC.
        let areImages = activations.allSatisfy { graph[$0].type.shape.rank == 4 }
        switch areImages ? node.op.formatRule : .needsNCHW {
        case .follows, .broadcasts:
          if !(node.op is ConvertFormat), activations.contains(where: { graph[$0].type.format == .nhwc }) {
            for id in activations where graph[id].type.format != .nhwc {
              try Self.convert(id, to: .nhwc, before: handle, for: [handle], in: &graph)
            }
            rewrites += 1
          }
        case .needsNCHW:
          for id in node.inputs where graph[id].type.format == .nhwc {
            try Self.convert(id, to: .nchw, before: handle, for: [handle], in: &graph)
          }
        }
        try graph.inferTypes(of: handle)
      }
      graph.setOutputs(
        try graph.outputs.map { id in
          guard graph[id].type.format == .nhwc else { return id }
          return try Self.convert(id, to: .nchw, before: nil, for: [], in: &graph)
        })
      return rewrites
    }
  }

  /// The bytes that an image becomes, if those are all that is read of it: they are less to convert.
  private static func stored(_ input: ValueID, in graph: Rewriter) -> ValueID {
    guard let reader = graph.onlyUser(of: input), let node = graph[reader], node.op is Requantize,
      graph[node.outputs[0]].type.dtype.byteCount == 1, graph[input].type.dtype.byteCount > 1,
      !graph.outputs.contains(node.outputs[0])
    else { return input }
    return node.outputs[0]
  }

  /// Puts a conversion of `id` before a node and lets some readers read it.
  @discardableResult private static func convert(
    _ id: ValueID, to format: MemoryFormat, before place: Rewriter.Handle?, for readers: [Rewriter.Handle],
    in graph: inout Rewriter
  ) throws -> ValueID {
    // Where its readers are, if they are in one place.
    let backends = Set(
      (readers.isEmpty ? [graph.producer(of: id)].compactMap { $0 } : readers).map { graph[$0]?.placed })
    let placed = backends.count == 1 ? backends.first! : nil
    let converted = try graph.insert(
      "\(graph[id].name).\(format)", ConvertFormat(to: format), [id], before: place, placed: placed)
    for reader in readers { graph.replaceUses(of: id, with: converted, in: reader) }
    return converted
  }
}
