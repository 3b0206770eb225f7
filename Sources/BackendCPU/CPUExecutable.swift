import CIntrinsics
import GraphCore
import RuntimeCore
import TensorCore

/// A graph bound to kernels: what every session of it shares.
///
/// `@unchecked Sendable`: immutable after `init`; kernels and tensors in it are only read.
final class CPUExecutable: Executable, @unchecked Sendable {
  /// Where the memory behind a value comes from. Views have been replaced by what they look at.
  enum Slot {
    case input(Int)
    case constant(Tensor)
    case parameter(String)
    case computed(byteCount: Int)
    case output(Int)
  }

  struct Step {
    let node: Node
    /// Of the node among the graph's nodes, views included.
    let position: Int
    let kernel: any CPUKernel
    let inputs: [Int]
    let output: Int
    /// Whether the output takes the place of an input.
    let isInPlace: Bool
    /// Slots nobody reads after this step.
    let released: [Int]
  }

  let graph: Graph
  let options: PrepareOptions
  let slots: [Slot]
  let steps: [Step]
  /// Slot of each graph output, and the slot that holds it if no kernel writes it directly.
  let copiedOutputs: [(source: Int, output: Int)]
  let placement: [Placement]

  init(_ graph: Graph, _ options: PrepareOptions) throws {
    try graph.verify()
    self.graph = graph
    self.options = options

    var viewOf: [ValueID: ValueID] = [:]
    func resolve(_ id: ValueID) -> ValueID { viewOf[id].map(resolve) ?? id }
    for node in graph.nodes where isView(node.op) { viewOf[node.outputs[0]] = resolve(node.inputs[0]) }

    var slots: [Slot] = []
    var slotOf: [ValueID: Int] = [:]
    func slot(_ id: ValueID) -> Int { slotOf[resolve(id)]! }
    for value in graph.values where viewOf[value.id] == nil {
      slotOf[value.id] = slots.count
      switch value.source {
      case .input: slots.append(.input(graph.inputs.firstIndex(of: value.id)!))
      case .constant(let tensor): slots.append(.constant(tensor))
      case .parameter: slots.append(.parameter(value.name))
      case .node: slots.append(.computed(byteCount: value.type.byteCount))
      }
    }
    var copied: [(source: Int, output: Int)] = []
    for (index, id) in graph.outputs.enumerated() {
      let source = slot(id)
      if case .computed = slots[source] {
        slots[source] = .output(index)
      } else {
        copied.append((source, index))
      }
    }

    var lastUse: [Int: Int] = [:]
    let working = graph.nodes.enumerated().filter { !isView($0.element.op) }
    for (index, (_, node)) in working.enumerated() {
      for id in node.inputs + node.outputs { lastUse[slot(id)] = index }
    }
    var steps: [Step] = []
    for (index, (position, node)) in working.enumerated() {
      guard node.outputs.count == 1, let kernel = try CPUBackend.kernel(for: node, in: graph, options) else {
        throw GraphError("no CPU kernel for \(node.name) (\(type(of: node.op).name))")
      }
      let result = slot(node.outputs[0])
      let inputs = node.inputs.map(slot)
      let overwritten = kernel.overwritableInputs.lazy.compactMap { inputs[safe: $0] }.first { input in
        guard case .computed(let size) = slots[input], case .computed(size) = slots[result] else { return false }
        return lastUse[input] == index && inputs.filter { $0 == input }.count == 1
      }
      if options.inPlace, let overwritten {
        slotOf[resolve(node.outputs[0])] = overwritten
        lastUse[overwritten] = lastUse[result]
      }
      let touched = Set(node.inputs.map(slot) + [slot(node.outputs[0])]).sorted()
      let released = touched.filter { if case .computed = slots[$0] { lastUse[$0] == index } else { false } }
      steps.append(
        Step(
          node: node, position: position, kernel: kernel, inputs: inputs, output: slot(node.outputs[0]),
          isInPlace: options.inPlace && overwritten != nil, released: released))
    }
    self.slots = slots
    self.steps = steps
    self.copiedOutputs = copied
    self.placement = graph.nodes.map { node in
      let kernel = steps.first { $0.node.outputs == node.outputs }?.kernel.name ?? "view"
      return Placement(node: node.name, op: type(of: node.op).name, device: "cpu", kernel: kernel)
    }
    guard options.hugePages else { return }
    HugePages.back(slots.compactMap { if case .constant(let tensor) = $0 { tensor.storage } else { nil } })
  }

  func makeSession() throws -> any Session { try CPUSession(self) }

  /// One interval per computed slot, then one per step for its scratch.
  func lifetimes() -> (intervals: [MemoryPlan.Interval], slots: [Int]) {
    var intervals: [MemoryPlan.Interval] = []
    var planned: [Int] = []
    for (index, slot) in slots.enumerated() {
      guard case .computed(let byteCount) = slot else { continue }
      let uses = steps.indices.filter { steps[$0].output == index || steps[$0].inputs.contains(index) }
      guard let first = uses.first, let last = uses.last else { continue }
      intervals.append(MemoryPlan.Interval(first: first, last: last, byteCount: byteCount))
      planned.append(index)
    }
    for (index, step) in steps.enumerated() {
      intervals.append(MemoryPlan.Interval(first: index, last: index, byteCount: step.kernel.scratchByteCount))
    }
    return (intervals, planned)
  }
}
