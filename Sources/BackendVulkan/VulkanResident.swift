import GraphCore
import RuntimeCore
import TensorCore

extension Session {
  /// Runs on tensors that are on a Vulkan device already and leaves the outputs there, valid until the next run.
  /// - Throws: ``GraphError`` where not all of the graph runs on one such device, or a tensor is not what the graph takes.
  public func run(_ inputs: [VulkanTensor]) throws -> [VulkanTensor] {
    let all = segments.compactMap { $0 }
    guard all.count == 1, let segment = all[0] as? VulkanSegment,
      executable.placement.allSatisfy({ $0.backend == executable.backends[0] })
    else {
      throw GraphError("only a session whose nodes all run on one Vulkan device takes its tensors")
    }
    let (plan, shared) = (executable.plan, segment.shared)
    let (graph, lowering) = (plan.graph, shared.lowering)
    guard inputs.count == graph.inputs.count else {
      throw GraphError("\(graph.inputs.count) inputs needed, not \(inputs.count)")
    }
    /// The slot on the device that an input is brought to, if any.
    func slot(ofInput input: Int) -> Int? {
      segment.uploads.first { plan.slots[$0.host].source == .input(input) }?.slot
    }
    for (tensor, id) in zip(inputs, graph.inputs) {
      guard
        tensor.type == graph[id].type, tensor.storage == lowering.storage,
        tensor.region.block.device === shared.device
      else {
        throw GraphError(
          "input \(graph[id].name) is \(graph[id].type) in \(lowering.storage) on "
            + "\(shared.device.physical.name), not \(tensor.type) in \(tensor.storage) on "
            + tensor.region.block.device.physical.name)
      }
    }
    // A tensor this session gave out lies among those it computes, and would be written over while it is read.
    guard !inputs.contains(where: { input in segment.memory.regions.values.contains { $0.overlaps(input.region) } })
    else { throw GraphError("an output of a session is no input of the same one: copy it, or use another session") }
    try segment.run(resident: inputs)

    /// What would be copied to the host, by the slot it would come to.
    let sources = Dictionary(
      plan.steps.flatMap(\.copies).map { ($0.target, $0.source) }, uniquingKeysWith: { first, _ in first })
    func output(_ id: ValueID, _ hostSlot: Int) throws -> VulkanTensor {
      let source = sources[hostSlot]!
      switch (plan.slots[source].space, plan.slots[source].source) {
      case (.host, .input(let input)): return inputs[input]
      case (.host, .output): return try output(id, source)
      case (.host, _):
        // No kernel computes it.
        guard let tensor = graph.data(of: id) else { throw MissingWeight(graph[id].name) }
        return try tensor.vulkan(
          device: lowering.backend.device, storage: lowering.storage,
          cachesPipelines: lowering.backend.cachesPipelines)
      case (.device, _):
        let given = inputs.indices.first { slot(ofInput: $0) == source }.map { inputs[$0].region }
        return VulkanTensor(
          type: graph[id].type, storage: lowering.storage, region: given ?? segment.memory.regions[.slot(source)]!)
      }
    }
    return try zip(graph.outputs, plan.outputs).map(output)
  }
}
