import GraphCore
import RuntimeCore
import TensorCore

/// Any Vulkan 1.1 device, with compute shaders.
public struct VulkanBackend: Backend {
  public let name = "vulkan"
  /// By index or a part of its name; nil for the first one.
  public var device: String?
  /// Nil for what suits the device.
  public var storage: TensorStorage?
  /// Whether compiled pipelines are kept on disk for the next process.
  public var cachesPipelines: Bool

  /// As ``PhysicalDevice/wantedSubgroups``, for tests of what other devices would be given; nil for what suits the device.
  var wantedSubgroups: Int?

  /// - Parameters: as the properties of the same names.
  public init(device: String? = nil, storage: TensorStorage? = nil, cachesPipelines: Bool = true) {
    (self.device, self.storage, self.cachesPipelines) = (device, storage, cachesPipelines)
  }

  public func choosing(_ option: String, _ value: String) throws -> VulkanBackend? {
    var backend = self
    switch option {
    case "device": backend.device = value
    case "storage":
      guard let storage = TensorStorage(rawValue: value) else { throw Unsupported("unknown storage \(value)") }
      backend.storage = storage
    case "pipeline-cache":
      guard ["on", "off"].contains(value) else { throw Unsupported("a pipeline cache is on or off, not \(value)") }
      backend.cachesPipelines = value == "on"
    default: return nil
    }
    return backend
  }

  public func availability(_ options: PrepareOptions) -> Availability {
    do {
      if ![.system, .arena].contains(options.allocator) {
        return .unavailable(reason: "Vulkan allocates nothing while it runs: use system (a block a tensor) or arena")
      }
      if !options.inPlace { return .unavailable(reason: "Vulkan gives each output memory of its own as it is") }
      let device = try VulkanInstance.shared.get().device(named: device)
      return .available(device.info)
    } catch {
      return .unavailable(reason: "\(error)")
    }
  }

  public func devices() -> [DeviceInfo] { (try? VulkanInstance.shared.get().devices.map(\.info)) ?? [] }

  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    let types = graph.inputTypes(of: node) + node.outputs.map { graph[$0].type }
    if let other = types.first(where: { ![.float32, .float16].contains($0.dtype) || $0.quantization != nil }) {
      return .unsupported(reason: "Vulkan computes on f32 and f16, not on \(other.dtype.rawValue)")
    }
    if types.contains(where: \.isUpperBound) {
      return .unsupported(reason: "Vulkan computes tensors whose extents are known beforehand")
    }
    guard !node.inputs.isEmpty else { return .unsupported(reason: "Vulkan has no kernels without inputs") }
    guard node.outputs.count == 1 else { return .unsupported(reason: "Vulkan has no kernels of several outputs") }
    if isView(node, in: graph) { return .kernel("view") }
    if let reason = VulkanLowering.unreadable(node, in: graph) { return .unsupported(reason: reason) }
    do {
      let device = try VulkanInstance.shared.get().device(named: device)
      return .kernel(try vulkanKernel(request(node, in: graph, on: device)).get().name)
    } catch {
      return .unsupported(reason: "\(error)")
    }
  }

  /// What a kernel for the node would be chosen by.
  func request(_ node: Node, in graph: Graph, on device: PhysicalDevice) -> VulkanRequest {
    VulkanRequest(
      node: node, inputs: graph.inputTypes(of: node), output: graph[node.outputs[0]].type, device: device,
      storage: storage ?? device.preferredStorage, wantedSubgroups: wantedSubgroups ?? device.wantedSubgroups)
  }

  public func target(_ options: PrepareOptions) throws -> any TargetTraits {
    VulkanTarget()
  }

  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    try VulkanLowering(nodes, of: graph, self, options)
  }
}

/// What the shaders want and are good at: known without a device, so that a model can be prepared anywhere.
struct VulkanTarget: TargetTraits {
  func addsResidual(in node: Node, of graph: Graph) -> Bool { true }

  /// Enough channels that the transforms are little beside the products; enough tiles that weights of four times the
  /// size are worth reading; in float32, because in float16 the transformed values lose too much.
  func prefersWinograd(for node: Node, in graph: Graph) -> Bool {
    let (input, output) = (graph[node.inputs[0]].type.shape, graph[node.outputs[0]].type.shape)
    let tiles = output[0] * ((output[2] + 3) / 4) * ((output[3] + 3) / 4)
    return graph[node.inputs[1]].type.dtype == .float32 && tiles >= 16 && input[1] > 28 && output[1] > 28
  }

  func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] {
    guard node.inputs.count > 1 else { return [:] }
    let types = graph.inputTypes(of: node)
    return VulkanWeights.layout(for: node.op, types[0].shape, types[1].shape).map { [1: .panels($0)] } ?? [:]
  }
}

extension PhysicalDevice {
  var info: DeviceInfo {
    DeviceInfo(name: name, detail: "Vulkan \(version), \(driver)" + (isSoftware ? ", software" : ""))
  }
  /// On Mesa's software driver texels take half the time; on a discrete GPU they took 1.12 (1.10–1.14) times as long on MobileNetV2.
  var preferredStorage: TensorStorage { isDiscrete ? .buffers : .texels }

  /// Subgroups to keep at work at once, which Vulkan does not tell. On a GPU of 132 multiprocessors 4096 take 0.34 and 0.15 of the
  /// time that one invocation a sum takes (MobileNetV2, ResNet18), fewer took longer; a sixteenth of that for integrated ones is
  /// an expectation. A processor is busy with any, and dividing a sum costs it more.
  var wantedSubgroups: Int { isSoftware ? 1 : isDiscrete ? 4096 : 256 }
}
