import GraphCore
import TensorCore

/// Where a node runs, and why not elsewhere.
public struct Placement: Sendable, Equatable {
  /// A backend by name, and why it does not run the node.
  public struct Refusal: Sendable, Equatable {
    public var backend: String
    public var reason: String
    public init(backend: String, reason: String) { (self.backend, self.reason) = (backend, reason) }
  }

  /// Name of the node and of its op.
  public var node: String
  public var op: String
  /// Name of the backend and of the device that it runs on.
  public var backend: String
  public var device: String
  /// `view` where nothing runs, `reference` for the op's own loops.
  public var kernel: String
  /// Backends that come before its own, and why they do not run it.
  public var refusals: [Refusal]

  public init(
    node: String, op: String, backend: String, device: String, kernel: String, refusals: [Refusal] = []
  ) {
    (self.node, self.op, self.backend, self.device) = (node, op, backend, device)
    (self.kernel, self.refusals) = (kernel, refusals)
  }
}

/// Backends in order of preference, and the policy that chooses between them: without one of its own each node runs on the first that has a
/// kernel for it. The choice depends on ops and shapes alone, never on a clock.
public struct Placer: TargetTraits {
  /// The preferred one first.
  public private(set) var backends: [any Backend]
  public let options: PrepareOptions
  private var targets: [any TargetTraits]
  private var policy: any PlacementPolicy
  /// The backend that was asked for, which may be made of others.
  private var source: any Backend
  /// Whether the last backend reruns inferences in which another one fails.
  private var fallsBack: Bool

  /// - Parameter fallback: takes the nodes that `backend` has no kernel for, and reruns an inference in which it fails; nil
  ///   for none.
  /// - Throws: where a backend knows no such options.
  public init(_ backend: any Backend, fallback: (any Backend)? = nil, _ options: PrepareOptions) throws {
    let fallback = backend.allowsFallback ? fallback.flatMap { $0.name == backend.name ? nil : $0 } : nil
    backends = backend.members + [fallback].compactMap { $0 }
    guard !backends.isEmpty else { throw Unsupported("backend \(backend.name) has no device to run on") }
    (self.options, policy, fallsBack, source) = (options, backend.policy, fallback != nil, backend)
    targets = try backends.map { try $0.target(options) }
  }

  public func traits(for node: Node) -> any TargetTraits { targets[safe: node.placed ?? 0] ?? targets[0] }
  public func weightFormats(for node: Node, in graph: Graph) -> [Int: MemoryFormat] {
    traits(for: node).weightFormats(for: node, in: graph)
  }
  public func addsResidual(in node: Node, of graph: Graph) -> Bool {
    traits(for: node).addsResidual(in: node, of: graph)
  }
  public func prefersWinograd(for node: Node, in graph: Graph) -> Bool {
    traits(for: node).prefersWinograd(for: node, in: graph)
  }

  public func place(_ graph: inout Graph) {
    // What another placer chose is nothing here.
    for index in graph.nodes.indices { graph.place(index, on: nil) }
    guard backends.count > 1 else { return }
    let choices = policy.choose(graph, among: backends, options, isFinal: false)
    for (index, choice) in choices.enumerated() { graph.place(index, on: choice.backend) }
  }

  /// Plans a graph that was rewritten for these backends. A processor's instruction set need not be here; a device has to be.
  /// - Throws: ``GraphError`` where the graph is wrong, ``Unsupported`` where no backend has a kernel for a node.
  public func plan(_ graph: Graph) throws -> PlannedGraph {
    guard (1...256).contains(options.threads) else {
      throw GraphError("\(options.threads) threads: 1 to 256 are possible")
    }
    try graph.verify()
    let choices = policy.choose(graph, among: backends, options, isFinal: true)
    let order = policy.order(graph, placed: choices.map(\.backend))
    let ordered = order.map { choices[$0] }
    return try PlannedGraph(
      graph.reordered(order), self, ordered.map(\.backend), ordered.map(\.refusals))
  }

  /// Plans and compiles a graph that was rewritten for these backends.
  /// - Throws: ``GraphError`` where the graph is wrong, ``Unsupported`` where a backend cannot run here or none has a kernel for
  ///   a node.
  public func prepare(_ graph: Graph) throws -> Executable {
    for backend in [source] + backends {
      if case .unavailable(let reason) = backend.availability(options) {
        throw Unsupported("backend \(backend.name) is unavailable: \(reason)")
      }
    }
    return try plan(graph).compile()
  }

  /// The last backend alone, which reruns what the others failed at; nil where there is none for that.
  var fallback: Placer? {
    guard fallsBack else { return nil }
    var last = self
    (last.backends, last.targets) = ([backends.last!], [targets.last!])
    (last.policy, last.fallsBack, last.source) = (FirstCapable(), false, backends.last!)
    return last
  }
}
