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
    case .reference: own = PrepareOptions(threads: 1)
    case .vulkan:
      if ![.system, .arena].contains(options.allocator) { own.allocator = .arena }
      own.inPlace = true
    }
    return own
  }

  /// Why the driver does not take a node; nil where it does.
  /// - Parameter checksLayout: false where images do not lie yet as they will.
  func refusal(of node: Node, in graph: Graph, checksLayout: Bool = true) -> String? {
    let codes: [OperationCode]
    do { codes = try graph.nnapiOperations(for: node) } catch { return "\(error)" }
    for code in codes {
      if limits.withoutOperations.contains(code) || limits.operations?.contains(code) == false {
        return "\(name) has no \(code)"
      }
    }
    if let op = node.op as? any ControlOp {
      guard (op is If ? capabilities.if : capabilities.while) != nil else { return "\(name) has no control flow" }
      for body in op.bodies {
        for inner in body.graph.nodes {
          if let reason = refusal(of: inner, in: body.graph, checksLayout: checksLayout) {
            return "in \(inner.name): \(reason)"
          }
        }
      }
    }
    let weights = node.op.parameterInputs
    for (position, id) in (node.inputs + node.outputs).enumerated() {
      let isWeight = weights.contains(position) && position < node.inputs.count
      if let reason = refusal(of: graph.nnapiType(of: id), isWeight: isWeight, checksLayout) { return reason }
    }
    return nil
  }

  private func refusal(of type: TensorType, isWeight: Bool, _ checksLayout: Bool) -> String? {
    if !isWeight, let types = limits.operandTypes, let operand = OperandType(type), !types.contains(operand) {
      return "\(name) has no \(operand)"
    }
    if let most = limits.maxRank, type.shape.rank > most { return "\(name) takes \(most) axes, not \(type.shape.rank)" }
    guard !isWeight, type.shape.rank == 4 else { return nil }
    if let most = limits.maxBatch, type.shape[0] > most {
      return "\(name) takes batches of \(most), not \(type.shape[0])"
    }
    // One pixel or one channel lies alike both ways.
    if checksLayout, let layout = limits.layout, !type.liesAlike, (type.format == .nhwc) != (layout == .nhwc) {
      return "\(name) takes images in \(layout.rawValue), not in \(type.format)"
    }
    return nil
  }
}
