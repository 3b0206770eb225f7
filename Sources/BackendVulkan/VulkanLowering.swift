import GraphCore
import RuntimeCore
import TensorCore

/// Which shaders run some nodes of a graph, and how each value lies on the device.
struct VulkanLowering: Lowering {
  /// With weights as shaders read them.
  let graph: Graph
  let vulkan: VulkanDevice
  let backend: VulkanBackend
  let options: PrepareOptions
  /// By node; nil for views and for what runs elsewhere.
  let kernels: [VulkanKernel?]
  private let views: Set<Int>
  let storage: TensorStorage
  private let weights: Set<ValueID>
  var space: MemorySpace { .device("vulkan") }

  var device: String { vulkan.physical.name }

  init(_ nodes: [Int], of given: Graph, _ backend: VulkanBackend, _ options: PrepareOptions) throws {
    let graph = try Self.readable(nodes, of: given)
    let vulkan = try VulkanDevice.named(backend.device, cachesPipelines: backend.cachesPipelines)
    let storage = backend.storage ?? vulkan.physical.preferredStorage
    (self.graph, self.vulkan, self.backend, self.options) = (graph, vulkan, backend, options)
    self.storage = storage
    var kernels = [VulkanKernel?](repeating: nil, count: graph.nodes.count)
    var views = Set<Int>()
    for index in nodes {
      let node = graph.nodes[index]
      if BackendVulkan.isView(node, in: graph) {
        views.insert(index)
      } else {
        kernels[index] = try vulkanKernel(backend.request(node, in: graph, on: vulkan.physical)).get()
      }
    }
    (self.kernels, self.views) = (kernels, views)
    let own = nodes.map { graph.nodes[$0] }
    weights = Set(own.flatMap { node in node.op.parameterInputs.compactMap { node.inputs[safe: $0] } })
  }

  func viewOffset(_ node: Int) -> Int? { views.contains(node) ? 0 : nil }

  func kernel(for node: Int) -> PlannedKernel {
    let kernel = kernels[node]!
    return PlannedKernel(name: kernel.name, scratch: kernel.scratch.map { $0 * texelByteCount(kernel.scratchType) })
  }

  /// Kernels read weights as they lie, and images as texels of four channels.
  func layout(of value: ValueID) -> TexelLayout {
    let type = graph[value].type
    return weights.contains(value) ? TexelLayout(dense: type.byteCount / type.dtype.byteCount) : TexelLayout(type)
  }

  func byteCount(of value: ValueID) -> Int { layout(of: value).byteCount(graph[value].type.dtype) }

  func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments {
    try VulkanSegments(self, segments, of: plan)
  }

  /// The graph with weights as shaders read them: those packed for another backend are unpacked.
  private static func readable(_ nodes: [Int], of given: Graph) throws -> Graph {
    var graph = given
    for node in nodes.map({ given.nodes[$0] }) {
      if let reason = unreadable(node, in: given) { throw Unsupported("\(node.name): \(reason)") }
      for place in node.op.parameterInputs {
        guard let id = node.inputs[safe: place], case .constant(let tensor) = graph[id].source, tensor.format != .nchw
        else { continue }
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

  /// Why shaders cannot read a node's weights; nil where they can. A weight lies in another layout than an activation, so one
  /// that is both would need two.
  static func unreadable(_ node: Node, in graph: Graph) -> String? {
    for place in node.op.parameterInputs {
      guard let id = node.inputs[safe: place] else { continue }
      switch graph[id].source {
      case .constant, .parameter: break
      case .input, .node: return "Vulkan takes weights that are constants or parameters"
      }
      let isParameterOnly = graph.users(of: id).allSatisfy { user in
        graph.nodes[user].inputs.indices.allSatisfy {
          graph.nodes[user].inputs[$0] != id || graph.nodes[user].op.parameterInputs.contains($0)
        }
      }
      guard isParameterOnly, !graph.outputs.contains(id) else {
        return "its weight \(graph[id].name) is an activation too, which Vulkan cannot read"
      }
    }
    return nil
  }
}
