import GraphCore
import RuntimeCore
import TensorCore

/// One node bound to shaders: everything but where its tensors lie.
struct VulkanKernel {
  let name: String
  /// Texels of each piece of working memory.
  var scratch: [Int] = []
  /// Float type of working memory and of what is prepared: the weight's.
  var scratchType = DType.float32
  /// What is computed once from packed weights, when a graph is prepared, and stays.
  var prepared: (texels: Int, dispatches: [Dispatch])?
  let dispatches: [Dispatch]
  /// Clamps by channel, of the dispatch that ends with them.
  var limits: [Clamp] { dispatches.first { !$0.limits.isEmpty }?.limits ?? [] }
}

/// One call of a shader.
struct Dispatch {
  enum Operand {
    case input(Int)
    case output
    case scratch(Int)
    case prepared
    /// Lower and upper limits by channel, a quad of each in turn.
    case limits
  }

  /// File stem of the shader.
  var shader: String
  /// The shader's own specialisation constants, by id from 3.
  var constants: [Int32] = []
  /// As shaders count them.
  var epilogue: Int32 = 0
  /// Clamps by channel.
  var limits: [Clamp] = []
  var push: PushConstants
  /// Invocations of a workgroup along x, and workgroups in two directions.
  var groupSize: Int
  var groups: (x: Int, y: Int)
  /// Products of the same shape.
  var products = 1
  /// At bindings 0, 1, …
  var reads: [Operand]
  /// At binding 5.
  var writes = Operand.output

  /// One invocation per element.
  static func over(
    _ count: Int, _ shader: String, _ constants: [Int32] = [], _ push: PushConstants, reads: [Operand],
    writes: Operand = .output
  ) -> Dispatch {
    // No device takes fewer than 65,535 workgroups along an axis.
    let groups = (count + 63) / 64
    let rows = (groups + 65534) / 65535
    return Dispatch(
      shader: shader, constants: constants, push: push, groupSize: 64, groups: ((groups + rows - 1) / rows, rows),
      reads: reads, writes: writes)
  }
}

extension Dispatch {
  /// The same with an epilogue at its end.
  func finished(_ epilogue: Epilogue?) -> Dispatch {
    guard let epilogue else { return self }
    var dispatch = self
    (dispatch.epilogue, dispatch.limits) = (Int32(epilogue.kind), epilogue.channelLimits)
    if !dispatch.limits.isEmpty {
      while dispatch.reads.count < 4 { dispatch.reads.append(.input(0)) }
      dispatch.reads.append(.limits)
    }
    return dispatch
  }

  /// Brings a tensor of the host into texels.
  static func upload(_ layout: TexelLayout) -> Dispatch { transfer("upload", layout, reads: []) }
  /// Brings texels to the host.
  static func download(_ layout: TexelLayout) -> Dispatch { transfer("download", layout, reads: [.input(0)]) }

  private static func transfer(_ shader: String, _ layout: TexelLayout, reads: [Operand]) -> Dispatch {
    var push = PushConstants()
    push.add(layout)
    push.add(layout.channels, layout.quads, layout.pixels, layout.texels)
    return .over(layout.texels, shader, [], push, reads: reads)
  }
}

/// The words of a shader's push-constant block, in its order.
struct PushConstants {
  private(set) var words: [UInt32] = []

  /// Values beyond 32 bits are of tensors that no region takes.
  mutating func add(_ values: Int...) { words += values.map { UInt32(truncatingIfNeeded: $0) } }
  /// Width before height, as shaders have it.
  mutating func add(_ pairs: Pair...) { for pair in pairs { add(pair.w, pair.h) } }
  mutating func add(_ layouts: TexelLayout...) {
    for layout in layouts { add(layout.quads * layout.pixels, layout.quadStride, layout.pixelStride) }
  }
  mutating func add(_ epilogue: Epilogue?) {
    var limits = Clamp.none
    if case .clamp(let clamp) = epilogue { limits = clamp }
    words += [limits.min.bitPattern, limits.max.bitPattern]
  }
  mutating func add(_ value: Float) { words.append(value.bitPattern) }
}

/// What a kernel is chosen by.
struct VulkanRequest {
  let node: Node
  let inputs: [TensorType]
  let output: TensorType
  let device: PhysicalDevice
  let storage: TensorStorage
  /// See ``PhysicalDevice/wantedSubgroups``.
  let wantedSubgroups: Int

