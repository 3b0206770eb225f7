import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// The processor, with kernels per instruction set.
public struct CPUBackend: Backend {
  public let name = "cpu"

  public init() {}

  public func availability(_ options: PrepareOptions) -> Availability {
    if let device = options.device, device != name { return .unavailable(reason: "no CPU device \"\(device)\"") }
    if options.kernels == .reference, options.allocator != .system || !options.inPlace || !options.hugePages {
      return .unavailable(reason: "the reference loops take memory as they go: no option changes that")
    }
    if options.storage != nil { return .unavailable(reason: "storage is a choice of GPUs") }
    if !options.cachesPipelines { return .unavailable(reason: "the CPU has no pipelines to cache") }
    return .available(DeviceInfo(name: InstructionSet.processorName, detail: InstructionSet.best.rawValue))
  }

  public func target(_ options: PrepareOptions) throws -> any TargetTraits {
    options.kernels == .fast ? CPUTarget(table: try Self.instructionSet(options).kernels) : PlainTarget()
  }

  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    if node.op is any ControlOp { return .kernel("control") }
    if options.kernels == .reference { return .kernel("reference") }
    if isView(node, in: graph) { return .kernel("view") }
    do {
      // What there is no kernel for runs on the op's own loops.
      return .kernel(try Self.kernel(for: node, in: graph, options)?.name ?? "reference")
    } catch {
      return .unsupported(reason: "\(error)")
    }
  }

  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    try CPULowering(nodes, of: graph, options)
  }

  /// The instruction set that options ask for.
  /// - Throws: ``GraphError`` where there is no such set or this machine lacks it.
  package static func instructionSet(_ options: PrepareOptions) throws -> InstructionSet {
    guard let name = options.instructionSet else { return .best }
    guard let wanted = InstructionSet(rawValue: name) else {
      throw GraphError(
        "unknown instruction set \(name); known: \(InstructionSet.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    guard InstructionSet.available.contains(wanted) else {
      throw GraphError("this machine has no \(name) (it has \(InstructionSet.best.rawValue))")
    }
    return wanted
  }

  /// Nil where there is none for the op or the element types: then the op's own loops run.
  static func kernel(for node: Node, in graph: Graph, _ options: PrepareOptions) throws -> (any CPUKernel)? {
    let types = graph.inputTypes(of: node) + node.outputs.map { graph[$0].type }
    guard node.outputs.count == 1,
      types.allSatisfy({ $0.dtype == .float32 && $0.quantization == nil && !$0.isUpperBound })
    else {
      return nil
    }
    let request = KernelRequest(
      node: node, inputs: graph.inputTypes(of: node), output: graph[node.outputs[0]].type,
      table: try instructionSet(options).kernels, useIm2col: options.kernels == .im2col,
      threads: options.threads)
    for make in kernelMakers {
      if let kernel = make(request) { return kernel }
    }
    return nil
  }
}

/// Ops whose output is their input's memory.
func isView(_ node: Node, in graph: Graph) -> Bool {
  // Where extents lie behind the elements, another shape puts them elsewhere.
  (node.op is Flatten || node.op is Dropout) && !graph[node.inputs[0]].type.isUpperBound
}

/// What the fast kernels want and are good at.
struct CPUTarget: TargetTraits {
  let table: PacerKernelTable

  func addsResidual(in node: Node, of graph: Graph) -> Bool {
    // In NCHW it was measured to cost more than the addition on its own.
    guard let conv = node.op as? Conv2D, graph[node.inputs[0]].type.format == .nhwc, isFloat32(node, graph) else {
      return false
    }
    return !conv.isDepthwise(graph[node.inputs[0]].type.shape, graph[node.inputs[1]].type.shape)
  }

  func prefersWinograd(for node: Node, in graph: Graph) -> Bool {
    let input = graph[node.inputs[0]].type
    return isFloat32(node, graph) && input.format == .nhwc
      && WinogradKernel.pays(input.shape, graph[node.outputs[0]].type.shape, table)
  }

  /// Where the tensors between the convolutions would not stay in a core's own cache.
  func fusesDepthwise(_ block: DepthwiseBlock, of types: [TensorType]) -> Bool {
    guard types[0].format == .nhwc, types.allSatisfy({ $0.dtype == .float32 }),
      DepthwiseNHWCKernel.runs(block, types.map(\.shape)),
      let between = try? block.types(for: types).dropLast()
    else { return false }
    return between.reduce(0) { $0 + $1.byteCount } >= DepthwiseNHWCKernel.leastBytesBetween
  }

  func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] {
    // What has no kernel reads weights as they are.
    guard isFloat32(node, graph) else { return [:] }
    if let block = node.op as? DepthwiseBlock {
      return DepthwiseNHWCKernel.weightFormats(block, graph.inputTypes(of: node), table)
    }
    return weightFormat(for: node, in: graph).map { [1: $0] } ?? [:]
  }

  private func isFloat32(_ node: Node, _ graph: Graph) -> Bool {
    (node.inputs + node.outputs).allSatisfy { graph[$0].type.dtype == .float32 }
  }

  private func weightFormat(for node: Node, in graph: Graph) -> MemoryFormat? {
    if node.op is Linear { return LinearKernel.weightFormat(table) }
    guard let conv = node.op as? Conv2D else { return nil }
    let input = graph[node.inputs[0]].type
    let isDepthwise = conv.isDepthwise(input.shape, graph[node.inputs[1]].type.shape)
    switch (input.format, isDepthwise) {
    case (.nhwc, true): return DepthwiseNHWCKernel.weightFormat(channels: input.shape[1], table)
    case (.nhwc, false)
    where conv.algorithm == .winograd && conv.allowsWinograd(graph[node.inputs[1]].type.shape):
      return WinogradKernel.weightFormat(graph[node.outputs[0]].type.shape, table)
    case (.nhwc, false):
      let streams = IndirectConvolutionKernel.streams(
        conv, weight: graph[node.inputs[1]].type.shape, output: graph[node.outputs[0]].type.shape)
      return IndirectConvolutionKernel.weightFormat(conv, streams: streams, table)
    case (_, true): return nil
    case (_, false): return PlaneConvolutionKernel.weightFormat(conv, table)
    }
  }
}
