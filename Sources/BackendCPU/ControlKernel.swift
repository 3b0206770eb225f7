import GraphCore
import RuntimeCore
import TensorCore

/// Where the bodies of control flow run, when the processor interprets it.
package struct BodyPlacement: Sendable {
  /// Runs them, and takes what that does not.
  package var backend: any Backend
  package var fallback: (any Backend)?
  /// Nanoseconds that one loop may take; nil for as long as it takes.
  package var loopTimeoutNs: Int?

  package init(_ backend: any Backend, fallback: (any Backend)?, loopTimeoutNs: Int?) {
    (self.backend, self.fallback, self.loopTimeoutNs) = (backend, fallback, loopTimeoutNs)
  }
}

/// A loop was ended since its time was over.
struct LoopTimedOut: FinalError, CustomStringConvertible {
  let limitNs: Int
  var isFinal: Bool { true }
  var description: String { "MISSED_DEADLINE_TRANSIENT: a loop did not end within \(limitNs / 1_000_000) ms" }
}

/// A node that runs graphs of its own: each is planned and compiled like the one it stands in, or where the backend places bodies, and
/// has a session of its own in each session.
struct ControlKernel: CPUKernel {
  let name = "control"
  let bodies: [PlannedGraph]
  /// Once compiled.
  private var executables: [Executable] = []
  private let op: any ControlOp
  private let tensors: NodeTensors
  private let loopTimeoutNs: Int?

  init(_ op: any ControlOp, _ node: Node, of graph: Graph, _ backend: CPUBackend, _ options: PrepareOptions) throws {
    let placer = try Placer(backend.bodies?.backend ?? backend, fallback: backend.bodies?.fallback, options)
    bodies = try op.bodies.map { try placer.plan($0.graph) }
    (self.op, tensors) = (op, NodeTensors(node, of: graph))
    loopTimeoutNs = op is If ? nil : backend.bodies?.loopTimeoutNs
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

    /// Of what its bodies asked of drivers.
    var delegation: DelegationStatistics? {
      let all = sessions.compactMap { $0?.delegation }
      return all.dropFirst().reduce(all.first) { $0! + $1 }
    }

    func run(_ call: borrowing KernelCall) throws {
      let pool = call.pool
      let start = ContinuousClock.now
      let results = try kernel.op.evaluate(kernel.tensors.arguments(call)) { body, arguments in
        if let limit = kernel.loopTimeoutNs, ContinuousClock.now - start > .nanoseconds(limit) {
          throw LoopTimedOut(limitNs: limit)
        }
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
