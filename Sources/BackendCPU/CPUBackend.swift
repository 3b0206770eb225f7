import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// The processor, with kernels per instruction set.
public struct CPUBackend: Backend {
  public let name = "cpu"
  /// The family that kernels are taken from.
  public var kernels: KernelFamily
  /// The instruction set to choose kernels for and to pack weights for, which this machine need not have: what is placed, lowered
  /// and planned for another can be looked at here, and run there.
  public var instructionSet: InstructionSet
  /// Where the graphs that control flow runs are placed; nil for here.
  package var bodies: BodyPlacement?

  /// - Parameter instructionSet: nil for the best this machine has.
  public init(kernels: KernelFamily = .fast, instructionSet: InstructionSet? = nil) {
    (self.kernels, self.instructionSet) = (kernels, instructionSet ?? .best)
  }

  public func choosing(_ option: String, _ value: String) throws -> CPUBackend? {
    var backend = self
    switch option {
    case "kernels":
      guard let kernels = KernelFamily(rawValue: value) else { throw Unsupported("unknown kernels \(value)") }
      backend.kernels = kernels
    case "isa":
      guard let wanted = InstructionSet(rawValue: value) else {
        let known = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")
        throw Unsupported("unknown instruction set \(value); known: \(known)")
      }
      backend.instructionSet = wanted
    case "device" where value == name: break
    default: return nil
    }
    return backend
  }

  public func availability(_ options: PrepareOptions) -> Availability {
    if kernels == .reference, options.allocator != .system || !options.inPlace || !options.hugePages {
      return .unavailable(reason: "the reference loops take memory as they go: no option changes that")
    }
    if let reason = instructionSet.absence { return .unavailable(reason: reason) }
    return .available(DeviceInfo(name: InstructionSet.processorName, detail: InstructionSet.best.rawValue))
  }

  public func target(_ options: PrepareOptions) throws -> any TargetTraits {
    kernels == .fast ? CPUTarget(table: instructionSet.table) : PlainTarget()
  }

  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    if node.op is any ControlOp { return .kernel("control") }
    if kernels == .reference { return .kernel(Support.reference) }
    if viewOffset(of: node, in: graph) != nil { return .kernel("view") }
    // What there is no kernel for runs on the op's own loops.
    return .kernel(kernel(for: node, in: graph, options)?.name ?? Support.reference)
  }

  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    try CPULowering(nodes, of: graph, self, options)
  }

  /// Nil where there is none for the op or the element types: then the op's own loops run.
  func kernel(for node: Node, in graph: Graph, _ options: PrepareOptions) -> (any CPUKernel)? {
    let inputs = graph.inputTypes(of: node)
    let output = graph[node.outputs[0]].type
    let all = inputs + node.outputs.map { graph[$0].type }
    // What computes something of nothing, or nothing, is none of a kernel's business.
    guard !inputs.isEmpty, output.shape.count > 0 else { return nil }
    let isRecurrent = node.op is Recurrent && all.allSatisfy(\.isPlainFloat) || node.op is DynamicRecurrent
    guard node.outputs.count == 1 || kernels == .fast && isRecurrent else { return nil }
    if node.stored == nil, kernels == .fast {
      for make in movingKernelMakers { if let kernel = make(node.op, inputs, output) { return kernel } }
    }
    guard all.allSatisfy({ $0.shape.count > 0 }) else { return nil }
    if all.allSatisfy(\.isPlainFloat) { return kernel(for: node, inputs, output, options) }
    guard kernels == .fast else { return nil }
    if all.contains(where: { $0.quantization != nil }) {
      let request = KernelRequest(
        node: node, inputs: inputs, output: output, table: instructionSet.table, useIm2col: false,
        threads: options.threads)
      for make in integerKernelMakers { if let kernel = make(request) { return kernel } }
      // Their sums are exact, which those of float32 are not.
      if Node.sumsIntegers(node.op, inputs) || Node.averagesIntegers(node.op, inputs) { return nil }
    }
    // What only moves numbers may as well move wider ones.
    let isFloat = if case .any = node.op.elementTypes { node.op is ConvertFormat } else { true }
    guard isFloat, all.allSatisfy({ $0.widened.isPlainFloat }) else { return nil }
    return kernel(for: node, inputs.map(\.widened), output.widened, options).flatMap {
      WideningKernel($0, inputs: inputs, output: output, instructionSet.table)
    }
  }

  private func kernel(
    for node: Node, _ inputs: [TensorType], _ output: TensorType, _ options: PrepareOptions
  ) -> (any CPUKernel)? {
    let request = KernelRequest(
      node: node, inputs: inputs, output: output, table: instructionSet.table, useIm2col: kernels == .im2col,
      threads: options.threads)
    for make in kernelMakers {
      if let kernel = make(request) { return kernel }
    }
    return nil
  }
}

