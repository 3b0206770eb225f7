import GraphCore
import TensorCore

/// A graph placed, lowered and planned, and not yet compiled: what would run where, on whatever processor that is.
public struct PlannedGraph: Sendable {
  /// What runs when, and where each value lies.
  public let plan: Plan
  /// The kernel each node runs on, in order.
  public let placement: [Placement]
  fileprivate let placer: Placer
  /// Names of the backends it was placed with, in order of preference.
  public var backends: [String] { placer.backends.map(\.name) }
  /// By backend.
  fileprivate let lowerings: [any Lowering]

  /// - Parameters:
  ///   - placed: for each node the position of its backend.
  ///   - refusals: for each node why the backends before do not run it.
  /// - Throws: ``Unsupported`` where a backend has no kernel for one of its nodes.
  init(_ graph: Graph, _ placer: Placer, _ placed: [Int], _ refusals: [[Placement.Refusal]]) throws {
    let lowerings = try placer.backends.indices.map { index in
      try placer.backends[index].lower(graph.nodes.indices.filter { placed[$0] == index }, of: graph, placer.options)
    }
    (self.placer, self.lowerings) = (placer, lowerings)
    plan = Plan(graph, on: lowerings, placed: placed, inPlace: placer.options.inPlace)
    let kernels = Dictionary(
      uniqueKeysWithValues: plan.steps.compactMap { step in step.node.map { ($0, step.kernel) } })
    placement = graph.nodes.enumerated().map { index, node in
      let lowering = lowerings[placed[index]]
      return Placement(
        node: node.name, op: node.op.name, backend: placer.backends[placed[index]].name,
        device: lowering.device, kernel: kernels[index] ?? "view",
        refusals: refusals[index])
    }
  }

  /// - Throws: where a backend cannot run here, or a device has not what is needed.
  public func compile() throws -> Executable { try Executable(self) }
}

/// A graph planned and compiled for the backends it was placed on; shared by any number of sessions.
public final class Executable: Sendable {
  /// What runs when, and where each value lies.
  public let plan: Plan
  /// Those it was prepared with.
  public let options: PrepareOptions
  /// The kernel each node runs on, in order.
  public let placement: [Placement]
  /// By backend.
  private let compiled: [any CompiledSegments]

  /// Backends that rerun an inference in which one of its own fails; nil where there is none.
  let fallback: (placer: Placer, position: Int)?
  /// Names of the backends it was placed with, in order of preference.
  public let backends: [String]

  fileprivate init(_ planned: PlannedGraph) throws {
    let (plan, placer) = (planned.plan, planned.placer)
    (self.plan, options, placement) = (plan, placer.options, planned.placement)
    fallback = placer.fallback.map { ($0, placer.backends.count - 1) }
    backends = placer.backends.map(\.name)
    compiled = try planned.lowerings.enumerated().map { index, lowering in
      let own = plan.segments.filter { $0.backend == index }
      return try lowering.compile(own, of: plan)
    }
  }

  /// - Throws: ``OutOfMemory``, or what a device lacks.
  public func makeSession() throws -> Session {
    try makeSession(on: ThreadPool(threadCount: plan.usesHost ? options.threads : 1))
  }

  /// A session that reads and writes tensors of the caller's, of the graph's types, for as long as it is there.
  package func makeSession(inputs: [Tensor], outputs: [Tensor]) throws -> Session {
    try makeSession(on: ThreadPool(threadCount: plan.usesHost ? options.threads : 1), inputs, outputs)
  }

  /// A session within another, on its threads.
  package func makeSession(
    on pool: ThreadPool, _ inputs: [Tensor]? = nil, _ outputs: [Tensor]? = nil
  ) throws -> Session {
    var segments = [(any Segment)?](repeating: nil, count: plan.segments.count)
    for (index, compiled) in compiled.enumerated() {
      let own = plan.segments.indices.filter { plan.segments[$0].backend == index }
      let made = try compiled.makeSegments()
      precondition(made.count == own.count, "\(backends[index]) made \(made.count) segments of \(own.count)")
      for (position, segment) in zip(own, made) { segments[position] = segment }
    }
    return try Session(self, segments, pool, inputs: inputs, outputs: outputs)
  }
}

extension Plan {
  /// Copies between spaces in one run, and their bytes in the host's memory.
  public var borderCopies: (count: Int, byteCount: Int) {
    let copies = steps.flatMap(\.copies).filter { slots[$0.source].space != slots[$0.target].space }
    return (
      copies.count,
      copies.reduce(0) { sum, copy in
        sum + slots[slots[copy.source].space == .host ? copy.source : copy.target].byteCount
      }
    )
  }
}

extension Backend {
  /// Prepares a graph to run on this backend alone.
  /// - Throws: ``Unsupported`` naming the first node without a kernel, or why the backend cannot run here.
  public func prepare(_ graph: Graph, _ options: PrepareOptions = PrepareOptions()) throws -> Executable {
    try Placer(self, options).prepare(graph)
  }
}
