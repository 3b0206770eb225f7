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
    enum Source {
      case input(Int)
      case constant(VulkanRegion)
      case parameter(String)
      case computed
    }
    var layout: TexelLayout
    /// Biases and the like are few and added late, where a rounding would show: they are float32 in any case.
    var precision: Precision
    var source: Source

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
  let slots: [Slot]
  let steps: [Step]
  /// Slot of each graph output.
  let outputs: [Int]
  let placement: [Placement]
  private let constants: VulkanBlock?

  init(_ graph: Graph, _ options: PrepareOptions) throws {
    try graph.verify()
    let device = try VulkanDevice.named(options.device)
    let storage = options.storage ?? device.physical.preferredStorage
    (self.graph, self.options, self.device, self.storage) = (graph, options, device, storage)

    var viewOf: [ValueID: ValueID] = [:]
    func resolve(_ id: ValueID) -> ValueID { viewOf[id].map(resolve) ?? id }
    for node in graph.nodes where isView(node, in: graph) { viewOf[node.outputs[0]] = resolve(node.inputs[0]) }
    let weights = Set(graph.nodes.flatMap { node in node.op.parameterInputs.compactMap { node.inputs[safe: $0] } })

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
          layout: isWeight ? TexelLayout(dense: value.type.byteCount / 4) : TexelLayout(value.type),
          precision: isWeight && value.type.shape.rank < 2 ? .fp32 : options.precision, source: source))
    }

    var steps: [Step] = []
    for (position, node) in graph.nodes.enumerated() where !isView(node, in: graph) {
      let request = VulkanRequest(
        node: node, inputs: graph.inputTypes(of: node), output: graph[node.outputs[0]].type, device: device.physical,
        storage: storage)
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

    constants = try Self.upload(uploads, &slots, device, storage)
    self.slots = slots
  }

  /// Puts constants on the device, where they stay.
  private static func upload(
    _ uploads: [(slot: Int, tensor: Tensor)], _ slots: inout [Slot], _ device: VulkanDevice, _ storage: TensorStorage
  ) throws -> VulkanBlock? {
    guard !uploads.isEmpty else { return nil }
    let alignment = device.physical.alignment
    let sizes = uploads.map { slots[$0.slot].byteCount }
    let offsets = places(sizes, alignment: alignment)
    let block = try VulkanBlock(device, byteCount: offsets.total, .device)
    let hostSizes = uploads.map { $0.tensor.type.byteCount }
    let hostOffsets = places(hostSizes, alignment: alignment)
    let staging = try VulkanBlock(device, byteCount: hostOffsets.total, .host)
    let recorder = try CommandRecorder(device, storage, dispatchCount: uploads.count)
    for (index, upload) in uploads.enumerated() {
      let slot = slots[upload.slot]
      let region = try VulkanRegion(
        block, offset: offsets.offsets[index], byteCount: sizes[index], format: texelFormat(storage, slot.precision))
      let host = try VulkanRegion(
        staging, offset: hostOffsets.offsets[index], byteCount: hostSizes[index], format: nil)
      copy(upload.tensor, to: host)
      try recorder.dispatch(
        uploadDispatch(slot.layout), slot.precision, reads: [], writes: region, hostBlock: (host, isWritten: false))
      slots[upload.slot].source = .constant(region)
    }
    try recorder.finish().run()
    return block
  }

  func makeSession() throws -> any Session { try VulkanSession(self) }

  /// When each computed slot, and after them each step's scratch, must keep its bytes; steps count from 1, inputs are
  /// written at 0, outputs read behind the last one.
  func lifetimes() -> (intervals: [MemoryPlan.Interval], slots: [Int]) {
    var intervals: [MemoryPlan.Interval] = []
    var planned: [Int] = []
    let end = steps.count + 1
    for (index, slot) in slots.enumerated() {
      if case .constant = slot.source { continue }
      var uses = steps.indices.filter { steps[$0].output == index || steps[$0].inputs.contains(index) }.map { $0 + 1 }
      switch slot.source {
      case .input, .parameter: uses.insert(0, at: 0)
      case .computed, .constant: break
      }
      if outputs.contains(index) { uses.append(end) }
      guard let first = uses.first, let last = uses.last else { continue }
      intervals.append(
        MemoryPlan.Interval(first: first, last: last, byteCount: slot.byteCount))
      planned.append(index)
    }
    for (index, step) in steps.enumerated() {
      intervals.append(
        MemoryPlan.Interval(
          first: index + 1, last: index + 1, byteCount: step.kernel.scratchTexels * texelByteCount(options.precision)))
    }
    return (intervals, planned)
  }
}

extension Array {
  subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

extension TexelLayout {
  func byteCount(_ precision: Precision) -> Int { texels * texelByteCount(precision) }
}

func texelByteCount(_ precision: Precision) -> Int { precision == .fp16 ? 8 : 16 }

/// The format of texel buffers; nil without them.
func texelFormat(_ storage: TensorStorage, _ precision: Precision) -> VkFormat? {
  guard storage == .texels else { return nil }
  return precision == .fp16 ? VK_FORMAT_R16G16B16A16_SFLOAT : VK_FORMAT_R32G32B32A32_SFLOAT
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

/// Brings a tensor of the host into texels.
func uploadDispatch(_ layout: TexelLayout) -> Dispatch {
  var push = PushConstants()
  push.add(layout)
  push.add(layout.channels, layout.quads, layout.pixels, layout.texels)
  return .over(layout.texels, "upload", [], push, reads: [])
}

/// Brings texels to the host.
func downloadDispatch(_ layout: TexelLayout) -> Dispatch {
  var push = PushConstants()
  push.add(layout)
  push.add(layout.channels, layout.quads, layout.pixels, layout.texels)
  return .over(layout.texels, "download", [], push, reads: [.input(0)])
}

/// Ops whose output is their input's texels.
func isView(_ node: Node, in graph: Graph) -> Bool {
  if node.op is Dropout { return true }
  return node.op is Flatten && TexelLayout(graph[node.inputs[0]].type).pixels == 1
}

/// The kernel of a node, or why there is none.
func vulkanKernel(_ request: VulkanRequest) -> Result<VulkanKernel, GraphError> {
  for make in vulkanKernelMakers {
    guard let kernel = make(request) else { continue }
    if let dispatch = kernel.dispatches.first(where: { max($0.groups.x, $0.groups.y) > request.device.maxGroups }) {
      return .failure(
        GraphError("\(request.node.name): \(dispatch.groups) workgroups, the device takes \(request.device.maxGroups)"))
    }
    let largest = (request.inputs + [request.output]).map { TexelLayout($0).texels }.max() ?? 0
    if request.storage == .texels, largest > request.device.maxTexels {
      return .failure(
        GraphError(
          "\(request.node.name): \(largest) texels, the device's texel buffers have \(request.device.maxTexels)"))
    }
    return .success(kernel)
  }
  return .failure(GraphError("no Vulkan kernel for \(type(of: request.node.op).name)"))
}