extension TensorType {
  /// Whether fast kernels can read and write it.
  var isPlainFloat: Bool { dtype == .float32 && quantization == nil && !isUpperBound }
}

/// Where the output of a node lies in its input's memory, in bytes; nil where it is no part of that, or one that begins where kernels
/// do not want their tensors to.
func viewOffset(of node: Node, in graph: Graph) -> Int? {
  // Where extents lie behind the elements, another shape puts them elsewhere.
  guard node.stored == nil, !node.inputs.isEmpty, !graph[node.inputs[0]].type.isUpperBound else { return nil }
  if node.op is Reshape || node.op is Dropout { return 0 }
  guard node.op is Slice, let move = move(node, in: graph), let offset = move.sources?[0] else { return nil }
  return offset % Storage.alignment == 0 ? offset : nil
}

/// Whether the output of a node is its inputs, one behind the other, each where kernels want a tensor to begin.
func joins(_ node: Node, in graph: Graph) -> Bool {
  guard node.op is Concat, node.stored == nil, let targets = move(node, in: graph)?.targets else { return false }
  return targets.count == node.inputs.count && targets.allSatisfy { $0 % Storage.alignment == 0 }
}

private func move(_ node: Node, in graph: Graph) -> MoveKernel? {
  MoveKernel.make(node.op, node.inputs.map { graph[$0].type }, graph[node.outputs[0]].type)
}

/// What the fast kernels want and are good at.
struct CPUTarget: TargetTraits {
  let table: PacerKernelTable

  func addsResidual(in node: Node, of graph: Graph) -> Bool {
    // In NCHW it was measured to cost more than the addition on its own.
    guard let conv = node.op as? Conv2D, graph[node.inputs[0]].type.format == .nhwc,
      isFloat32(node, graph) || Node.sumsIntegers(conv, graph.inputTypes(of: node))
    else { return false }
    return !conv.isDepthwise(graph[node.inputs[0]].type.shape, graph[node.inputs[1]].type.shape)
  }

  func prefersWinograd(for node: Node, in graph: Graph) -> Bool {
    let input = graph[node.inputs[0]].type
    return isFloat32(node, graph) && input.format == .nhwc
      && WinogradKernel.pays(input.shape, graph[node.outputs[0]].type.shape, table)
  }

  /// Where the tensors between the convolutions would not stay in a core's own cache.
  func fusesDepthwise(_ block: DepthwiseBlock, of types: [TensorType]) -> Bool {
    guard types[0].format == .nhwc, types.allSatisfy(\.isPlainFloat),
      DepthwiseNHWCKernel.runs(block, types.map(\.shape)),
      let between = try? block.types(for: types).dropLast()
    else { return false }
    return between.reduce(0) { $0 + $1.byteCount } >= DepthwiseNHWCKernel.leastBytesBetween
  }

  func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] {
    if let formats = dotFormats(for: node, in: graph) { return formats }
    // What has no kernel reads weights as they are.
    guard isFloat32(node, graph) else { return [:] }
    if let block = node.op as? DepthwiseBlock {
      return DepthwiseNHWCKernel.weightFormats(block, graph.inputTypes(of: node), table)
    }
    return weightFormat(for: node, in: graph).map { [1: $0] } ?? [:]
  }

  /// Of weights that are bytes, where a kernel multiplies those.
  private func dotFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat]? {
    let inputs = graph.inputTypes(of: node)
    guard Node.multipliesIntegers(node.op, inputs),
      (inputs + [graph[node.outputs[0]].type]).allSatisfy({ $0.shape.count > 0 })
    else { return nil }
    let request = KernelRequest(
      node: node, inputs: inputs, output: graph[node.outputs[0]].type, table: table, useIm2col: false, threads: 1)
    switch node.op {
    case is DynamicLinear:
      return DynamicLinearKernel.make(request).map { _ in [1: matrix(DynamicLinearKernel.layout(table), 1)] }
    case let op as DynamicRecurrent:
      let layout = DynamicLSTMKernel.layout(op, table)
      return DynamicLSTMKernel.make(request).map { _ in [1: matrix(layout, 1), 2: matrix(layout, 2)] }
    case let op as any FusingOp:
      if DotColumnsKernel.make(request) != nil { return [1: .dots(DotColumnsKernel.layout(table))] }
      return DotKernel.make(request).map { _ in [1: matrix(DotKernel.layout(op, inputs, table), 1)] }
    default: return nil
    }
    func matrix(_ layout: DotLayout, _ input: Int) -> MemoryFormat {
      var layout = layout.asPacked(inputs[input])
      if table.addsSmallDots != 0, let weight = graph.data(of: node.inputs[input]), weight.type.format == .nchw {
        layout.isSmall = DotLayout.fits(weight)
      }
      return .dots(layout)
    }
  }

  private func isFloat32(_ node: Node, _ graph: Graph) -> Bool {
    (node.inputs + node.outputs).map { graph[$0].type }.allSatisfy(\.isPlainFloat)
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
