import BackendCPU
import BackendVulkan
import GraphCore
import RuntimeCore
import TensorCore

extension DriverProfile {
  /// The backend that computes underneath.
  /// - Parameter options: choices of that backend's own, such as an instruction set.
  /// - Throws: where it cannot be that.
  package func computing(_ options: [String: String] = [:]) throws -> any Backend {
    var backend: any Backend =
      switch compute {
      case .cpu: CPUBackend()
      case .im2col: CPUBackend(kernels: .im2col)
      case .reference: CPUBackend(kernels: .reference)
      case .vulkan: VulkanBackend()
      case .android: AndroidBackend(profile: self)
      }
    for (option, value) in options.sorted(by: { $0.key < $1.key }) {
      if let chosen = try backend.choosing(option, value) { backend = chosen }
    }
    return backend
  }

  /// What of a client's options its own backend is prepared with: how the client allocates is not the driver's business where that has
  /// but one way.
  func own(_ options: PrepareOptions) -> PrepareOptions {
    var own = options
    switch compute {
    case .cpu, .im2col: break
    case .reference, .android: own = PrepareOptions(threads: 1)
    case .vulkan:
      if ![.system, .arena].contains(options.allocator) { own.allocator = .arena }
      own.inPlace = true
    }
    return own
  }

  /// Why the driver does not take a node, the first of its reasons; nil where it does.
  /// - Parameters:
  ///   - checksLayout: false where images do not lie yet as they will.
  ///   - forgiven: A reason that is taken for none.
  func refusal(
    of node: Node, in graph: Graph, checksLayout: Bool = true, forgiving forgiven: String? = nil
  ) -> String? {
    refusals(of: node, in: graph, checksLayout: checksLayout).first { $0 != forgiven }
  }

  /// All of its reasons, but those behind what NNAPI cannot express.
  private func refusals(of node: Node, in graph: Graph, checksLayout: Bool) -> [String] {
    let codes: [OperationCode]
    do { codes = try graph.nnapiOperations(for: node) } catch { return ["\(error)"] }
    var reasons = codes.filter { limits.withoutOperations.contains($0) || limits.operations?.contains($0) == false }
      .map { "\(name) has no \($0)" }
    if let op = node.op as? any ControlOp {
      if (op is If ? capabilities.if : capabilities.while) == nil { reasons.append("\(name) has no control flow") }
      for body in op.bodies {
        for inner in body.graph.nodes {
          let own = refusals(of: inner, in: body.graph, checksLayout: checksLayout)
          reasons += own.map { "in \(inner.name): \($0)" }
        }
      }
    }
    let weights = node.op.parameterInputs
    for (position, id) in (node.inputs + node.outputs).enumerated() {
      let isWeight = weights.contains(position) && position < node.inputs.count
      reasons += refusals(of: graph.nnapiType(of: id), isWeight: isWeight, checksLayout)
    }
    return reasons
  }

  private func refusals(of type: TensorType, isWeight: Bool, _ checksLayout: Bool) -> [String] {
    var reasons: [String] = []
    if !isWeight, let types = limits.operandTypes, let operand = OperandType(type), !types.contains(operand) {
      reasons.append("\(name) has no \(operand)")
    }
    if let most = limits.maxRank, type.shape.rank > most {
      reasons.append("\(name) takes \(most) axes, not \(type.shape.rank)")
    }
    guard !isWeight, type.shape.rank == 4 else { return reasons }
    if let most = limits.maxBatch, type.shape[0] > most {
      reasons.append("\(name) takes batches of \(most), not \(type.shape[0])")
    }
    // One pixel or one channel lies alike both ways.
    if checksLayout, let layout = limits.layout, !type.liesAlike, (type.format == .nhwc) != (layout == .nhwc) {
      reasons.append("\(name) takes images in \(layout.rawValue), not in \(type.format)")
    }
    return reasons
  }
}