  func layout(_ index: Int) -> TexelLayout { TexelLayout(inputs[index]) }
  var result: TexelLayout { TexelLayout(output) }
}

/// Kernels in order of preference: the first whose maker answers is taken. Choice depends on shapes and on what the device
/// is and wants alone.
let vulkanKernelMakers: [@Sendable (VulkanRequest) -> VulkanKernel?] = [
  depthwiseKernel, winogradKernel, panelKernel, groupedKernel, linearKernel, elementwiseKernel, poolKernel,
  rearrangeKernel,
]

/// Ops whose output is their input's texels.
func isView(_ node: Node, in graph: Graph) -> Bool {
  guard node.stored == nil else { return false }
  let input = graph[node.inputs[0]].type
  return node.op is Dropout
    || flattens(node.op, input, graph[node.outputs[0]].type) && TexelLayout(input).pixels == 1
}

/// The kernel of a node, or why there is none.
func vulkanKernel(_ request: VulkanRequest) -> Result<VulkanKernel, Unsupported> {
  // Those of several groups have no such shaders.
  if let conv = request.node.op as? Conv2D, conv.multipliesFloat16, conv.groups == 1, !request.device.hasHalfArithmetic
  {
    return .failure(Unsupported("\(request.device.name) cannot compute in float16; it can store it"))
  }
  for make in vulkanKernelMakers {
    guard var kernel = make(request) else { continue }
    if request.node.op.parameterInputs.contains(1) { kernel.scratchType = request.inputs[1].dtype }
    // What a device can reach, before anything is prepared.
    let working = (kernel.scratch + [kernel.prepared?.texels ?? 0]).map {
      ($0, $0 * texelByteCount(kernel.scratchType))
    }
    let tensors = (request.inputs + [request.output]).map { type in
      let layout = TexelLayout(type)
      return (layout.texels, layout.byteCount(type.dtype))
    }
    let (largest, bytes) = (tensors + working).reduce((0, 0)) { (max($0.0, $1.0), max($0.1, $1.1)) }
    let limit = request.storage == .texels ? request.device.maxTexels : .max
    guard largest <= limit, bytes <= request.device.maxBufferRange else {
      return .failure(
        Unsupported("\(request.node.name): a tensor of \(largest) texels is more than \(request.device.name) can reach")
      )
    }
    return .success(kernel)
  }
  return .failure(
    Unsupported("no Vulkan kernel for \(request.node.name) (\(request.node.op.name))"))
}

/// Formats in which shaders read weights.
enum VulkanWeights {
  static let convolution = PanelLayout(width: 8, depth: .tapsThenChannels, depthMultiple: 4)
  static let depthwise = PanelLayout(width: 4, depth: .tapsThenChannels)
  static let linear = PanelLayout(width: 4, depth: .tapsThenChannels, depthMultiple: 4)

  /// Nil for an op without a weight, or a shader that reads it as it comes.
  static func layout(for op: any Op, _ input: Shape, _ weight: Shape) -> PanelLayout? {
    if op is Linear { return linear }
    guard let conv = op as? Conv2D else { return nil }
    if conv.isDepthwise(input, weight) { return depthwise }
    return conv.groups == 1 ? convolution : nil
  }

  /// What rearranges a weight that is not in its format yet, at each inference: the dispatch, its working memory, and
  /// where the kernel then finds the weight.
  static func ready(
    _ request: VulkanRequest, _ layout: PanelLayout
  ) -> (dispatches: [Dispatch], scratch: [Int], weight: Dispatch.Operand) {
    let type = request.inputs[1]
    guard type.format != .panels(layout) else { return ([], [], .input(1)) }
    let shape = type.shape
    let channels = shape.rank > 1 ? shape[1] : 1
    let texels = layout.elementCount(for: shape) / 4
    var push = PushConstants()
    push.add(
      shape[0], channels, layout.paddedChannels(channels), shape.count / shape[0] / channels, texels)
    return (
      [.over(texels, "panels", [Int32(layout.width)], push, reads: [.input(1)], writes: .scratch(0))], [texels],
      .scratch(0)
    )
  }
}
