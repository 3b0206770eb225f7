import BackendCPU
import GraphCore
import RuntimeCore
import Synchronization
import TensorCore

/// A device with memory of its own that takes some nodes and computes them with the CPU's kernels, and fails when it is told to.
public struct StubBackend: Backend {
  public struct Lost: Error, CustomStringConvertible {
    public var description: String { "the stub was unplugged" }
  }

  /// Counts steps down to the one that fails.
  public final class Fault: Sendable {
    private let remaining = Mutex<Int?>(nil)
    public func set(after steps: Int?) { remaining.withLock { $0 = steps } }
    func step() throws {
      let fails = remaining.withLock { left in
        guard let now = left else { return false }
        left = now == 0 ? nil : now - 1
        return now == 0
      }
      if fails { throw Lost() }
    }
  }

  public let name = "stub"
  public let fault = Fault()
  private let takes: @Sendable (Node, Graph) -> Bool

  public static func convolutionsOnly() -> StubBackend { StubBackend { node, _ in node.op is Conv2D } }
  public static func everySecond() -> StubBackend {
    StubBackend { node, graph in graph.nodes.firstIndex { $0.outputs == node.outputs }! % 2 == 0 }
  }

  public init(_ takes: @escaping @Sendable (Node, Graph) -> Bool) { self.takes = takes }

  public func support(for node: Node, in graph: Graph, _ options: PrepareOptions) -> Support {
    takes(node, graph) ? .kernel("stub") : .unsupported(reason: "not one of its nodes")
  }
  public func target(_ options: PrepareOptions) throws -> any TargetTraits { try CPUBackend().target(options) }
  public func lower(_ nodes: [Int], of graph: Graph, _ options: PrepareOptions) throws -> any Lowering {
    if let node = nodes.first(where: { !takes(graph.nodes[$0], graph) }) {
      throw GraphError("\(graph.nodes[node].name) cannot run on the stub: not one of its nodes")
    }
    return StubLowering(graph: graph, options: options, fault: fault)
  }
}

private struct StubLowering: Lowering {
  let graph: Graph
  let options: PrepareOptions
  let fault: StubBackend.Fault
  let space = MemorySpace.device("stub")
  let device = "stub"
  func viewOffset(_ node: Int) -> Int? { nil }
  func kernel(for node: Int) -> PlannedKernel { PlannedKernel(name: "stub") }
  func byteCount(of value: ValueID) -> Int { graph[value].type.byteCount + 64 }
  func compile(_ segments: [Plan.Segment], of plan: Plan) -> any CompiledSegments {
    StubSegments(plan: plan, segments: segments, options: options, fault: fault)
  }
}

private struct StubSegments: CompiledSegments {
  let plan: Plan
  let segments: [Plan.Segment]
  let options: PrepareOptions
  let fault: StubBackend.Fault
  func makeSegments() throws -> [any Segment] {
    let memory = StubMemory()
    return try segments.map { try StubSegment(self, $0.steps, memory) }
  }
}

private final class StubMemory { var tensors: [Int: Tensor] = [:] }

private final class StubSegment: StepwiseSegment {
  private let shared: StubSegments
  private let steps: Range<Int>
  private let memory: StubMemory
  private let nodes: [Int: Session]

  init(_ shared: StubSegments, _ steps: Range<Int>, _ memory: StubMemory) throws {
    (self.shared, self.steps, self.memory) = (shared, steps, memory)
    let graph = shared.plan.graph
    nodes = Dictionary(
      uniqueKeysWithValues: try steps.compactMap { step in
        guard let node = shared.plan.steps[step].node else { return nil }
        return (step, try CPUBackend().prepare(graph.alone(graph.nodes[node]), shared.options).makeSession())
      })
  }

  func run(_ context: borrowing RunContext) throws { try run(context) { _ in } }

  func run(_ context: borrowing RunContext, afterEach finished: (Int) -> Void) throws {
    let plan = shared.plan
    func type(_ slot: Int) -> TensorType { plan.graph[plan.slots[slot].values[0]].type }
    for step in steps {
      try shared.fault.step()
      guard let node = plan.steps[step].node else {
        _ = try context.memory.begin(step)
        for copy in plan.steps[step].copies {
          if plan.slots[copy.source].space == .host {
            let tensor = try Tensor(uninitialized: type(copy.target), allocator: SystemAllocator.shared)
            tensor.storage.pointer.copyMemory(from: context.memory[copy.source], byteCount: tensor.type.byteCount)
            memory.tensors[copy.target] = tensor
          } else {
            let tensor = memory.tensors[copy.source]!
            context.memory[copy.target].copyMemory(from: tensor.storage.pointer, byteCount: tensor.type.byteCount)
          }
        }
        context.memory.end(step)
        continue
      }
      let session = nodes[step]!
      var seen = Set<ValueID>()
      let arguments = zip(plan.graph.nodes[node].inputs, plan.steps[step].inputs).compactMap { id, slot -> Tensor? in
        switch plan.graph[id].source {
        case .input, .node: seen.insert(id).inserted ? memory.tensors[slot]! : nil
        case .constant, .parameter: nil
        }
      }
      try session.run(with: arguments)
      let result = try Tensor(uninitialized: session.outputs[0].type, allocator: SystemAllocator.shared)
      result.write(session.outputs[0])
      memory.tensors[plan.steps[step].outputs[0]] = result
      finished(node)
    }
  }
}
