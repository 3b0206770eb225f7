import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// Which kernels run some nodes of a graph, and what they need.
struct CPULowering: Lowering {
  private let backend: CPUBackend
  private let options: PrepareOptions
  /// By node; nil for views and for what runs elsewhere.
  private let kernels: [(any CPUKernel)?]
  /// Offsets of views, by node.
  private let views: [Int: Int]
  /// Nodes whose output is their inputs one behind the other.
  private let joins: Set<Int>
  let space = MemorySpace.host
  let device = "cpu"

  init(_ nodes: [Int], of graph: Graph, _ backend: CPUBackend, _ options: PrepareOptions) throws {
    (self.backend, self.options) = (backend, options)
    var kernels = [(any CPUKernel)?](repeating: nil, count: graph.nodes.count)
    var (views, joins) = ([Int: Int](), Set<Int>())
    for index in nodes {
      let node = graph.nodes[index]
      if let op = node.op as? any ControlOp {
        kernels[index] = try ControlKernel(op, node, of: graph, backend, options)
      } else if backend.kernels == .reference {
        kernels[index] = ReferenceKernel(node, of: graph)
      } else if let offset = BackendCPU.viewOffset(of: node, in: graph) {
        views[index] = offset
      } else {
        if BackendCPU.joins(node, in: graph) { joins.insert(index) }
        kernels[index] = backend.kernel(for: node, in: graph, options) ?? ReferenceKernel(node, of: graph)
      }
    }
    (self.kernels, self.views, self.joins) = (kernels, views, joins)
  }

  func viewOffset(_ node: Int) -> Int? { views[node] }

  func joins(_ node: Int) -> Bool { joins.contains(node) }

  func kernel(for node: Int) -> PlannedKernel {
    let kernel = kernels[node]!
    let scratch = kernel.scratchByteCount
    return PlannedKernel(
      name: kernel.name, scratch: scratch > 0 ? [scratch] : [], overwritableInputs: kernel.overwritableInputs,
      bodies: (kernel as? ControlKernel)?.bodies.map(\.plan) ?? [])
  }

  func byteCount(of value: ValueID) -> Int { 0 }

  func compile(_ segments: [Plan.Segment], of plan: Plan) throws -> any CompiledSegments {
    if let reason = backend.instructionSet.absence { throw Unsupported(reason) }
    if options.hugePages {
      HugePages.back(
        plan.slots.compactMap { slot in
          guard slot.space == .host, slot.source == .constant else { return nil }
          return plan.graph.data(of: slot.values[0])?.storage
        })
    }
    return CPUSegments(
      plan: plan, segments: segments,
      kernels: try plan.steps.map { step in
        let kernel = step.node.flatMap { kernels[$0] }
        return try (kernel as? ControlKernel)?.compiled() ?? kernel
      })
  }
}

/// Steps bound to kernels.
struct CPUSegments: CompiledSegments {
  let plan: Plan
  let segments: [Plan.Segment]
  /// Of each step of the plan.
  let kernels: [(any CPUKernel)?]

  func makeSegments() -> [any Segment] { segments.map { CPUSegment(plan, $0.steps, kernels) } }
}

final class CPUSegment: StepwiseSegment, DelegatingSegment {
  private struct Work {
    let step: Int
    let node: Int
    let kernel: any CPUKernel
    let inputs: Int
    /// Inputs, then outputs.
    let slots: [Int]
  }
  private let work: [Work]
  /// Room for one call's addresses.
  private let arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer>

  init(_ plan: Plan, _ steps: Range<Int>, _ kernels: [(any CPUKernel)?]) {
    work = steps.map { index in
      let step = plan.steps[index]
      return Work(
        step: index, node: step.node!, kernel: kernels[index]!.forSession(), inputs: step.inputs.count,
        slots: step.inputs + step.outputs)
    }
    arguments = .allocate(capacity: work.map(\.slots.count).max() ?? 1)
  }

  deinit { arguments.deallocate() }

  var delegation: DelegationStatistics? {
    let all = work.compactMap(\.kernel.delegation)
    return all.dropFirst().reduce(all.first) { $0! + $1 }
  }

  func run(_ context: borrowing RunContext) throws { try run(context) { _ in } }

  func run(_ context: borrowing RunContext, afterEach finished: (Int) -> Void) throws {
    let (memory, pool) = (context.memory, context.pool)
    try pool.whileAwake {
      for work in work {
        let scratch = try memory.begin(work.step)
        for (position, slot) in work.slots.enumerated() {
          arguments[position] = memory[slot]
        }
        try work.kernel.run(
          KernelCall(
            inputs: UnsafeBufferPointer(rebasing: arguments[..<work.inputs]),
            outputs: UnsafeBufferPointer(rebasing: arguments[work.inputs..<work.slots.count]),
            scratch: scratch?.assumingMemoryBound(to: Float.self), pool: pool))
        memory.end(work.step)
        finished(work.node)
      }
    }
  }
}
