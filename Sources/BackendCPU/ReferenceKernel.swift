import GraphCore
import RuntimeCore
import TensorCore

/// An op's own `evaluate` as a kernel: slow, and always right.
struct ReferenceKernel: CPUKernel {
  let name = Support.reference
  private let node: Node
  private let tensors: NodeTensors

  init(_ node: Node, of graph: Graph) { (self.node, tensors) = (node, NodeTensors(node, of: graph)) }

  func run(_ call: borrowing KernelCall) throws {
    try tensors.write(node.evaluate(tensors.arguments(call)), call)
  }
}

/// A node that runs graphs of its own: each is planned and compiled like the one it stands in, and has a session of its own in
/// each session.
struct ControlKernel: CPUKernel {
  let name = "control"
  let bodies: [PlannedGraph]
  /// Once compiled.
  private var executables: [Executable] = []
  private let op: any ControlOp
  private let tensors: NodeTensors

  init(_ op: any ControlOp, _ node: Node, of graph: Graph, _ backend: CPUBackend, _ options: PrepareOptions) throws {
    bodies = try op.bodies.map { try Placer(backend, options).plan($0.graph) }
    (self.op, tensors) = (op, NodeTensors(node, of: graph))
  }

  /// - Throws: as compiling a graph does.
  func compiled() throws -> ControlKernel {
    var kernel = self
    kernel.executables = try bodies.map { try $0.compile() }
    return kernel
  }

  func forSession() -> any CPUKernel { Instance(kernel: self) }
  func run(_ call: borrowing KernelCall) throws { try Instance(kernel: self).run(call) }

  /// `@unchecked Sendable`: it belongs to one session, which is not for two threads at once.
  private final class Instance: CPUKernel, @unchecked Sendable {
    private let kernel: ControlKernel
    private var sessions: [Session?]
    var name: String { kernel.name }

    init(kernel: ControlKernel) {
      (self.kernel, sessions) = (kernel, [Session?](repeating: nil, count: kernel.bodies.count))
    }

    func run(_ call: borrowing KernelCall) throws {
      let pool = call.pool
      let results = try kernel.op.evaluate(kernel.tensors.arguments(call)) { body, arguments in
        let session = try sessions[body] ?? kernel.executables[body].makeSession(on: pool)
        sessions[body] = session
        guard session.inputs.map(\.type) == arguments.map(\.type) else {
          // Extents that are known only now: no plan is made for them.
          let graph = try kernel.op.bodies[body].graph.fitting(arguments)
          return try graph.evaluate(arguments).map { try $0.converted(to: .nchw) }
        }
        try session.run(with: arguments)
        // Copies: a loop hands them to the same body again.
        return try session.outputs.map { output in
          let result = try output.actual.converted(to: .nchw)
          let copy = try Tensor(uninitialized: result.type, allocator: SystemAllocator.shared)
          try copy.fill(result)
          return copy
        }
      }
      try kernel.tensors.write(results, call)
    }
  }
}

/// A node's inputs and outputs as tensors in NCHW, of the extents they have now.
private struct NodeTensors {
  let inputs: [TensorType]
  let outputs: [TensorType]

  init(_ node: Node, of graph: Graph) {
    (inputs, outputs) = (graph.inputTypes(of: node), node.outputs.map { graph[$0].type })
  }

  func arguments(_ call: borrowing KernelCall) throws -> [Tensor] {
    try zip(inputs, call.inputs).map { try Self.tensor($0, $1).actual.converted(to: .nchw) }
  }

  func write(_ results: [Tensor], _ call: borrowing KernelCall) throws {
    guard results.count == outputs.count else {
      throw GraphError("\(results.count) results where \(outputs.count) were declared")
    }
    for (index, type) in outputs.enumerated() {
      try Self.tensor(type, call.outputs[index]).fill(results[index].converted(to: type.format))
    }
  }

  private static func tensor(_ type: TensorType, _ pointer: UnsafeMutableRawPointer) -> Tensor {
    Tensor(type: type, storage: Storage(borrowing: pointer, byteCount: type.storageByteCount))
  }
}
