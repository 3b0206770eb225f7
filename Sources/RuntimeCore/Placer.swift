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

/// Backends in order of preference: each node runs on the first that has a kernel for it. The choice depends on ops and shapes
/// alone, never on a clock.
public struct Placer: TargetTraits {
  /// The preferred one first.
  public private(set) var backends: [any Backend]
  public let options: PrepareOptions
  private var targets: [any TargetTraits]

  /// - Parameter fallback: takes the nodes that `backend` has no kernel for, and reruns an inference in which it fails; nil
  ///   for none.
  /// - Throws: where a backend knows no such options.
  public init(_ backend: any Backend, fallback: (any Backend)? = nil, _ options: PrepareOptions) throws {
    backends = if let fallback, fallback.name != backend.name { [backend, fallback] } else { [backend] }
    self.options = options
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
    for index in graph.nodes.indices { graph.place(index, on: choose(graph.nodes[index], in: graph).backend) }
  }

  /// The backend for a node, and why those before it are not.
  private func choose(_ node: Node, in graph: Graph) -> (backend: Int, refusals: [Placement.Refusal]) {
    var refusals: [Placement.Refusal] = []
    for (index, backend) in backends.enumerated().dropLast() {
      if let placed = node.placed, index < placed {
        // Placed behind it before its layout was chosen, for a reason that may have gone with that.
        refusals.append(
          .init(backend: backend.name, reason: reason(index, node, graph) ?? "placed before formats were chosen"))
        continue
      }
      guard let reason = reason(index, node, graph) else { return (index, refusals) }
      refusals.append(.init(backend: backend.name, reason: reason))
    }
    return (backends.count - 1, refusals)
  }

  /// Why a backend does not run a node; nil where it does.
  private func reason(_ index: Int, _ node: Node, _ graph: Graph) -> String? {
    if case .unsupported(let reason) = backends[index].support(for: node, in: graph, options) {
      reason
    } else {
      nil
    }
  }

  /// Plans a graph that was rewritten for these backends. A processor's instruction set need not be here; a device has to be.
  /// - Throws: ``GraphError`` where the graph is wrong, ``Unsupported`` where no backend has a kernel for a node.
  public func plan(_ graph: Graph) throws -> PlannedGraph {
    guard (1...256).contains(options.threads) else {
      throw GraphError("\(options.threads) threads: 1 to 256 are possible")
    }
    try graph.verify()
    let choices = graph.nodes.map { choose($0, in: graph) }
    return try PlannedGraph(graph, self, choices.map(\.backend), choices.map(\.refusals))
  }

  /// Plans and compiles a graph that was rewritten for these backends.
  /// - Throws: ``GraphError`` where the graph is wrong, ``Unsupported`` where a backend cannot run here or none has a kernel for
  ///   a node.
  public func prepare(_ graph: Graph) throws -> Executable {
    for backend in backends {
      if case .unavailable(let reason) = backend.availability(options) {
        throw Unsupported("backend \(backend.name) is unavailable: \(reason)")
      }
    }
    return try plan(graph).compile()
  }

  /// The last backend alone, which reruns what the others failed at; nil where there are no others.
  var fallback: Placer? {
    guard backends.count > 1 else { return nil }
    var last = self
    (last.backends, last.targets) = ([backends.last!], [targets.last!])
    return last
  }
}
