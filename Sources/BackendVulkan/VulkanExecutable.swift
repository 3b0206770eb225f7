import CVulkan
import GraphCore
import RuntimeCore
import TensorCore

/// A graph bound to shaders, its constants on the device: what every session of it shares.
///
/// `@unchecked Sendable`: immutable after `init`; the constants on the device are only read.
final class VulkanExecutable: Executable, @unchecked Sendable {
  /// A value's texels. Views have been replaced by what they look at.
  struct Slot {
    var name: String
    enum Source {
      case input(Int)
      case constant(VulkanRegion)
      /// A constant that only preparations read.
      case consumed
      case parameter(String)
      case computed
    }
    var layout: TexelLayout
    var precision: Precision
    var source: Source
    /// Bytes of the tensor as the host has it.
    var hostByteCount: Int

    var byteCount: Int { layout.byteCount(precision) }
  }

  struct Step {
    /// Of the node among the graph's nodes, views included.
    let position: Int
    let kernel: VulkanKernel
    let inputs: [Int]
    let output: Int
  }

  let graph: Graph
  let options: PrepareOptions
  let device: VulkanDevice
  let storage: TensorStorage
  /// What tensors are stored in, but for those that 16 bits would harm.
  let precision: Precision
  let slots: [Slot]
  let steps: [Step]
  /// Slot of each graph output.
  let outputs: [Int]
  let placement: [Placement]
  /// What each step has prepared from its weights, by its place.
  let prepared: [Int: VulkanRegion]

  init(_ given: Graph, _ options: PrepareOptions) throws {
    try given.verify()
    let graph = try Self.readable(given)
    let device = try VulkanDevice.named(options.device, cachesPipelines: options.cachesPipelines)
    let storage = options.storage ?? device.physical.preferredStorage
    let precision = options.precision.stored
    (self.graph, self.options, self.device, self.storage) = (graph, options, device, storage)
    self.precision = precision

    var viewOf: [ValueID: ValueID] = [:]
    func resolve(_ id: ValueID) -> ValueID { viewOf[id].map(resolve) ?? id }
    for node in graph.nodes where isView(node, in: graph) { viewOf[node.outputs[0]] = resolve(node.inputs[0]) }
    let weights = Set(graph.nodes.flatMap { node in node.op.parameterInputs.compactMap { node.inputs[safe: $0] } })

    // In fp16, what is small and matters stays in float32: biases and the like, and the tensors that skip connections
    // add up, where the roundings of every block would gather.
    let sensitive = Set(
      weights.filter { graph[$0].type.shape.rank < 2 }
        + graph.nodes.flatMap { node in
          // What a residual is added to is a sum of this kind too.
          let added = node.op is Add ? node.inputs : node.op is Conv2D ? Array(node.inputs.dropFirst(3)) : []
          return added.isEmpty ? [] : (added + node.outputs).map(resolve)
        })

    var slots: [Slot] = []
    var slotOf: [ValueID: Int] = [:]
    var uploads: [(slot: Int, tensor: Tensor)] = []
    for value in graph.values where viewOf[value.id] == nil {
      slotOf[value.id] = slots.count
      // Kernels read weights as they lie, and images as texels of four channels.
      let isWeight = weights.contains(value.id)
      let source: Slot.Source
      switch value.source {
      case .input: source = .input(graph.inputs.firstIndex(of: value.id)!)
      case .parameter: source = .parameter(value.name)
      case .node: source = .computed
      case .constant(let tensor):
        uploads.append((slots.count, tensor))
        source = .computed
      }
      slots.append(
        Slot(
          name: value.name,
          layout: isWeight ? TexelLayout(dense: value.type.byteCount / 4) : TexelLayout(value.type),
          precision: sensitive.contains(value.id) ? .fp32 : precision, source: source,
          hostByteCount: value.type.byteCount))
    }

    var steps: [Step] = []
    for (position, node) in graph.nodes.enumerated() where !isView(node, in: graph) {
      let request = VulkanRequest(
        node: node, inputs: graph.inputTypes(of: node), output: graph[node.outputs[0]].type, device: device.physical,
        storage: storage, precision: options.precision)
      let kernel = try vulkanKernel(request).get()
      steps.append(
        Step(
          position: position, kernel: kernel, inputs: node.inputs.map { slotOf[resolve($0)]! },
          output: slotOf[node.outputs[0]]!))
    }
    self.steps = steps
    outputs = graph.outputs.map { slotOf[resolve($0)]! }
    placement = graph.nodes.enumerated().map { position, node in
      Placement(
        node: node.name, op: type(of: node.op).name, device: device.physical.name,
        kernel: steps.first { $0.position == position }?.kernel.name ?? "view")
    }

    prepared = try Self.upload(uploads, &slots, steps, outputs, device, storage, precision)
    self.slots = slots
  }

  /// The graph with weights as shaders read them: those packed for another backend are unpacked.
  /// - Throws: ``GraphError`` where a weight is something else besides, and so would need two layouts.
  private static func readable(_ given: Graph) throws -> Graph {
    var graph = given
    for node in given.nodes {
      for place in node.op.parameterInputs {
        guard let id = node.inputs[safe: place] else { continue }
        let isParameterOnly = given.users(of: id).allSatisfy { user in
          given.nodes[user].inputs.indices.allSatisfy {
            given.nodes[user].inputs[$0] != id || given.nodes[user].op.parameterInputs.contains($0)
          }
        }
        switch given[id].source {
        case .constant, .parameter: break
        case .input, .node: throw GraphError("\(node.name): Vulkan takes weights that are constants or parameters")
        }
        guard isParameterOnly, !given.outputs.contains(id) else {
          throw GraphError("\(node.name): its weight \(given[id].name) is an activation too, which Vulkan cannot read")
        }
        guard case .constant(let tensor) = graph[id].source, tensor.format != .nchw else { continue }
        let types = given.inputTypes(of: node)
        let wanted = place == 1 ? VulkanWeights.layout(for: node.op, types[0].shape, types[1].shape) : nil
        guard tensor.format != wanted.map(MemoryFormat.panels) else { continue }
        let plain = try tensor.converted(to: .nchw)
        graph[id].source = .constant(plain)
        graph[id].type = plain.type
      }
    }
    return graph
  }

  /// Puts constants on the device, where they stay, and what kernels prepare from them.
  /// - Returns: what each step has prepared, by its place.
  private static func upload(
    _ uploads: [(slot: Int, tensor: Tensor)], _ slots: inout [Slot], _ steps: [Step], _ outputs: [Int],
    _ device: VulkanDevice, _ storage: TensorStorage, _ precision: Precision
  ) throws -> [Int: VulkanRegion] {
    guard !uploads.isEmpty else { return [:] }
    // What only preparations read need not stay.
    let read = Set(
      outputs
        + steps.flatMap { step in
          step.kernel.dispatches.flatMap(\.reads).compactMap { operand in
            if case .input(let input) = operand { step.inputs[input] } else { nil }
          }
        })
    let alignment = device.physical.alignment
    let hostSizes = uploads.map { $0.tensor.type.byteCount }
    let hostOffsets = places(hostSizes, alignment: alignment)
    let staging = try VulkanBlock(device, byteCount: hostOffsets.total, .host)
    var blocks: [Bool: (block: VulkanBlock, offsets: [Int])] = [:]
    for stays in [true, false] {
      let placed = places(
        uploads.map { read.contains($0.slot) == stays ? slots[$0.slot].byteCount : 0 }, alignment: alignment)
      if placed.total > 0 {
        blocks[stays] = (try VulkanBlock(device, byteCount: placed.total, .device), placed.offsets)
      }
    }
    let recorder = try CommandRecorder(
      device, storage,
      dispatchCount: steps.reduce(uploads.count) { $0 + ($1.kernel.prepared?.dispatches.count ?? 0) })
    var regions: [Int: VulkanRegion] = [:]
    for (index, upload) in uploads.enumerated() {
      let slot = slots[upload.slot]
      let place = blocks[read.contains(upload.slot)]!
      let region = try VulkanRegion(
        place.block, offset: place.offsets[index], byteCount: slot.byteCount, slot.precision, storage)
      let host = try VulkanRegion(
        staging, offset: hostOffsets.offsets[index], byteCount: hostSizes[index])
      copy(upload.tensor, to: host)
      try recorder.dispatch(.upload(slot.layout), reads: [], writes: region, hostBlock: (host, isWritten: false))
      regions[upload.slot] = region
      slots[upload.slot].source = read.contains(upload.slot) ? .constant(region) : .consumed
    }
    var prepared: [Int: VulkanRegion] = [:]
    for (index, step) in steps.enumerated() {
      guard let (texels, dispatches) = step.kernel.prepared else { continue }
      let byteCount = texels * texelByteCount(precision)
      let region = try VulkanRegion(
        VulkanBlock(device, byteCount: byteCount, .device), offset: 0, byteCount: byteCount, precision, storage)
      prepared[index] = region
      for dispatch in dispatches {
        let reads = dispatch.reads.map { operand in
          if case .input(let input) = operand { regions[step.inputs[input]]! } else { region }
        }
        try recorder.dispatch(dispatch, reads: reads, writes: region, hostBlock: nil)
      }
    }
    try recorder.finish().run()
    return prepared
  }

  func makeSession() throws -> any Session { try VulkanSession(self) }

  /// What an input is stored in; graphs may take inputs that no kernel reads.
  func precision(ofInput index: Int) -> Precision {
    slots.first { if case .input(index) = $0.source { true } else { false } }?.precision ?? precision
  }

  /// When each computed slot, and after them each piece of each step's scratch, must keep its bytes; steps count from 1,
  /// inputs are written at 0, outputs read behind the last one.
  func lifetimes() -> (intervals: [MemoryPlan.Interval], slots: [Int]) {
    var intervals: [MemoryPlan.Interval] = []
    var planned: [Int] = []
    for (index, slot) in slots.enumerated() {
      var uses: [Int]
      switch slot.source {
      case .constant, .consumed: continue
      case .input, .parameter: uses = [0]
      case .computed: uses = []
      }
      uses += steps.indices.filter { steps[$0].output == index || steps[$0].inputs.contains(index) }.map { $0 + 1 }
      if outputs.contains(index) { uses.append(steps.count + 1) }
      guard let first = uses.first, let last = uses.last else { continue }
      intervals.append(MemoryPlan.Interval(first: first, last: last, byteCount: slot.byteCount))
      planned.append(index)
    }
    for (index, step) in steps.enumerated() {
      for texels in step.kernel.scratch {
        intervals.append(
          MemoryPlan.Interval(
            first: index + 1, last: index + 1, byteCount: texels * texelByteCount(precision)))
      }
    }
    return (intervals, planned)
  }
}

/// Offsets of blocks one behind the other.
func places(_ sizes: [Int], alignment: Int) -> (offsets: [Int], total: Int) {
  var (offsets, next) = ([Int](), 0)
  for size in sizes {
    offsets.append(next)
    next += (size + alignment - 1) / alignment * alignment
  }
  return (offsets, next)
}
